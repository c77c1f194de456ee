"""Refreshing a login, the harmless request after a lost answer, and revocation (RFC 6749, 6; RFC 7009)."""

from tokend.plugin.declared.answer import is_page
from tokend.plugin.http_exchange import UpstreamRequest
from tokend.plugin.login import RememberingRuntime
from tokend.providers.oauth2.discovery import endpoints_of
from tokend.providers.oauth2.exchange import ask
from tokend.providers.oauth2.granting import granted_of
from tokend.providers.oauth2.grants import GrantParameters, refresh_parameters
from tokend.providers.oauth2.refusals import refuse
from tokend.providers.oauth2.requests import Value
from tokend.providers.oauth2.settings import OAuth2Settings
from tokend.values.errors import LoginRefusedError, RejectedError, TransientError
from tokend.values.logins import Granted, Login
from tokend.values.url import host_of, origin_of

# Errors of a revocation that say that there is nothing to revoke any more.
_GONE = frozenset({"invalid_token", "invalid_grant"})


async def refresh_login(settings: OAuth2Settings, runtime: RememberingRuntime, login: Login) -> Granted:
    """Exchange a login's refresh token. It goes to the origin that issued it only."""
    server = await endpoints_of(settings, runtime)
    if login.origin is not None and origin_of(server.token_url) != login.origin:
        raise LoginRefusedError(
            f"the login is of {login.origin}, and tokens are now issued by {origin_of(server.token_url)}: a refresh "
            "token is sent nowhere else"
        )
    own = refresh_parameters(settings, login)
    answered = await ask(settings, runtime, server, own, is_of_login=True, may_spend=True)
    return granted_of(settings, answered, server.token_url, login=login)


async def ask_something_harmless(settings: OAuth2Settings, runtime: RememberingRuntime) -> None:
    """Send a GET without parameters to the token endpoint. Any answer below 500 shows that the server is there."""
    server = await endpoints_of(settings, runtime)
    host = host_of(server.token_url)
    reply = await runtime.exchange(UpstreamRequest("GET", server.token_url, {"Accept": "application/json"}))
    if reply.status >= 500:
        raise TransientError(f"{host} answered {reply.status} to a harmless request", repeatable=True)


async def revoke_login(settings: OAuth2Settings, runtime: RememberingRuntime, login: Login) -> None:
    """Revoke a login's refresh token. A server without an endpoint for that has nothing to confirm."""
    server = await endpoints_of(settings, runtime, "revoke")
    if server.revoke_url is None:
        return
    issued_by = login.origin or origin_of(server.token_url)
    if origin_of(server.revoke_url) != issued_by:
        raise RejectedError(f"the refresh token is of {issued_by}, and the revocation endpoint is elsewhere: not sent")
    assert login.refresh_token is not None  # noqa: S101  (`InteractiveLogin.revoke`)
    parameters: dict[str, Value] = {"token": login.refresh_token, "token_type_hint": "refresh_token"}
    own = GrantParameters(parameters, (login.refresh_token,))
    answered = await ask(settings, runtime, server, own, url=server.revoke_url)
    answer = answered.answer
    is_done = 200 <= answer.reply.status < 300 and not is_page(answer.reply) and answer.code is None
    if not is_done and answer.code not in _GONE:
        refuse(answer, answered.sent)
