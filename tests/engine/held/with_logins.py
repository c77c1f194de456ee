"""Providers whose login comes from a configured refresh token or from a person, and an engine that knows the first."""

import json

from tests.fake_logins import HOUR, ORIGIN, FakeLogin, LoginServer, login_server
from tests.fakes import World
from tests.virtual import VirtualClock, until
from tokend.engine.supervisor import Supervisor
from tokend.plugin.secret_source import SecretSource
from tokend.values.logins import Granted
from tokend.values.secret import Secret
from tokend.values.tokens import Token

INITIAL = SecretSource(env="REFRESH")
LOGIN = FakeLogin(refresh_token=INITIAL)


def begun(clock: VirtualClock, **keys: object) -> tuple[World, LoginServer]:
    """Return an engine whose initial refresh token is one that the server knows, and that server."""
    return World(clock, environ={"REFRESH": "fake-refresh-0"}), login_server(clock, **keys)


async def valid(supervisor: Supervisor, name: str = "a") -> None:
    """Wait until the token is valid."""
    await until(lambda: supervisor.entries[name].status().valid, seconds=60)


def granted(clock: VirtualClock, refresh: str = "fake-persons") -> Granted:
    """Return what a server grants to a person, with a token of an hour."""
    now = clock.instant()
    token = Token(Secret("fake-access"), "Bearer", now, now.after(HOUR))
    return Granted(ORIGIN, now, token=token, refresh_token=Secret(refresh), subject="somebody")


def state_on_disk(world: World) -> str:
    """Return the state of the login of `a`, as it was saved last."""
    found: str = json.loads(world.state.content["a"])["login"]["state"]["is"]
    return found
