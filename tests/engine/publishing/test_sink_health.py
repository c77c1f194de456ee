"""Status and backoff of a sink."""

import anyio

from tests.fakes import HOUR, FakeFile, FakeHeld, FakeListeningSink, FakeSink, World, provider
from tests.httpd.served import logged
from tests.virtual import VirtualClock, run_virtually
from tokend.values.errors import SinkError


def test_what_would_fail_is_said_at_start_and_is_not_fatal() -> None:
    """Checked for writability at start: status shows it; the write decides."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.stumbles["probe", "somewhere"] = SinkError("somewhere: no such directory")
        world.upstreams["one"].latency = 5
        async with world.running(provider("a", FakeHeld(), FakeSink())) as supervisor:
            await anyio.sleep(1)
            sink = supervisor.entries["a"].status().sinks[0]
            assert (sink.state, sink.error) == ("failing", "somewhere: no such directory")
            await anyio.sleep(20)
            assert supervisor.entries["a"].status().sinks[0].state == "ok"

    run_virtually(main)


def test_a_newer_token_is_written_when_the_pause_is_over() -> None:
    """Coalesced: what is written is the newest."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.full = True
        async with world.running(provider("a", FakeHeld(), FakeSink())) as supervisor:
            await anyio.sleep(HOUR)
            await supervisor.refresh("a", if_generation=None, reason="", admin=True)
            world.full = False
            await anyio.sleep(61)
            assert world.written == [("somewhere", "fake-token-2")]

    run_virtually(main)


def test_a_person_ends_the_pause_of_a_sink_that_fails() -> None:
    """SIGHUP and `tokend reload`, for sinks of each family."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.full = True
        world.stumbles["serve", "a-socket"] = SinkError("a-socket: in use")
        sinks = FakeSink(), FakeFile(path="file"), FakeListeningSink()
        async with world.running(provider("a", FakeHeld(), *sinks)) as supervisor:
            await anyio.sleep(HOUR)
            world.full = False
            world.stumbles.clear()
            supervisor.repair_sinks()
            await anyio.sleep(0.5)
            assert supervisor.ready

    run_virtually(main)


def test_a_difference_that_is_still_there_is_logged_once() -> None:
    """Others write into the file again and again."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld(), FakeFile(drift="report"))):
            await anyio.sleep(20)
            for number in range(10):
                world.disk["somewhere"] = f"something else {number}"
                await anyio.sleep(10)

    with logged() as lines:
        run_virtually(main)
    assert [line["event"] for line in lines].count("sink.drifted") == 1
