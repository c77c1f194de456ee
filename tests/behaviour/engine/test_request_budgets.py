"""P3: how often an upstream may be asked, whatever upstreams, restarts, settings and readers do."""

from contextlib import suppress
from itertools import pairwise
from typing import NoReturn

import anyio
import pytest

from tests.expecting import held, present
from tests.fakes import HOUR, FakeHeld, FakeRuntime, Upstream, World, config, literal, provider
from tests.virtual import VirtualClock, run_virtually, until
from tokend.engine.supervisor import Supervisor
from tokend.values.errors import (
    RateLimitedError,
    ReaderError,
    RejectedError,
    ThrottledError,
    TokenUnavailableError,
    TransientError,
)
from tokend.values.status import State
from tokend.values.tokens import Token

DOWN, NO = TransientError("down"), RejectedError("InvalidCredentials")


def bug(_: object) -> NoReturn:
    raise ZeroDivisionError


def gaps(upstream: Upstream) -> list[float]:
    return [b.boot - a.boot for a, b in pairwise(upstream.calls)]


async def hammer(supervisor: Supervisor, name: str = "a", *, every: float = 7.0) -> None:
    """A reader that reports each token as refused, for ever."""
    while True:
        lease = supervisor.entries[name].lease
        generation = None if lease is None else lease.generation
        with suppress(ReaderError):
            await supervisor.refresh(name, if_generation=generation, reason="unauthorized", admin=False)
        await anyio.sleep(every)


def between(upstream: Upstream, begin: float, end: float) -> int:
    """Calls between two boot times."""
    return sum(begin <= call.boot < end for call in upstream.calls)


def test_an_outage_has_its_budget_also_while_readers_hammer() -> None:
    """80 requests in the first hour, 40 in the hour around the expiry, 20 in any later one, readers' included."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        async with world.running(provider("a", FakeHeld())) as supervisor, anyio.create_task_group() as tasks:
            await anyio.sleep(10)
            up.broken = lambda now: DOWN
            start, expiry = clock.instant().boot, present(present(supervisor.entries["a"].lease).token.expires_at).boot
            tasks.start_soon(hammer, supervisor)
            await anyio.sleep(40 * HOUR)
            tasks.cancel_scope.cancel()
        assert between(up, start, start + HOUR) <= 80
        assert between(up, expiry - HOUR / 2, expiry + HOUR / 2) <= 40
        for hour in range(1, 39):
            begin = start + hour * HOUR
            if abs(begin + HOUR / 2 - expiry) > HOUR:
                assert 1 <= between(up, begin, begin + HOUR) <= 20
        assert min(gaps(up)) >= 5.0

    run_virtually(main)


def test_readers_learn_when_a_long_outage_lets_them_ask_again_and_an_admin_need_not_wait() -> None:
    """429 with retry_at; for admins only the minimum interval of 5 s counts."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.upstreams["one"].broken = lambda now: DOWN
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(3 * HOUR)
            worker = held(supervisor.entries["a"]).refresher
            await until(lambda: clock.instant().until(present(worker.next_attempt())) > 120, seconds=HOUR)
            with pytest.raises(ThrottledError) as refused:
                await supervisor.fresh("a", 1, admin=False)
            assert 0 < present(refused.value.retry_at) - clock.instant().wall.timestamp() <= 180
            with pytest.raises(TokenUnavailableError):
                await supervisor.fresh("a", 1, admin=True)

    run_virtually(main)


def test_an_upstream_that_asks_for_five_seconds_again_and_again_is_asked_ever_more_rarely() -> None:
    """Retry-After is a wish, not a way to be hammered: the budget of an outage holds."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        up.broken = lambda now: RateLimitedError("answered 429", retry_after=5)
        async with world.running(provider("a", FakeHeld())):
            await anyio.sleep(HOUR)
            assert len(up.calls) <= 80
            before = len(up.calls)
            await anyio.sleep(HOUR)
            assert len(up.calls) - before <= 20

    run_virtually(main)


def test_a_bug_is_paused_for_like_any_other_failure_and_shown() -> None:
    """docs/promises.md 70, 75 and P8: no request loop; status and the readers' errors say what is wrong."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        up.broken = bug
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(20)
            with pytest.raises(TokenUnavailableError, match="broken off"):
                await supervisor.fresh("a", 1, admin=True)
            await anyio.sleep(HOUR)
            assert len(up.calls) <= 80
            status = supervisor.entries["a"].status()
            assert (status.state, present(status.last_error).reason) == (State.PENDING, "internal")
            up.broken = lambda now: None
            await anyio.sleep(310)
            assert supervisor.entries["a"].status().state is State.VALID

    run_virtually(main)


