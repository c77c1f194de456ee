"""Calls of a kind with a login, at a server that follows a script."""

from typing import Any

from tests.providers.live import NOW, at, env
from tests.providers.oauth2.discovering import discover
from tests.upstream.loopback import Behaviour, Loopback
from tokend.values.logins import Granted, Login, LoginClient
from tokend.values.secret import Secret

OLD = "fake-old-refresh-token"
NEW = "fake-new-refresh-token"
PUBLIC: dict[str, Any] = {
    "grant": "authorization_code", "client_secret": None, "token_url": "URL/token", "authorize_url": "URL/authorize",
    "device_url": "URL/device", "revoke_url": "URL/revoke", "issuer": None,
}  # fmt: skip
HOURS = 3600.0


def login(origin: str | None = None, **more: Any) -> Login:
    """Return a login that a person began an hour ago."""
    return Login(
        Secret(OLD), LoginClient("oauth2", "x", "fake-client"), origin, at(NOW - HOURS), at(NOW - HOURS), **more
    )


def refresh(*script: Behaviour, kept: Login | None = None, **keys: Any) -> tuple[Any, Loopback]:
    """Return what a refresh brings or raises, and what the server was asked."""

    async def call(settings: Any, runtime: Any) -> Any:
        return await settings.refresh(runtime, kept or login())

    return discover(None, *script, call=call, **{**PUBLIC, **keys})


def granted_by(*script: Behaviour, kept: Login | None = None, **keys: Any) -> Granted:
    """Return what a refresh grants."""
    outcome, _ = refresh(*script, kept=kept, **keys)
    assert isinstance(outcome, Granted), outcome
    return outcome


SECRET: dict[str, Any] = {"client_secret": env("CLIENT_SECRET")}
