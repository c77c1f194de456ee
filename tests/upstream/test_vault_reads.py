"""Reads of secrets in a vault, against servers on loopback that misbehave. tests/counterparts has a real OpenBao."""

import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import pytest

from tests.fakes import literal
from tests.plugin.places import in_vault
from tests.upstream.clocks import StandingClock
from tests.upstream.loopback import Behaviour, Loopback, reply, reset, serving, silent
from tokend.engine.policy.rate_limits import HostLimits
from tokend.machine.thread_pool import ThreadPool
from tokend.plugin.secret_reading import read_secret
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.settings import HeldSettings
from tokend.upstream.provider_runtime import ProviderRuntime
from tokend.upstream.vault_reads import VaultReads
from tokend.values.errors import SecretError, WaitingError
from tokend.values.secret import Secret
from tokend.values.url import host_of

NOW = 1_700_000_000
FOUND = json.dumps({"data": {"data": {"key": "obviously-fake", "doc": '{"a": "eA=="}'}}}).encode()
TOKEN = "planted-fake-token"


class Local(HeldSettings):
    """Settings of a kind that sends no request of its own."""

    kind: str = "local"


def place(loopback: Loopback, *, keys: dict[str, Any] | None = None, **more: Any) -> SecretSource:
    return in_vault(
        {"address": loopback.url, "auth": literal(TOKEN), **(keys or {})}, **{"path": "a/b c", "field": "key", **more}
    )


def run(main: Callable[[Loopback], Awaitable[None]], *script: Behaviour) -> Loopback:
    """Run against a server with this script; what it received."""

    async def whole() -> Loopback:
        async with serving(*script) as loopback:
            with anyio.fail_after(20):
                await main(loopback)
            return loopback

    return anyio.run(whole)


def runtime(clock: Any = None, **more: Any) -> ProviderRuntime:
    return ProviderRuntime(Local(), clock=clock or StandingClock(NOW), threads=ThreadPool(2), **more)


async def refused(one: ProviderRuntime, source: SecretSource) -> str:
    with pytest.raises(SecretError) as raised:
        await one.reveal(source)
    assert TOKEN not in raised.value.detail
    return raised.value.detail


def test_a_secret_is_one_request_with_the_credential() -> None:
    """Each use is one. Path and field may hold any character; the request is not one of the provider's."""

    async def main(loopback: Loopback) -> None:
        one = runtime()
        assert (await one.reveal(place(loopback, keys={"namespace": "team"}))).reveal() == "obviously-fake"
        assert (await one.reveal(place(loopback, field="doc", select="a", encoding="base64"))).reveal() == "x"
        assert (await one.reveal(place(loopback, mount="kv/x", keys={"auth": None, "kv_version": 1}))).reveal()
        assert one.requests == 0

    version_1 = json.dumps({"data": {"key": "v1"}}).encode()
    loopback = run(main, reply(FOUND), reply(FOUND), reply(version_1))
    first, _, third = loopback.requests
    assert (first.method, first.target) == ("GET", "/v1/secret/data/a/b%20c")
    assert (first.headers["x-vault-token"], first.headers["x-vault-namespace"]) == (TOKEN, "team")
    assert first.headers["x-vault-request"] == "true"
    assert third.target == "/v1/kv/x/a/b%20c"
    assert "x-vault-token" not in third.headers


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        (reset, "the connection was reset"),
        (reply(b"x" * 600_000), "answered with more than 512 KiB"),
        (reply(b"planted"), "the server answered 200 without data"),
        (reply(b"{}", status=500), "the server answered 500"),
        (reply(b"", status=307, headers={"Location": "https://elsewhere.example"}), "redirects are refused"),
        (reply(FOUND, headers={"Content-Encoding": "gzip"}), "content encoding"),
        (reply(json.dumps({"data": {"data": {"key": ""}}}).encode()), "is empty"),
    ],
)
def test_a_server_that_misbehaves_is_a_secret_that_cannot_be_read(behaviour: Behaviour, why: str) -> None:
    """The message has the place and no word of the server."""

    async def main(loopback: Loopback) -> None:
        said = await refused(runtime(), place(loopback))
        assert said.startswith("vault bao secret/a/b c#key")
        assert why in said
        assert "planted" not in said
        assert len(loopback.requests) == 1

    run(main, behaviour)


def test_a_server_that_does_not_answer_is_not_waited_for() -> None:
    """The loop serves readers meanwhile."""

    async def main(loopback: Loopback) -> None:
        reads = VaultReads(clock=StandingClock(NOW), threads=ThreadPool(1), seconds=0.2)
        assert "did not answer completely within 0.2 s" in await refused(runtime(vaults=lambda: reads), place(loopback))

    run(main, silent)


