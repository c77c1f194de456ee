"""Announcements of one sink: they delay no write, one covers all changes so far, and they can wait on purpose."""

from collections.abc import Callable
from typing import Literal, TypeVar

import anyio
import pytest

from tests.fakes import FakeHeld, FakeSink, HangingThreads, InlineThreads, World, provider
from tests.virtual import VirtualClock, run_virtually
from tokend.engine.publishing.publisher import Publisher
from tokend.plugin.settings import AnnouncementTiming
from tokend.values.errors import SinkError
from tokend.values.status import SinkStatus

T = TypeVar("T")


class DelayedSink(FakeSink):
    """A sink that announces as its fields say."""

    kind: Literal["fake-delayed"] = "fake-delayed"  # type: ignore[assignment]  # each kind has a name of its own
    debounce: float = 0.0
    splay: float = 0.0
    interval: float = 0.0

    def announcement_timing(self) -> AnnouncementTiming:
        return AnnouncementTiming(self.debounce, self.splay, self.interval)


class SlowThreads(InlineThreads):
    """Threads whose calls take ten seconds."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock

    async def run(self, call: Callable[[], T], *, seconds: float) -> T:
        await self._clock.sleep(10)
        return call()


class SilentSink(FakeSink):
    """A sink without announcements."""

    kind: Literal["fake-silent"] = "fake-silent"  # type: ignore[assignment]

    def announcement_timing(self) -> None:
        return None


def sink_of(world: World) -> SinkStatus:
    status: SinkStatus = world.supervisor.entries["a"].status().sinks[0]
    return status


def state_of_hook(world: World) -> str:
    """The state of the announcement, also before the first one."""
    found = sink_of(world).hook
    assert found is not None
    return found.state


def hook(world: World) -> tuple[str, float]:
    """The state of the announcement, and the seconds since it is in that state."""
    found = sink_of(world).hook
    assert found is not None
    assert found.since is not None
    return found.state, (world.clock.instant().wall - found.since).total_seconds()


async def until(look: Callable[[], object]) -> None:
    """Look each tenth of a second, for a thousand seconds."""
    for _ in range(10_000):
        if look():
            return
        await anyio.sleep(0.1)
    raise AssertionError("nothing came within a thousand seconds")


def test_an_announcement_that_hangs_delays_no_write() -> None:
    """The file has each generation at once; status says since when the announcement runs. Another one follows it."""

    async def main(clock: VirtualClock) -> None:
        commands = HangingThreads(clock)
        commands.hanging = True
        world = World(clock, commands=commands)
        async with world.running(provider("a", FakeHeld(), FakeSink())) as supervisor:
            await anyio.sleep(12)
            state, seconds = hook(world)
            assert (state, round(seconds)) in {("running", 11), ("running", 12)}
            assert (sink_of(world).state, supervisor.ready) == ("ok", True)
            await supervisor.refresh("a", if_generation=None, reason="other", admin=True)
            await anyio.sleep(0.1)
            assert world.disk == {"somewhere": "fake-token-2"}
            assert sink_of(world).state == "ok"
            commands.release()
            await anyio.sleep(120)
            assert hook(world)[0] == "idle"

    run_virtually(main)


def test_a_change_during_an_announcement_gets_its_own() -> None:
    """The program may have read the file before the change."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock, commands=SlowThreads(clock))
        async with world.running(provider("a", FakeHeld(), FakeSink())) as supervisor:
            await anyio.sleep(6)
            await supervisor.refresh("a", if_generation=None, reason="other", admin=True)
            assert world.announced == []
            await anyio.sleep(60)
            assert world.announced == ["somewhere"] * 2
            assert hook(world)[0] == "idle"

    run_virtually(main)


@pytest.mark.parametrize(("changes", "announced_after"), [(1, 20.0), (3, 32.0)])
def test_debounce_waits_for_a_quiet_time(changes: int, announced_after: float) -> None:
    """Changes 6 s apart, each within the 20 s of quiet that are asked for, are announced once."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld(), DelayedSink(debounce=20.0))) as supervisor:
            await anyio.sleep(0.2)
            start = world.clock.instant()
            for _ in range(changes - 1):
                await anyio.sleep(6)
                await supervisor.refresh("a", if_generation=None, reason="other", admin=True)
            await until(lambda: world.announced)
            assert start.until(clock.instant()) == pytest.approx(announced_after, abs=0.5)
            await anyio.sleep(300)
            assert world.announced == ["somewhere"]

    run_virtually(main)


def test_a_token_that_always_changes_is_announced_all_the_same() -> None:
    """After ten times the debounce at the latest."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld(), DelayedSink(debounce=8.0))) as supervisor:
            for _ in range(13):
                await anyio.sleep(6)
                await supervisor.refresh("a", if_generation=None, reason="other", admin=True)
            assert world.announced == []
            await anyio.sleep(3)
            assert world.announced == ["somewhere"]

    run_virtually(main)


