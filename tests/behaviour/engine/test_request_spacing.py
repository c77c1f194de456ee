"""The vendor's least pause between requests (tt: 10 s) holds between arrivals, not only between our intentions."""

import random
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Annotated, ClassVar

import anyio
import pytest

from tests.expecting import held
from tests.fakes import FakeHeld, FakeRuntime, InlineThreads, T, Upstream, World, config, provider
from tests.virtual import VirtualClock, run_virtually
from tokend.plugin.field_roles import Role
from tokend.plugin.secret_source import SecretField, SecretSource
from tokend.values.errors import RateLimitedError, RejectedError, TransientError
from tokend.values.secret import Secret
from tokend.values.tokens import Token

RATE_LIMITED = RateLimitedError("429", retry_after=5.0)


class SlowToArrive(FakeHeld):
    """The first request needs three seconds on its way: names are resolved, TLS is spoken. Later ones need none."""

    request_interval_seconds: ClassVar[float] = 10.0
    kind: str = "slow-to-arrive"  # type: ignore[assignment]  # each kind has a name of its own

    async def fetch(self, runtime: FakeRuntime, previous: Token | None) -> Token:
        """Let the request travel, then ask."""
        if not runtime.upstreams[self.base_url].calls:
            await runtime.clock.sleep(3.0)
        return await runtime.upstreams[self.base_url].answer()


@pytest.mark.parametrize("script", [[], [RATE_LIMITED], [RATE_LIMITED, RATE_LIMITED]], ids=["success", "429", "429s"])
def test_requests_arrive_no_closer_than_the_vendor_allows(script: list[RateLimitedError]) -> None:
    """After a success on demand, and after a 429 whose Retry-After is shorter than the vendor's own rule."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.upstreams["one"].script = list(script)
        async with world.running(provider("a", SlowToArrive())) as supervisor:
            await anyio.sleep(4)
            if not script:
                await supervisor.refresh("a", if_generation=None, reason="test", admin=True)
            await anyio.sleep(60)
            calls = world.upstreams["one"].calls
            assert len(calls) == max(2, len(script) + 1)
            assert min(first.until(second) for first, second in pairwise(calls)) >= 10

    run_virtually(main)


def test_the_pause_holds_across_a_crash() -> None:
    """kill -9 right after a success, and at once a reader who wants a newer token."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", SlowToArrive())):
            await anyio.sleep(4)
        async with world.running(provider("a", SlowToArrive())) as supervisor:
            await supervisor.refresh("a", if_generation=None, reason="test", admin=True)
            first, second = world.upstreams["one"].calls
            assert first.until(second) >= 10

    run_virtually(main)


@pytest.mark.parametrize("how", ["crash", "rename"])
@pytest.mark.parametrize("valid", [False, True], ids=["without a token", "with a valid token"])
def test_an_attempt_that_was_broken_off_counts_as_a_failure(how: str, valid: bool) -> None:
    """What came of it is not known, so it was no success: 5 s (P3). A crash loop is no loop of requests."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        upstream = world.upstreams["one"]
        upstream.life, upstream.latency = 600.0, 0.1 if valid else 1000.0
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(0.5)
            upstream.latency = 1000.0
            while not held(supervisor.entries["a"]).refresher.is_busy:  # noqa: ASYNC110  (no event for it)
                await anyio.sleep(0.5)
            (*_, first) = upstream.calls
            if how == "rename":
                await supervisor.apply(config(provider("b", FakeHeld())))
                await anyio.sleep(60)
        async with world.running(provider("b" if how == "rename" else "a", FakeHeld())):
            await anyio.sleep(60)
        later = upstream.calls[upstream.calls.index(first) :]
        assert len(later) == (3 if how == "rename" else 2)
        assert min(one.until(other) for one, other in pairwise(later)) >= 5

    run_virtually(main)


class FakeShared(FakeHeld):
    """A kind whose vendor counts an account's requests, over all its providers."""

    request_interval_seconds: ClassVar[float] = 10.0
    interval_is_per_account: ClassVar[bool] = True


def test_providers_of_one_account_take_turns() -> None:
    """Where the vendor counts per account (TT: one request per 10 s and key), two tables with one key are one asker."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        mine, other = world.upstreams["one"], Upstream(clock)
        world.upstreams["two"] = other
        mine.life = 60.0
        every = [
            provider("a", FakeShared()),
            provider("b", FakeShared(refresh_before=timedelta(seconds=20))),
            provider("c", FakeShared(base_url="two")),
        ]
        for _ in range(3):
            async with world.running(*every):
                await anyio.sleep(150)
        assert len(mine.calls) > 8
        assert min(one.until(two) for one, two in pairwise(mine.calls)) >= 10
        assert other.calls[0].boot < mine.calls[0].boot + 3

    run_virtually(main)


class FakeKeyed(FakeShared):
    """Its account is what the key's place holds, not the place."""

    username: Annotated[str, Role.REQUEST] = "somebody"
    key: Annotated[SecretField | None, Role.ACCOUNT] = None


