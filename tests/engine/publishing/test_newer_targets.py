"""A file that shows a newer token than the saved state: generations never fall."""

import anyio
import pytest

from tests.fakes import (
    FakeCombiningSink,
    FakeFile,
    FakeHeld,
    FakeShowingFile,
    FakeSink,
    HangingThreads,
    World,
    config,
    provider,
)
from tests.virtual import VirtualClock, run_virtually, until
from tokend.values.errors import TransientError

FILES = FakeShowingFile(path="shown"), FakeFile(path="raw"), FakeSink(path="plain")


async def an_older_state(clock: VirtualClock) -> tuple[World, int]:
    """The engine after its newest token went into the files only, and the generation of that token."""
    world = World(clock)
    async with world.running(provider("a", FakeHeld(), *FILES)) as supervisor:
        await until(lambda: supervisor.ready, seconds=5)
        await anyio.sleep(10)
        world.state.broken = True
        await supervisor.refresh("a", if_generation=None, reason="", admin=True)
        await until(lambda: set(world.disk.values()) == {"fake-token-2"}, seconds=5)
        lease = supervisor.entries["a"].lease
        assert lease is not None
    world.state.broken = False
    world.shown["shown"] = lease.generation
    world.written.clear()
    return world, lease.generation


def test_an_older_token_is_written_over_no_newer_one_and_a_refresh_is_due_at_once() -> None:
    """Nor into the files beside it, which cannot show what they hold. The new generation is above."""

    async def main(clock: VirtualClock) -> None:
        world, newer = await an_older_state(clock)
        world.upstreams["one"].latency = 3
        async with world.running(provider("a", FakeHeld(), *FILES)) as supervisor:
            await anyio.sleep(2)
            assert set(world.disk.values()) == {"fake-token-2"}
            status = supervisor.entries["a"].status()
            assert [sink.state for sink in status.sinks] == ["waiting"] * 3
            assert status.sinks[1].error == "raw: waits for a newer token of a"
            assert status.note is not None
            assert "newer token than the saved state" in status.note
            assert not supervisor.ready
            await until(lambda: supervisor.ready, seconds=12)
            assert set(world.disk.values()) == {"fake-token-3"}
            status = supervisor.entries["a"].status()
            assert status.generation is not None
            assert status.generation > newer
            assert status.note is None
            assert ("raw", "fake-token-1") not in world.written
        async with world.running(provider("a", FakeHeld(), *FILES)) as supervisor:
            await anyio.sleep(60)
            assert len(world.upstreams["one"].calls) == 3

    run_virtually(main)


def test_a_reader_that_has_seen_the_newer_generation_is_no_conflict() -> None:
    """Its report of a 401 causes the refresh, and gets the new token."""

    async def main(clock: VirtualClock) -> None:
        world, newer = await an_older_state(clock)
        async with world.running(provider("a", FakeHeld(), *FILES)) as supervisor:
            lease = await supervisor.refresh("a", if_generation=newer, reason="unauthorized", admin=False)
            assert lease.generation > newer

    run_virtually(main)


def test_the_same_token_again_gets_a_generation_above_the_newer_one() -> None:
    """An upstream may give the token that it gave before the state was lost."""

    async def main(clock: VirtualClock) -> None:
        world, newer = await an_older_state(clock)
        world.upstreams["one"].script = ["fake-token-1"]
        async with world.running(provider("a", FakeHeld(), *FILES)) as supervisor:
            await until(lambda: supervisor.ready, seconds=15)
            assert set(world.disk.values()) == {"fake-token-1"}
            assert (supervisor.entries["a"].status().generation or 0) > newer

    run_virtually(main)


def test_a_refresh_that_fails_leaves_the_newer_token_in_the_files() -> None:
    """The older one is served meanwhile; the attempts follow the usual backoff."""

    async def main(clock: VirtualClock) -> None:
        world, _ = await an_older_state(clock)
        began = clock.instant()
        world.upstreams["one"].broken = lambda now: TransientError("down") if began.until(now) < 600 else None
        async with world.running(provider("a", FakeHeld(), *FILES)) as supervisor:
            await anyio.sleep(590)
            assert set(world.disk.values()) == {"fake-token-2"}
            assert supervisor.entries["a"].status().valid
            assert len(world.upstreams["one"].calls) < 22
            await until(lambda: supervisor.ready, seconds=400)

    run_virtually(main)


def test_a_disk_that_hangs_at_the_start_delays_it_by_two_seconds() -> None:
    """Each write looks again: the newer token is not overwritten, and the refresh is due then."""

    async def main(clock: VirtualClock) -> None:
        world, newer = await an_older_state(clock)
        threads = world.looks = HangingThreads(clock)
        threads.hanging = True
        began = clock.instant()
        async with world.running(provider("a", FakeHeld(), FILES[0])) as supervisor:
            assert 1.9 < began.until(clock.instant()) < 2.1
            threads.release()
            await until(lambda: supervisor.ready, seconds=15)
            assert world.disk["shown"] == "fake-token-3"
            assert (supervisor.entries["a"].status().generation or 0) > newer

    run_virtually(main)


def test_a_newer_token_that_appears_later_is_not_overwritten_by_a_repair() -> None:
    """Another daemon of ours wrote it, or a person put it back."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld(), *FILES)) as supervisor:
            await anyio.sleep(20)
            world.disk["shown"] = "a-newer-fake-token"
            world.shown["shown"] = (supervisor.entries["a"].status().generation or 0) + 1000
            world.upstreams["one"].latency = 10
            await until(lambda: supervisor.entries["a"].status().sinks[0].state == "waiting", seconds=15)
            assert world.disk["shown"] == "a-newer-fake-token"
            await until(lambda: supervisor.ready, seconds=15)
            assert world.disk["shown"] == "fake-token-2"
            assert supervisor.entries["a"].status().sinks[0].repairs == 0

    run_virtually(main)


@pytest.mark.parametrize("shown", [0, 5])
def test_a_target_that_shows_nothing_newer_changes_nothing(shown: int) -> None:
    """A restart makes no request."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        for _ in range(2):
            async with world.running(provider("a", FakeHeld(), *FILES)) as supervisor:
                await until(lambda: supervisor.ready, seconds=5)
            world.shown["shown"] = shown
        assert len(world.upstreams["one"].calls) == 1

    run_virtually(main)


def test_a_file_of_several_tokens_waits_for_the_newer_one_of_each() -> None:
    """It would hold an older token of the other provider."""

    async def main(clock: VirtualClock) -> None:
        world, _ = await an_older_state(clock)
        combined = provider("b", FakeHeld(username="b"), FakeCombiningSink(path="both", tokens=("a",)))
        world.upstreams["one"].broken = lambda now: TransientError("down")
        async with world.running(provider("a", FakeHeld(), *FILES)) as supervisor:
            await anyio.sleep(1)
            world.upstreams["one"].broken = lambda now: None
            world.upstreams["one"].latency = 2
            await supervisor.apply(config(provider("a", FakeHeld(), *FILES), combined))
            await until(lambda: supervisor.entries["b"].status().valid, seconds=10)
            await anyio.sleep(0.5)
            if "both" not in world.disk:
                assert supervisor.entries["b"].status().sinks[0].state == "waiting"
            await until(lambda: "both" in world.disk, seconds=300)
            assert "a=fake-token-1" not in world.disk["both"]

    run_virtually(main)
