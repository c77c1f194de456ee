"""`tokend logout`: the end of a login, here at once and at its server as soon as that confirms it."""

from collections.abc import Awaitable, Mapping
from typing import Any, cast
from urllib.parse import urlsplit

import anyio

from tokend.engine.context.context import Context
from tokend.engine.context.contract import LogoutAnswer
from tokend.engine.logins.login_holder import LoginHolder
from tokend.machine.logs import get_logger
from tokend.plugin.kind_bugs import exits_refused
from tokend.plugin.login import InteractiveLogin, needs_persons_login
from tokend.plugin.protocol_check import implements
from tokend.plugin.settings import HeldSettings
from tokend.values.errors import (
    AttemptError,
    LoginRefusedError,
    NotSupportedError,
    RateLimitedError,
    RejectedError,
    StoreError,
    TokenUnavailableError,
    UnknownTokenError,
)
from tokend.values.logins import Login

REVOCATION_SECONDS = 30.0
FIRST_PAUSE_SECONDS = 1.0

log = get_logger()


class Logout:
    """End logins of the ``providers`` that run now."""

    def __init__(self, context: Context, providers: Mapping[str, Any]) -> None:
        self._clock = context.clock
        self._providers = providers

    async def log_out(self, name: str, *, uid: int, force: bool) -> LogoutAnswer:
        """Withdraw the token and set the login aside at once; then try to revoke it for `REVOCATION_SECONDS`.

        ``force`` tries once, and drops the login whatever came of it. Raises `NotSupportedError` for kinds without a
        login, `TokenUnavailableError` where its login file cannot be written.
        """
        holder = self._holder(name)
        await self._written(holder.log_out(), name)
        log.warning("login.logged_out", token=name, uid=uid)
        ended = list(holder.logged_out)
        doubts = [why for login in ended if (why := await self._why_not_revoked(holder, name, login, once=force))]
        if doubts and not force:
            detail = f"{doubts[0]}; try again: tokend logout {name}, or drop it here: tokend logout {name} --force"
            return LogoutAnswer(confirmed=False, dropped=False, detail=detail)
        await self._written(holder.drop_logged_out(ended), name)
        log.info("login.dropped", token=name, confirmed=not doubts)
        return LogoutAnswer(confirmed=not doubts, dropped=True, detail=doubts[0] if doubts else None)

    async def _written(self, writing: Awaitable[None], name: str) -> None:
        try:
            await writing
        except StoreError as error:
            raise TokenUnavailableError(f"{name}: {error.detail}") from None

    def _holder(self, name: str) -> LoginHolder:
        provider = self._providers.get(name)
        if provider is None:
            raise UnknownTokenError(f"there is no token {name}")
        settings = provider.settings
        if not isinstance(settings, HeldSettings) or not needs_persons_login(settings):
            raise NotSupportedError(f"{name}: its kind has no login to end; tokend forget {name} drops its token")
        return cast(LoginHolder, provider)

    async def _why_not_revoked(self, holder: LoginHolder, name: str, login: Login, *, once: bool) -> str | None:
        """Revoke a login. Returns None where the server has confirmed it or cannot be asked at all, else the doubt."""
        settings = holder.settings
        if login.refresh_token is None:
            return None
        if not implements(settings, InteractiveLogin) or not cast(InteractiveLogin, settings).can_revoke:
            return None
        # An initial refresh token that no server has granted anything for is of the server as configured.
        origin = login.origin or login.client.server
        host = urlsplit(origin).hostname or origin
        why = logged = "no answer in time"
        pause = FIRST_PAUSE_SECONDS
        with anyio.move_on_after(REVOCATION_SECONDS):
            while True:
                try:
                    with exits_refused():
                        await cast(InteractiveLogin, settings).revoke(holder.login_runtime, login)
                except AttemptError as error:
                    why, logged = error.whole, error.detail
                    if once or isinstance(error, RejectedError | LoginRefusedError):
                        break
                    if isinstance(error, RateLimitedError) and error.retry_after is not None:
                        pause = max(pause, error.retry_after)
                else:
                    return None
                await self._clock.sleep(pause)
                pause *= 2
        log.warning("login.not_revoked", token=name, detail=logged)  # the server's own words are for the person
        return f"{host} did not confirm: still valid there ({why})"
