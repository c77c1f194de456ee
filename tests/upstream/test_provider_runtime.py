"""The runtime of one provider: its secrets, its upstream, and the upstream's clock."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest

from tests.sinks.stores.played_keyring import NAMES, PlayedKeyring
from tests.upstream.clocks import StandingClock
from tests.upstream.loopback import Reachable, reply, serving
from tokend.machine.thread_pool import ThreadPool
from tokend.plugin.http_exchange import UpstreamRequest
from tokend.plugin.secret_source import SecretSource
from tokend.upstream.provider_runtime import KILLED_SECONDS, REVEAL_SECONDS, ProviderRuntime
from tokend.values.errors import SecretError, TransientError, WaitingError
from tokend.values.secret import Secret

T = TypeVar("T")
NOW = 1_700_000_000


class NotedThreads:
    """Threads in the loop itself; ``given`` has the time limit of each call. A hanging disk raises TimeoutError."""

    def __init__(self, *, hanging: bool = False) -> None:
        self.given: list[float] = []
        self._hanging = hanging

    async def run(self, call: Callable[[], T], *, seconds: float) -> T:
        self.given.append(seconds)
        if self._hanging:
            raise TimeoutError
        return call()


def runtime(threads: NotedThreads, **keys: Any) -> ProviderRuntime:
    """A runtime whose clock stands at NOW."""
    return ProviderRuntime(
        Reachable(**keys), clock=StandingClock(NOW), threads=threads, environ={"KEY": "obviously-fake"}
    )


def test_only_what_may_block_is_read_in_a_thread(tmp_path: Path) -> None:
    """An environment variable is there at once; a file may be on a disk that hangs, an expression takes its time."""
    threads = NotedThreads()
    (tmp_path / "key").write_text("obviously-fake-file\n")

    async def main() -> None:
        one = runtime(threads)
        assert (await one.reveal(SecretSource(env="KEY"))).reveal() == "obviously-fake"
        assert threads.given == []
        assert (await one.reveal(SecretSource(file=tmp_path / "key"))).reveal() == "obviously-fake-file"
        assert threads.given == [REVEAL_SECONDS]
        with pytest.raises(SecretError, match="is no JSON"):
            await one.reveal(SecretSource.model_validate({"env": "KEY", "select": "a"}))
        assert threads.given == [REVEAL_SECONDS] * 2

    anyio.run(main)


def test_a_keyring_is_asked_among_the_calls_that_may_hang() -> None:
    """A service of the desktop that hangs must hold up no secret and no state."""
    keyring, secrets, calls = PlayedKeyring(), NotedThreads(), NotedThreads()
    keyring.create_item("ours", NAMES, b"obviously-fake")
    one = ProviderRuntime(Reachable(), clock=StandingClock(NOW), threads=secrets, calls=calls)

    async def main() -> None:
        assert (await one.reveal(SecretSource(keyring="app/token"))).reveal() == "obviously-fake"

    anyio.run(main)
    assert (secrets.given, calls.given) == ([], [REVEAL_SECONDS])


def test_a_program_has_its_own_threads_and_the_clean_environment() -> None:
    """Programs may take half a minute, and a file's disk may hang: secrets and the state do not wait for them."""
    secrets, programs, calls = NotedThreads(), NotedThreads(), NotedThreads()

    async def main() -> None:
        environ = {"KEY": "obviously-fake", "HOME": "/home/fake"}
        one = ProviderRuntime(
            Reachable(), clock=StandingClock(NOW), threads=secrets, programs=programs, calls=calls, environ=environ
        )
        ended = await one.run_command(["/usr/bin/env"], {"MORE": Secret("fake")}, seconds=20, output_limit=1000)
        assert sorted(ended.output.split()) == [b"HOME=/home/fake", b"MORE=fake"]
        assert (secrets.given, programs.given, calls.given) == ([], [20 + KILLED_SECONDS], [])
        assert await one.run_in_thread(lambda: 7, seconds=3) == 7
        assert (secrets.given, calls.given) == ([], [3])

    anyio.run(main)