def test_an_upstream_that_returns_the_token_that_has_expired_is_not_asked_every_second() -> None:
    """docs/promises.md 18 and 19: the same token is no publish, a dead one a failure; its end is never rewritten."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        up.life = HOUR
        up.script = ["fake-token-for-ever"] * 500
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            expires = present(supervisor.entries["a"].lease).token.expires_at
            await anyio.sleep(0.99 * HOUR)
            before = len(up.calls)
            assert before <= 15
            await anyio.sleep(HOUR)
            status = supervisor.entries["a"].status()
            assert len(up.calls) - before <= 40
            assert present(supervisor.entries["a"].lease).token.expires_at == expires
            assert (status.state, present(status.last_error).reason) == (State.EXPIRED, "transient")

    run_virtually(main)


def test_a_restart_is_no_way_around_backoff_nor_rejection_of_settings_that_never_worked() -> None:
    """The last request, the failures and `rejected` are persisted, also where the old token was got otherwise."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        async with world.running(provider("a", FakeHeld(key=literal("good")))):
            await anyio.sleep(10)
        up.broken = lambda now: NO
        for _ in range(5):
            async with world.running(provider("a", FakeHeld(key=literal("bad")))) as supervisor:
                await anyio.sleep(HOUR)
                status = supervisor.entries["a"].status()
                assert (status.state, status.valid) == (State.REJECTED, True)
        assert len(up.calls) == 2
        up.broken = lambda now: DOWN
        async with world.running(provider("a", FakeHeld(key=literal("worse")))):
            await anyio.sleep(2 * HOUR)
        before = len(up.calls)
        for _ in range(20):
            async with world.running(provider("a", FakeHeld(key=literal("worse")))):
                await anyio.sleep(2)
        assert len(up.calls) - before <= 1

    run_virtually(main)


def test_a_pause_that_a_host_asked_for_binds_its_other_providers_after_a_restart_too() -> None:
    """Retry-After is per upstream host, and a restart is no way around it."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        up.script = [RateLimitedError("answered 429", retry_after=600)]
        one, other = provider("a", FakeHeld()), provider("b", FakeHeld(username="b"))
        async with world.running(one):
            await anyio.sleep(10)
        async with world.running(other, one) as supervisor:
            await anyio.sleep(500)
            assert len(up.calls) == 1
            await anyio.sleep(200)
            assert {entry.status().state for entry in supervisor.entries.values()} == {State.VALID}

    run_virtually(main)


def test_a_pause_is_the_hosts_that_asked_for_it_and_not_its_successors() -> None:
    """Settings that point elsewhere are not held up by it, neither by a reload nor over a restart."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up, world.upstreams["two"] = world.upstreams["one"], Upstream(clock)
        up.latency, up.broken = 5, lambda now: RateLimitedError("answered 429", retry_after=3600)
        elsewhere = provider("a", FakeHeld(base_url="two"))
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(4)
            await supervisor.apply(config(elsewhere))
            await anyio.sleep(12)
            assert supervisor.entries["a"].status().state is State.VALID
        async with world.running(provider("b", FakeHeld(username="b"))):
            await anyio.sleep(10)
        async with world.running(provider("b", FakeHeld(username="b", base_url="two"))) as supervisor:
            await anyio.sleep(10)
            assert supervisor.entries["b"].status().state is State.VALID

    run_virtually(main)


class Twice(FakeHeld):
    """A kind whose attempts take two requests each."""

    async def fetch(self, runtime: FakeRuntime, previous: Token | None) -> Token:
        runtime.requests += 2
        return await super().fetch(runtime, previous)


def test_an_attempt_of_two_requests_pays_for_both() -> None:
    """The budgets of P3 are about requests: an extension that is refused, then a login, wait twice as long."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        async with world.running(provider("a", Twice())) as supervisor, anyio.create_task_group() as tasks:
            await anyio.sleep(10)
            up.broken = lambda now: DOWN
            start = clock.instant().boot
            tasks.start_soon(hammer, supervisor)
            await anyio.sleep(9 * HOUR)
            tasks.cancel_scope.cancel()
        first = up.answered[-1].boot
        outage = next(call.boot for call in up.calls if call.boot > max(start, first))
        assert 2 * between(up, outage, outage + HOUR) <= 80
        for hour in range(1, 7):
            assert 2 <= 2 * between(up, outage + hour * HOUR, outage + (hour + 1) * HOUR) <= 20

    run_virtually(main)


def test_an_outage_that_begins_with_an_hours_pause_has_no_burst_after_it() -> None:
    """P3: 20 requests in any hour after the first: growing pauses from 5 s on are the first hour's."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        async with world.running(provider("a", Twice())) as supervisor:
            await anyio.sleep(10)
            ends = present(present(supervisor.entries["a"].lease).token.expires_at).boot
            up.script = [RateLimitedError("answered 429", retry_after=3600)]
            up.broken = lambda now: DOWN
            await until(lambda: len(up.calls) > 2, seconds=13 * HOUR)
            (_, begun, again, *_) = [call.boot for call in up.calls]
            await anyio.sleep(HOUR)
        assert again - begun >= HOUR
        assert again + HOUR < ends
        assert 2 * between(up, again, again + HOUR) <= 20

    run_virtually(main)
