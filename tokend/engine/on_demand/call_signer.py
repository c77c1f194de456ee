"""Headers that sign a caller's own call to an upstream, made by the kinds that can (`plugin.request_signing`)."""

from collections.abc import Mapping

from tokend.engine.on_demand.issuer import TokenIssuer
from tokend.plugin.kind_bugs import exits_refused
from tokend.plugin.request_signing import CallToSign, RequestSigner, SigningSettings
from tokend.values.errors import (
    AttemptError,
    DeniedError,
    InvalidParametersError,
    NotSupportedError,
    TokenUnavailableError,
)
from tokend.values.secret import Secret


async def sign(issuer: TokenIssuer, call: CallToSign, uid: int) -> Mapping[str, Secret | str]:
    """Sign a call with the secrets of ``issuer``, for a caller's ``uid``. Sends nothing.

    Raises `NotSupportedError` for kinds that do not sign and without ``sign_paths``, `DeniedError` for a call that is
    not among them, `ThrottledError` beyond ``issue_rate``, `InvalidParametersError`, and `TokenUnavailableError` where
    a secret cannot be read.
    """
    name, settings = issuer.name, issuer.settings
    if not isinstance(settings, SigningSettings) or not isinstance(settings, RequestSigner):
        raise NotSupportedError(f"{name}: kind {settings.kind} signs no calls")
    if not settings.sign_paths:
        raise NotSupportedError(f'{name} signs no calls: sign_paths of the provider names none ("{_shown(call)}")')
    if not settings.may_sign(call.method, call.path):
        raise DeniedError(f"{name}: {_shown(call)} is not in sign_paths of the provider")
    issuer.callers.count(issuer.settings, uid)
    try:
        with exits_refused():
            headers = await settings.sign(issuer.runtime, call)
    except InvalidParametersError:
        raise
    except AttemptError as error:
        issuer.callers.failed(uid, error)
        raise TokenUnavailableError(f"{name}: {error.detail}") from None
    issuer.callers.signed(uid, call.method, call.path)
    return headers


def _shown(call: CallToSign) -> str:
    return f"{call.method} {call.path[:200]}"
