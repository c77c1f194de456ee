"""A pause that a host asked for binds all of its providers, from the moment it is known, also across restarts."""

from collections.abc import Callable
from datetime import timedelta

import anyio
import pytest

from tests.expecting import present
from tests.fakes import HOUR, FakeHeld, FakeLocal, FakeOnDemand, InlineThreads, T, World, config, literal, provider
from tests.virtual import VirtualClock, run_virtually
from tokend.config.model import ProviderConfig
from tokend.plugin.settings_base import Percentage
from tokend.values.errors import RateLimitedError, ReaderError, TokenUnavailableError, TransientError

ASKED = 900.0


def crowd() -> list[ProviderConfig]:
    return [provider(name, FakeHeld(username=name)) for name in "abc"]


class SlowToSave(InlineThreads):
    """Each save takes two seconds."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock

    async def run(self, call: Callable[[], T], *, seconds: float) -> T:
        await self._clock.sleep(2.0)
        return call()


def test_nobody_asks_once_the_host_has_asked_for_a_pause() -> None:
    """Others that have noted their request, or do while the pause is being saved, have not sent it yet."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        upstream = world.upstreams["one"]
        upstream.broken = lambda now: RateLimitedError("429", retry_after=ASKED)
        world.disk_threads = SlowToSave(clock)
        async with world.running(*crowd()):
            await anyio.sleep(ASKED / 2)
            first, *others = upstream.calls
            assert not [call for call in others if first.until(call) > upstream.latency]
            await anyio.sleep(ASKED)
            assert len(upstream.calls) > 1 + len(others)

    run_virtually(main)


@pytest.mark.parametrize("how", ["removed", "another kind"])
def test_a_restart_forgets_no_pause_also_where_the_provider_that_heard_it_is_gone(how: str) -> None:
    """Retry-After binds all providers of the host (P3)."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        upstream = world.upstreams["one"]
        lead = Percentage(0.5)
        upstream.life = 600.0
        other = provider("b", FakeHeld(username="b", refresh_before=lead))
        async with world.running(provider("a", FakeHeld(username="a")), other) as supervisor:
            await anyio.sleep(10)
            upstream.broken = lambda now: RateLimitedError("429", retry_after=ASKED)
            with pytest.raises(Exception, match="429"):
                await supervisor.refresh("a", if_generation=None, reason="test", admin=True)
            asked = len(upstream.calls)
            heir = [provider("a", FakeLocal(secret=literal("fake-key")))] if how == "another kind" else []
            await supervisor.apply(config(*heir, other))
        async with world.running(*heir, other):
            await anyio.sleep(ASKED - 60)
            assert len(upstream.calls) == asked
            await anyio.sleep(120)
            assert len(upstream.calls) > asked

    run_virtually(main)


@pytest.mark.parametrize("kind", ["held", "on demand"])
@pytest.mark.parametrize("wrong", [-24 * HOUR, 24 * HOUR, 0.0])
def test_a_boot_with_a_wrong_clock_makes_no_pause_longer_than_was_asked_for(wrong: float, kind: str) -> None:
    """Retry-After: 30 is over 30 s after the boot at the latest, for timers and admins, whatever the clock says."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        limited = RateLimitedError("429", retry_after=30)
        crowd = [provider("a", FakeHeld() if kind == "held" else FakeOnDemand()), provider("b", FakeHeld(username="b"))]
        async with world.running(*crowd) as supervisor:
            await anyio.sleep(10)
            up.script = [limited]
            with pytest.raises(ReaderError, match="429"):
                await (supervisor.issue("a", {}) if kind == "on demand" else ask(world, "a"))
            assert world.limits.seconds("one", clock.instant()) == pytest.approx(30, abs=1)
        world.state.boot_id = "boot-2"
        clock.suspend(5)
        clock.step(wrong)
        async with world.running(*crowd):
            await anyio.sleep(1)
            assert world.limits.seconds("one", clock.instant()) <= 30
            if wrong < 0:  # it is not known how long the machine was off
                with pytest.raises(ReaderError, match=r"pause of 2\d more seconds|429"):
                    await ask(world, "b", 0.1)
            clock.step(-wrong)
            await anyio.sleep(0.1)
            assert world.limits.seconds("one", clock.instant()) == pytest.approx(30 - 5 - 1, abs=1)
            await anyio.sleep(25)
            asked = len(up.calls)
            await ask(world, "b")
            assert len(up.calls) == asked + 1

    run_virtually(main)


async def ask(world: World, name: str, seconds: float = 60.0) -> None:
    """Refresh as an admin."""
    try:
        with anyio.fail_after(seconds):
            await world.supervisor.refresh(name, if_generation=None, reason="test", admin=True)
    except TimeoutError:
        raise TokenUnavailableError("pause of 29 more seconds: it waits") from None


def test_a_clock_that_is_set_after_the_boot_ends_a_failures_pause_too() -> None:
    """The backoff of a failing provider: booted behind, it waits for what was left; set right, no longer than that."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        up.broken = lambda now: TransientError("down")
        async with world.running(provider("a", FakeHeld())):
            await anyio.sleep(1800)
            upcoming = present(world.store.get("a").next_attempt)
            left = clock.instant().until(upcoming)
            assert left > 30
        world.state.boot_id = "boot-2"
        clock.suspend(left - 20)
        clock.step(-24 * HOUR)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            waits = clock.instant()
            shown = present(supervisor.entries["a"].status().next_attempt_at) - waits.wall
            assert left < shown.total_seconds() <= 300
            clock.step(24 * HOUR)
            asked = len(up.calls)
            await anyio.sleep(21)
            assert len(up.calls) == asked + 1

    run_virtually(main)


def test_status_says_until_when_and_by_whose_rate_limit_a_provider_is_held_back() -> None:
    """The host, and the provider that it answered; also after a restart, until the pause is over."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        others = [provider("b", FakeHeld(username="b")), provider("links", FakeOnDemand())]
        every = [provider("a", FakeHeld()), *others, provider("c", FakeLocal(secret=literal("fake-key")))]
        async with world.running(*every) as supervisor:
            await anyio.sleep(10)
            assert supervisor.entries["b"].status().paused_until is None
            up.script = [RateLimitedError("429", retry_after=ASKED)]
            with pytest.raises(ReaderError, match="429"):
                await ask(world, "a")
            until = clock.instant().wall + timedelta(seconds=ASKED)
        async with world.running(*every) as supervisor:
            for name in ("a", "b", "links"):
                status = supervisor.entries[name].status()
                assert abs(present(status.paused_until) - until) < timedelta(seconds=1)
                assert (status.paused_by, status.paused_token) == ("one", "a")
            assert supervisor.entries["c"].status().paused_until is None
            clock.step(-HOUR)
            shown = present(supervisor.entries["b"].status().paused_until)
            assert abs(shown + timedelta(hours=1) - until) < timedelta(seconds=1)
            await anyio.sleep(ASKED)
            status = supervisor.entries["b"].status()
            assert (status.paused_until, status.paused_by, status.paused_token) == (None, None, None)

    run_virtually(main)