def test_a_refusal_says_whether_the_credential_is_known() -> None:
    """The server answers 403 to an ended credential and to a missing right."""

    async def main(loopback: Loopback) -> None:
        said = await refused(runtime(), place(loopback))
        assert said.endswith("the credential has expired, was revoked, or is unknown there")
        said = await refused(runtime(), place(loopback))
        assert said.endswith("the policy lacks the capability read on secret/data/a/b c")
        said = await refused(runtime(), place(loopback, keys={"auth": None}))
        assert said.endswith("the server answered 403, and the vault's table has no auth")

    denied = reply(b"{}", status=403)
    loopback = run(main, denied, denied, denied, reply(b"{}"), denied)
    assert [one.target for one in loopback.requests][1] == "/v1/auth/token/lookup-self"


def test_the_refused_token_of_another_provider_is_reported() -> None:
    """Its provider gets a newer one. A missing right, and a credential of another place, say nothing about it."""
    heard: list[tuple[str, str]] = []

    async def main(loopback: Loopback) -> None:
        reads = VaultReads(
            clock=StandingClock(NOW),
            threads=ThreadPool(1),
            refused=lambda name, token: heard.append((name, token.reveal())),
        )
        one = runtime(vaults=lambda: reads, tokens=lambda name: Secret(f"fake-of-{name}"))
        login = {"auth": SecretSource(token="login")}
        assert "the policy lacks" in await refused(one, place(loopback, keys=login))
        assert "is unknown there" in await refused(one, place(loopback))
        assert heard == []
        assert "is unknown there" in await refused(one, place(loopback, keys=login))

    denied = reply(b"{}", status=403)
    run(main, denied, reply(b"{}"), denied)
    assert heard == [("login", "fake-of-login")]


def test_a_pause_that_is_asked_for_holds_for_the_host() -> None:
    """Of all that is sent there: nothing is sent before it is over."""
    limits, clock = HostLimits(), StandingClock(NOW)

    async def main(loopback: Loopback) -> None:
        reads = VaultReads(clock=clock, threads=ThreadPool(1), pauses=limits)
        one, host = runtime(clock, vaults=lambda: reads), host_of(loopback.url)
        assert "the server answered 429: too many requests" in await refused(one, place(loopback))
        assert limits.seconds(host, clock.instant()) == pytest.approx(60)
        assert f"{host} wants a pause: nothing is sent for another 60 s" in await refused(one, place(loopback))
        assert len(loopback.requests) == 1
        for seconds in (5, 5, 0):
            other = HostLimits()
            again = partial(VaultReads, clock=clock, threads=ThreadPool(1), pauses=other)
            await refused(runtime(clock, vaults=again), place(loopback))
            assert other.seconds(host, clock.instant()) == pytest.approx(seconds)

    run(
        main,
        reply(b"{}", status=429, headers={"Retry-After": "60"}),
        reply(b"{}", status=429),
        reply(b"{}", status=503, headers={"Retry-After": "1"}),
        reply(b"{}", status=503),
    )


def test_a_credential_that_cannot_be_read_is_named_as_such() -> None:
    """A token that is not valid now is waited for; an unsafe path stays one."""

    async def main(loopback: Loopback) -> None:
        said = await refused(runtime(), place(loopback, keys={"auth": SecretSource(env="NO_SUCH_VARIABLE")}))
        assert said == "vault bao secret/a/b c#key: auth: environment variable NO_SUCH_VARIABLE is not set"
        waiting = place(loopback, keys={"auth": SecretSource(token="login")})
        assert waiting.needed_token == "login"
        with pytest.raises(WaitingError, match="waits for login"):
            await runtime().reveal(waiting)
        held = runtime(tokens=lambda name: Secret(f"fake-of-{name}"))
        assert (await held.reveal(waiting)).reveal() == "obviously-fake"

    loopback = run(main, reply(FOUND))
    assert [one.headers["x-vault-token"] for one in loopback.requests] == ["fake-of-login"]


def test_a_reload_that_changes_a_table_replaces_its_connection() -> None:
    """Equal settings keep it."""

    async def main(loopback: Loopback) -> None:
        reads = VaultReads(clock=StandingClock(NOW), threads=ThreadPool(1))
        one = runtime(vaults=lambda: reads)
        assert await one.reveal(place(loopback)) == await one.reveal(place(loopback))
        assert "answered 404" in await refused(one, place(loopback, keys={"address": f"{loopback.url}/elsewhere"}))

    loopback = run(main, reply(FOUND), reply(FOUND), reply(b'{"errors": []}', status=404))
    assert loopback.requests[-1].target == "/elsewhere/v1/secret/data/a/b%20c"


def test_without_a_table_nothing_is_read() -> None:
    """Of settings that no configuration made; and nothing reads a vault without the loop."""
    source = SecretSource.model_validate({"vault": "bao", "path": "a", "field": "b"})

    async def main() -> None:
        assert "there is no table of this vault" in await refused(runtime(), source)

    anyio.run(main)
    with pytest.raises(SecretError, match="is read only while the daemon runs"):
        read_secret(source)
