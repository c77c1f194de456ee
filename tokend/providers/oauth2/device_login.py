"""A login on another device: a code for a person, and the polls (RFC 8628)."""

from typing import Any

from tokend.plugin.login import DeviceLogin, RememberingRuntime
from tokend.plugin.response_status import token_value
from tokend.plugin.token_expiry import MISSING, expiry
from tokend.providers.oauth2.discovery import endpoints_of
from tokend.providers.oauth2.exchange import ask
from tokend.providers.oauth2.fields import is_endpoint
from tokend.providers.oauth2.granting import granted_of
from tokend.providers.oauth2.grants import GrantParameters, asked_scopes, resources, scope, target
from tokend.providers.oauth2.refusals import refuse
from tokend.providers.oauth2.requests import Value
from tokend.providers.oauth2.settings import OAuth2Settings
from tokend.providers.oauth2.words import GRANT_TYPES, PENDING, SLOW_DOWN
from tokend.values.errors import TransientError
from tokend.values.logins import Granted
from tokend.values.secret import Secret

# RFC 8628, 3.2 and 3.5.
USUAL_INTERVAL_SECONDS = 5.0
SLOWER_SECONDS = 5.0
LONGEST_INTERVAL_SECONDS = 300.0
# Where the server names no end of its code.
USUAL_LIFE_SECONDS = 600.0
LONGEST_CODE = 100


async def begin_on_device(settings: OAuth2Settings, runtime: RememberingRuntime) -> DeviceLogin:
    """Ask for a code that a person enters on another device."""
    server = await endpoints_of(settings, runtime, "device")
    assert server.device_url is not None  # noqa: S101  (`endpoints_of`)
    asked: dict[str, Value] = {"client_id": settings.client_id or "", **scope(settings), **target(settings)}
    own = GrantParameters({**asked, **settings.login_parameters})
    answered = await ask(settings, runtime, server, own, url=server.device_url)
    answer, host = answered.answer, answered.sent.host
    found = answer.document if isinstance(answer.document, dict) else {}
    if answer.row is not None or not 200 <= answer.reply.status < 300 or not found.get("device_code"):
        refuse(answer, answered.sent)
    # Google says verification_url.
    place = found.get("verification_uri") or found.get("verification_url")
    if not is_endpoint(place):
        raise TransientError(f"{host} answered with a verification_uri that is no https:// address")
    complete = found.get("verification_uri_complete") or found.get("verification_url_complete")
    life = found.get("expires_in")
    expires = expiry(
        answer.reply,
        Secret(""),
        host=host,
        relative=MISSING if life is None else life,
        default_seconds=USUAL_LIFE_SECONDS,
    )
    assert expires is not None  # noqa: S101  (there is a default)
    return DeviceLogin(
        verification_uri=str(place),
        verification_uri_complete=str(complete) if is_endpoint(complete) else None,
        user_code=_user_code(found.get("user_code"), host),
        device_code=token_value(found["device_code"], host),
        interval_seconds=_interval(found.get("interval"), USUAL_INTERVAL_SECONDS),
        expires_at=expires,
    )


async def poll_once(settings: OAuth2Settings, runtime: RememberingRuntime, begun: DeviceLogin) -> Granted | float:
    """Ask whether the person has finished. Returns the interval until the next poll where not yet."""
    server = await endpoints_of(settings, runtime)
    parameters: dict[str, Value] = {"grant_type": GRANT_TYPES["device_code"], "device_code": begun.device_code}
    parameters |= {"client_id": settings.client_id or "", **resources(settings), **settings.token_parameters}
    own = GrantParameters(parameters, (begun.device_code,))
    answered = await ask(settings, runtime, server, own, is_of_login=True, is_begun=True)
    answer = answered.answer
    if answer.row is None and (200 <= answer.reply.status < 300 or 400 <= answer.reply.status < 500):
        if answer.code == PENDING:
            return begun.interval_seconds
        if answer.code == SLOW_DOWN:
            asked = answer.document.get("interval") if isinstance(answer.document, dict) else None
            return max(begun.interval_seconds + SLOWER_SECONDS, _interval(asked, 0.0))
    return granted_of(settings, answered, server.token_url, parameters=asked_scopes(settings))


def _user_code(value: Any, host: str) -> str:
    code = token_value(value, host).reveal()
    if len(code) > LONGEST_CODE:
        raise TransientError(f"{host} answered with a code of {len(code)} characters, which nobody can enter")
    return code


def _interval(value: Any, usual: float) -> float:
    """Return an interval in seconds. What is none means the usual one."""
    try:
        number = usual if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return usual
    return min(number, LONGEST_INTERVAL_SECONDS) if number > 0 else usual
