"""One step of a login of kind ``http`` at a server that follows a script."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import anyio

from tests.providers.http.asking import settings
from tests.providers.live import NOW, LiveRuntime, at
from tests.upstream.loopback import Behaviour, Loopback, serving
from tokend.providers.http.kind import Http
from tokend.values.logins import Granted, Login
from tokend.values.secret import Secret

T = TypeVar("T")
REDIRECT = "http://127.0.0.1:8400/"
REFRESH = "obviously-fake-refresh-token"
LOGIN: Mapping[str, Any] = {
    "url": "https://vendor.example/connect?key={key}&pass=state%3D{state}",
    "redirect_uri": REDIRECT,
    "callback": ["code"],
}
# What a person's login of a vendor without refresh tokens is made of.
PERSONAL: Mapping[str, Any] = {
    "login": LOGIN,
    "request": {"json": {"key": "{key}", "code": "{login.code}", "sum": "{sum}"}},
    "values": {"sum": {"hash": "sha256", "parts": ["key", "login.code", "secret"], "output": "hex"}},
    "answer": {"token": "token", "expires_in": "life", "subject": "who"},
}
# One that is refreshed.
REFRESHED: Mapping[str, Any] = {
    "answer": {
        "token": "token", "expires_in": "life", "refresh_token": "again", "refresh_expires_in": "ends",
        "extra": {"site": "site"}, "secret_extra": {"feed": "feed"},
    },
    "renew": {"method": "POST", "json": {"again": "{refresh_token}"}, "headers": None},
}  # fmt: skip


def personal(origin: str = "https://api.example", **more: Any) -> Http:
    """Return settings with a login of a person."""
    return settings(origin, **{**PERSONAL, **more})


def refreshed(origin: str = "https://api.example", **more: Any) -> Http:
    """Return settings whose answers bring a refresh token."""
    return settings(origin, **{**REFRESHED, **more})


def play(
    make: Callable[[str], Http], step: Callable[[Http, LiveRuntime], Awaitable[T]], *script: Behaviour
) -> tuple[T, Loopback]:
    """Do one step at the server; returns its result and the server's requests."""

    async def main() -> tuple[T, Loopback]:
        async with serving(*script) as loopback:
            made = make(loopback.url)
            return await step(made, LiveRuntime(made)), loopback

    return anyio.run(main)


def login_of(made: Http, *, token: Mapping[str, Secret] | None = None, refresh_token: str | None = REFRESH) -> Login:
    """Return a login as the engine keeps it."""
    return Login(
        refresh_token=None if refresh_token is None else Secret(refresh_token),
        client=made.login_client,
        origin=made.request.url.origin,
        obtained_at=at(NOW - 300),
        refreshed_at=at(NOW - 300),
        ends_at=at(NOW + 600) if refresh_token is None else None,
        parameters=token or {},
    )


def refresh(*script: Behaviour, **keys: Any) -> tuple[Granted, Loopback]:
    """Refresh a login. ``token`` are the parameters that keep the token held; the others are keys of the table."""
    token, refresh_token = keys.pop("token", None), keys.pop("refresh_token", REFRESH)

    async def step(made: Http, runtime: LiveRuntime) -> Granted:
        return await made.refresh(runtime, login_of(made, token=token, refresh_token=refresh_token))

    return play(lambda url: refreshed(url, **keys), step, *script)
