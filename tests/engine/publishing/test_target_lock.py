"""The lock of a target: one write at a time."""

import anyio

from tests.expecting import present
from tests.fakes import FakeHeld, FakeListeningSink, FakeSink, HangingThreads, World, provider
from tests.virtual import VirtualClock, run_virtually, until


def test_a_sink_that_hangs_delays_nobody_and_is_not_written_twice_at_once() -> None:
    """docs/promises.md 62: that sink only; while the given-up thread may still write, nobody else does."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.threads = threads = HangingThreads(clock)
        async with world.running(provider("a", FakeHeld(), FakeSink())) as supervisor:
            await anyio.sleep(0.01)
            threads.hanging = True
            entry = supervisor.entries["a"]
            await until(lambda: "not written within 10 s" in (entry.status().sinks[0].error or ""), seconds=20)
            assert supervisor.entries["a"].status().valid
            threads.hanging = False
            await anyio.sleep(5)
            assert "an earlier write still hangs" in present(supervisor.entries["a"].status().sinks[0].error)
            assert world.written == []
            threads.release()
            await anyio.sleep(65)
            assert supervisor.entries["a"].status().sinks[0].state == "ok"
            assert world.written == [("somewhere", "fake-token-1")]

    run_virtually(main)


def test_the_path_is_one_sinks_at_a_time() -> None:
    """Renamed, moved in the list, changed: the new one waits until the old one has left."""

    async def main(clock: VirtualClock) -> None:
        from tests.fakes import FakeSink, config

        world, before = World(clock), FakeListeningSink()
        async with world.running(provider("a", FakeHeld(), before)) as supervisor:
            await anyio.sleep(1)
            for sinks in (
                [FakeSink(), before],  # another label
                [FakeSink(), FakeListeningSink(mode="0660")],  # another sink
                [FakeListeningSink(mode="0660")],
            ):
                await supervisor.apply(config(provider("a", FakeHeld(), *sinks)))
                await anyio.sleep(1)
                assert world.served == ["a-socket"]
                assert supervisor.entries["a"].status().sinks[-1].state == "ok"
                assert ("a", f"fake-socket-{len(sinks)}", "failure") not in supervisor.counters.sink_writes
            await supervisor.apply(config(provider("a", FakeHeld())))
            await anyio.sleep(1)
            assert world.served == []

    run_virtually(main)