def test_a_program_ends_with_the_task_that_waits_for_it(tmp_path: Path) -> None:
    """Its thread is free again at once."""

    async def main() -> None:
        pool = ThreadPool(1)
        one = ProviderRuntime(Reachable(), clock=StandingClock(NOW), threads=pool, environ={"PATH": os.environ["PATH"]})
        argv = ["sh", "-c", f"echo $$ > {tmp_path}/pid; exec sleep 600"]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(one.run_command, argv, {}, seconds=300, output_limit=10))
            with anyio.fail_after(20):
                while not await anyio.Path(tmp_path / "pid").exists():  # noqa: ASYNC110  (no event says so)
                    await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
        with anyio.fail_after(20):
            while pool.running:  # noqa: ASYNC110  (no event says so)
                await anyio.sleep(0.01)

    anyio.run(main)


def test_a_file_that_hangs_is_named() -> None:
    """The attempt fails; the thread is left behind."""

    async def main() -> None:
        with pytest.raises(SecretError, match=r"/nfs/key.* could not be read: it hangs, for \d+ s"):
            await runtime(NotedThreads(hanging=True)).reveal(SecretSource(file=Path("/nfs/key")))

    anyio.run(main)


def test_the_upstreams_clock_is_learned_from_its_replies() -> None:
    """Requests are signed with its time. A reply without a date changes nothing."""
    ahead = datetime.fromtimestamp(NOW, UTC) + timedelta(hours=1)

    async def main() -> None:
        dated = reply(b"{}", headers={"Date": format_datetime(ahead, usegmt=True)})
        async with serving(dated, reply(b"{}")) as loopback:
            one = runtime(NotedThreads(), base_url=loopback.url)
            assert one.upstream_now() == datetime.fromtimestamp(NOW, UTC)
            for _ in range(2):
                await one.exchange(UpstreamRequest("GET", f"{loopback.url}/"))
                assert abs(one.upstream_now() - ahead) < timedelta(seconds=2)
            assert one.requests == 2

    anyio.run(main)


def test_the_upstreams_clock_goes_on_when_ours_is_set() -> None:
    """Ours was wrong, and NTP sets it: the upstream's clock is still what its reply said."""
    clock = StandingClock(NOW)

    async def main() -> None:
        ahead = datetime.fromtimestamp(NOW, UTC) + timedelta(hours=1)
        dated = reply(b"{}", headers={"Date": format_datetime(ahead, usegmt=True)})
        async with serving(dated) as loopback:
            one = ProviderRuntime(Reachable(base_url=loopback.url), clock=clock, threads=NotedThreads())
            await one.exchange(UpstreamRequest("GET", f"{loopback.url}/"))
            clock.step(3600)
            assert abs(one.upstream_now() - clock.instant().wall) < timedelta(seconds=2)

    anyio.run(main)


def test_a_request_that_fails_counts_too() -> None:
    """It may have arrived: the budget counts what was sent."""

    async def main() -> None:
        one = runtime(NotedThreads())
        with pytest.raises(TransientError):
            await one.exchange(UpstreamRequest("GET", "http://127.0.0.1:1/"))
        assert one.requests == 1

    anyio.run(main)


def test_a_kind_that_would_send_in_clear_is_a_bug() -> None:
    """Nothing is sent, whatever the kind's settings allow."""

    async def main() -> None:
        one = runtime(NotedThreads())
        with pytest.raises(ValueError, match=r"vendor\.example:80: a kind may send to https:// only"):
            await one.exchange(UpstreamRequest("GET", "http://vendor.example/"))
        assert one.requests == 0

    anyio.run(main)


def test_another_providers_token_is_read_at_each_use() -> None:
    """The newest one, decoded as the reference says. Without a valid one nothing is read."""
    tokens = {"login": "b2J2aW91c2x5LWZha2U"}

    async def main() -> None:
        one = ProviderRuntime(
            Reachable(),
            clock=StandingClock(NOW),
            threads=NotedThreads(hanging=True),
            tokens=lambda name: Secret(tokens[name]) if name in tokens else None,
        )
        assert (await one.reveal(SecretSource(token="login"))).reveal() == "b2J2aW91c2x5LWZha2U"
        assert (await one.reveal(SecretSource(token="login", encoding="base64"))).reveal() == "obviously-fake"
        tokens["login"] = "newer"
        assert (await one.reveal(SecretSource(token="login"))).reveal() == "newer"
        del tokens["login"]
        with pytest.raises(WaitingError, match="waits for login, which has no valid token now"):
            await one.reveal(SecretSource(token="login"))
        with pytest.raises(WaitingError):
            await runtime(NotedThreads()).reveal(SecretSource(token="login"))

    anyio.run(main)