def test_splay_differs_from_host_to_host() -> None:
    """A random time up to the splay, drawn for each change."""
    delays = []

    async def main(clock: VirtualClock) -> None:
        for seed in range(8):
            world = World(clock, seed=seed)
            async with world.running(provider("a", FakeHeld(), DelayedSink(splay=30.0))):
                await until(lambda world=world: world.disk)  # type: ignore[misc]
                start = clock.instant()
                await until(lambda world=world: world.announced)  # type: ignore[misc]
                delays.append(start.until(clock.instant()))

    run_virtually(main)
    assert len(set(delays)) > 5
    assert all(0 <= delay <= 30.2 for delay in delays)


def test_a_failed_announcement_shows_and_is_retried_without_a_write() -> None:
    """A bug, too; a write meanwhile leaves the error in sight."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.stumbles["announce", "somewhere"] = SinkError("the command failed")
        async with world.running(provider("a", FakeHeld(), FakeSink())) as supervisor:
            await anyio.sleep(20)
            assert hook(world)[0] == "failed"
            assert (sink_of(world).state, sink_of(world).error) == ("failing", "the command failed")
            await supervisor.refresh("a", if_generation=None, reason="other", admin=True)
            await anyio.sleep(0.2)
            assert world.disk == {"somewhere": "fake-token-2"}
            assert sink_of(world).error == "the command failed"
            world.stumbles["announce", "somewhere"] = ZeroDivisionError("a bug")
            await anyio.sleep(120)
            assert hook(world)[0] == "failed"
            assert "bug" in str(sink_of(world).error)
            world.stumbles.clear()
            await anyio.sleep(120)
            assert (hook(world)[0], sink_of(world).state, sink_of(world).error) == ("idle", "ok", None)
            assert world.announced == ["somewhere"]

    run_virtually(main)


def test_after_a_failure_a_later_change_has_its_own_quiet_time() -> None:
    """The earlier change is not announced before it: one announcement covers both."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock, commands=SlowThreads(clock))
        world.stumbles["announce", "somewhere"] = SinkError("the command failed")
        async with world.running(provider("a", FakeHeld(), DelayedSink(debounce=60.0))) as supervisor:
            await until(lambda: world.written)
            await until(lambda: state_of_hook(world) == "running")
            await supervisor.refresh("a", if_generation=None, reason="other", admin=True)
            changed = clock.instant()
            await until(lambda: state_of_hook(world) == "failed")
            world.stumbles.clear()
            await until(lambda: world.announced)
            assert changed.until(clock.instant()) == pytest.approx(70.0, abs=1.0)

    run_virtually(main)


def test_a_single_run_waits_for_an_announcement_that_runs() -> None:
    """The change is announced when the command has ended, not when it has begun."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock, commands=SlowThreads(clock))
        async with world.running(provider("a", FakeHeld(), FakeSink())) as supervisor:
            await until(lambda: state_of_hook(world) == "running")
            assert supervisor.outcome() is None
            await until(lambda: world.announced)
            await until(lambda: supervisor.outcome() is not None)

    run_virtually(main)


def test_a_sink_without_announcements_has_no_hook() -> None:
    """Its row says null, and no task waits for it."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld(), SilentSink())) as supervisor:
            await anyio.sleep(20)
            assert sink_of(world).hook is None
            assert supervisor.ready
            assert world.announced == []

    run_virtually(main)


def test_an_interval_keeps_announcements_apart_and_the_last_change_is_announced() -> None:
    """Three changes in an hour: the first at once, then one for the other two. Waiting for it is no debt of a run."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld(), DelayedSink(interval=3600.0))) as supervisor:
            start = clock.instant()
            await until(lambda: world.announced)
            for _ in range(2):
                await anyio.sleep(60)
                await supervisor.refresh("a", if_generation=None, reason="other", admin=True)
            await anyio.sleep(60)
            assert world.announced == ["somewhere"]
            [publisher] = supervisor._sinks["a"]._publishers
            assert isinstance(publisher, Publisher)
            assert not publisher.owes_announcement()
            await anyio.sleep(3595 - start.until(clock.instant()))
            assert world.announced == ["somewhere"]
            await anyio.sleep(10)
            assert world.announced == ["somewhere"] * 2
            await anyio.sleep(20_000)
            assert world.announced == ["somewhere"] * 2

    run_virtually(main)


@pytest.mark.parametrize(("may_have_acted", "seconds"), [(False, 2.0), (True, 3600.0)])
def test_a_failed_announcement_waits_for_the_interval_if_it_may_have_been_heard(
    may_have_acted: bool, seconds: float
) -> None:
    """A refusal is repeated soon; an announcement whose answer was lost counts as one."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        error = SinkError("somewhere: the answer was lost")
        error.may_have_acted = may_have_acted
        world.stumbles["announce", "somewhere"] = error
        async with world.running(provider("a", FakeHeld(), DelayedSink(interval=3600.0))):
            await until(lambda: state_of_hook(world) == "failed")
            del world.stumbles["announce", "somewhere"]
            await anyio.sleep(seconds - 2)
            assert world.announced == []
            await anyio.sleep(4)
            assert world.announced == ["somewhere"]

    run_virtually(main)