@pytest.mark.parametrize("crash", [False, True], ids=["running on", "in a crash loop"])
def test_providers_of_one_account_take_turns_also_where_each_names_it_in_its_own_way(crash: bool) -> None:
    """One key in two environment variables: the vendor sees one key."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock, environ={"HERE": "fake-key", "THERE": "fake-key", "ELSEWHERE": "another-fake-key"})
        upstream = world.upstreams["one"]
        upstream.life = 60.0
        lone = Upstream(clock)
        world.upstreams["two"] = lone
        every = [
            provider("a", FakeKeyed(key=SecretSource(env="HERE"))),
            provider("b", FakeKeyed(key=SecretSource(env="THERE"), refresh_before=timedelta(seconds=20))),
            provider("c", FakeKeyed(key=SecretSource(env="ELSEWHERE"), base_url="two")),
        ]
        for _ in range(30 if crash else 1):
            async with world.running(*every):
                await anyio.sleep(7 if crash else 600)
        assert len(upstream.calls) > 8
        assert min(one.until(two) for one, two in pairwise(upstream.calls)) >= 10
        assert lone.calls[0].boot < upstream.calls[0].boot + 3

    run_virtually(main)


class SlowToRead(FakeRuntime):
    """A runtime whose secrets take five seconds to be read."""

    async def reveal(self, source: SecretSource) -> Secret:
        await self.clock.sleep(5.0)
        return await super().reveal(source)


class OneReadsSlowly(World):
    """The secrets of those with a lead of their own are slow to be read, once ``slow``."""

    slow = False

    def _runtime(self, settings: FakeKeyed) -> SlowToRead | FakeRuntime:
        kind = SlowToRead if self.slow and settings.refresh_before else FakeRuntime
        return kind(self.clock, self.upstreams, self.environ)


@pytest.mark.parametrize("places", ["HERE HERE", "HERE THERE"], ids=["one place, no token yet", "two places"])
def test_those_of_one_account_take_turns_before_all_of_its_secrets_were_read(places: str) -> None:
    """After a restart one asks at once, while the other, that has asked just now, is still reading its key."""

    async def main(clock: VirtualClock) -> None:
        world = OneReadsSlowly(clock, environ={"HERE": "fake-key", "THERE": "fake-key"})
        upstream = world.upstreams["one"]
        upstream.life = 60.0
        here, there = (SecretSource(env=place) for place in places.split())
        first = provider("a", FakeKeyed(key=here))
        # Another request of the same account: it is not the first one under another name.
        second = provider("b", FakeKeyed(key=there, username="b", refresh_before=timedelta(seconds=30)))
        async with world.running(first, *([second] if places == "HERE THERE" else [])):
            await anyio.sleep(20)
        await anyio.sleep(34)  # the first is due now, and valid still
        upstream.broken = lambda now: TransientError("down")
        asked = len(upstream.calls)
        async with world.running(second):
            while len(upstream.calls) == asked:  # noqa: ASYNC110  (no event for it)
                await anyio.sleep(0.1)
        world.slow = True
        async with world.running(first, second):
            await anyio.sleep(60)
        assert len(upstream.calls) > asked + 2
        assert min(one.until(two) for one, two in pairwise(upstream.calls)) >= 10

    run_virtually(main)


class SlowThreads(InlineThreads):
    """A disk on which each write, in a queue of others, takes up to fifteen seconds."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._draw = random.Random(7)

    async def run(self, call: Callable[[], T], *, seconds: float) -> T:
        await self._clock.sleep(self._draw.uniform(0, 15))
        return call()


def test_they_take_turns_also_where_each_note_of_a_request_takes_seconds() -> None:
    """What counts is when requests leave, not when somebody meant to send them."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.disk_threads = SlowThreads(clock)
        mine = world.upstreams["one"]
        mine.life = 90.0
        every = [provider(name, FakeShared(refresh_before=timedelta(seconds=20 + n))) for n, name in enumerate("abc")]
        async with world.running(*every):
            await anyio.sleep(3000)
        assert len(mine.calls) > 100
        assert min(one.until(two) for one, two in pairwise(mine.calls)) >= 10

    run_virtually(main)


def test_a_request_that_left_long_after_it_was_noted_counts_from_the_crash() -> None:
    """Saving that a request is made took four seconds; then it left, and the daemon died. 5 s from there (P3)."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        upstream = world.upstreams["one"]
        world.disk_threads, upstream.latency = SlowThreads(clock), 1000.0
        async with world.running(provider("a", FakeHeld())):
            while not upstream.calls:  # noqa: ASYNC110  (no event for it)
                await anyio.sleep(0.01)
        world.disk_threads = InlineThreads()
        async with world.running(provider("a", FakeHeld())):
            await anyio.sleep(60)
        first, second = upstream.calls
        assert first.until(second) >= 5

    run_virtually(main)


def test_a_daemon_that_dies_every_three_seconds_asks_again_once_the_minimum_interval_is_over() -> None:
    """The minimum interval counts from the first start after the crash, not from each start."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        upstream = world.upstreams["one"]
        upstream.latency = 1000.0
        async with world.running(provider("a", FakeHeld())):
            while not upstream.calls:  # noqa: ASYNC110  (no event for it)
                await anyio.sleep(0.01)
        upstream.latency = 0.1
        for _ in range(4):
            async with world.running(provider("a", FakeHeld())) as supervisor:
                await anyio.sleep(3)
                held = supervisor.entries["a"].lease
        first, second = upstream.calls
        assert first.until(second) >= 5
        assert held is not None

    run_virtually(main)


def test_a_secret_that_was_fixed_right_after_a_refusal_waits_for_the_minimum_interval_also_across_a_restart() -> None:
    """The refusal is forgiven, and that it was a failure is not (P3)."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock, environ={"KEY": "wrong"})
        upstream = world.upstreams["one"]
        upstream.script = [RejectedError("401")]
        every = [provider("a", FakeKeyed(key=SecretSource(env="KEY")))]
        async with world.running(*every) as supervisor:
            while supervisor.entries["a"].status().failures == 0:  # noqa: ASYNC110  (no event for it)
                await anyio.sleep(0.01)
            world.environ["KEY"] = "right"
            held(supervisor.entries["a"]).refresher.secrets_changed()
            await anyio.sleep(0.1)
        async with world.running(*every):
            await anyio.sleep(30)
        first, second = upstream.calls
        assert first.until(second) >= 5

    run_virtually(main)
