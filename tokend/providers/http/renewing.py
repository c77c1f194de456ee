"""Renewing the token held: a request that is made first, and what its answer means."""

from tokend.plugin.declared.placeholders import Value
from tokend.plugin.declared.unfit_values import UnfitValueError
from tokend.plugin.provider import Runtime
from tokend.providers.http.attempt_time import AttemptTime
from tokend.providers.http.exchange import Made, make, send
from tokend.providers.http.login_rules import REFRESH_TOKEN
from tokend.providers.http.names import held_values
from tokend.providers.http.refusals import raise_unless_refused, refuses_credentials
from tokend.providers.http.settings import HttpSettings, RenewSettings
from tokend.providers.http.tokens import renewed_token
from tokend.values.errors import RejectedError, TransientError
from tokend.values.secret import Secret
from tokend.values.tokens import Token


async def make_renewal(
    settings: HttpSettings,
    runtime: Runtime,
    renew: RenewSettings,
    previous: Token | None,
    began: AttemptTime,
    refresh_token: Secret | None = None,
) -> Made:
    """Make the request ``renew`` of what is held. Raises as `make`."""
    held: dict[str, Value] = {**held_values(settings.answer, previous), REFRESH_TOKEN: refresh_token}
    if lacking := [name for name in renew.url.names if name.startswith("extra.") and held[name] in {None, ""}]:
        # It was declared after that token came, or is not in each answer.
        raise UnfitValueError(f"the token held has no {lacking[0]}, which renew.url needs", lacking)
    return await make(settings, runtime, renew, held, previous, began=began)


async def renewed(
    settings: HttpSettings, runtime: Runtime, renew: RenewSettings, previous: Token, began: AttemptTime
) -> Token | None:
    """Renew a token. None where its values do not fit, the server refused, or its answer is of no use: then the full
    request is due.

    Raises the error of a secret, clock or counter, of no answer, of 429 and 5xx: those of the table need a person's
    look, and the full request would be one more to the same host. Raises
    `RejectedError` where the server refused the credentials: the full request is due, and is the last one they get.
    """
    try:
        made = await make_renewal(settings, runtime, renew, previous, began)
    except UnfitValueError:
        return None
    try:
        answered = await send(settings, runtime, made)
    except TransientError as error:
        if error.is_void:
            return None
        raise
    raise_unless_refused(answered)
    found = answered.found
    if not found.is_granted and refuses_credentials(answered):
        raise RejectedError(f"{answered.sent.host} answered {found.reply.status}: renew is refused")
    if not found.is_granted or (found.values["token"] is None and not renew.token_optional):
        return None
    try:
        return renewed_token(settings, answered, previous)
    except TransientError:
        return None
