"""A sink that is asked: it holds what is newest while it is served, and is served again after a failure."""

import anyio

from tests.expecting import present
from tests.fakes import FakeHeld, FakeListeningSink, World, provider
from tests.virtual import VirtualClock, run_virtually, until
from tokend.values.errors import SinkError


def test_a_sink_that_listens_is_well_and_holds_every_new_token() -> None:
    """Nothing is pushed: readiness needs a valid token and a socket."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.upstreams["one"].latency = 5
        async with world.running(provider("a", FakeHeld(), FakeListeningSink())) as supervisor:
            await anyio.sleep(1)
            assert supervisor.entries["a"].status().sinks[0].state == "ok"
            assert world.served == ["a-socket"]
            assert not supervisor.ready
            await anyio.sleep(20)
            assert supervisor.ready
            assert not supervisor._sinks["a"].owe_announcement()
            await supervisor.refresh("a", if_generation=None, reason="", admin=True)
            assert supervisor.ready
            assert supervisor.counters.sink_writes["a", "fake-socket-1", "success"] == 1

    run_virtually(main)


def test_a_sink_that_cannot_listen_says_why_and_is_tried_again() -> None:
    """Its pause grows to a minute; nobody else notices."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.stumbles["serve", "a-socket"] = SinkError("a-socket: no such directory")
        async with world.running(provider("a", FakeHeld(), FakeListeningSink())) as supervisor:
            await anyio.sleep(200)
            sink = supervisor.entries["a"].status().sinks[0]
            assert (sink.state, sink.error, sink.kind) == ("failing", "a-socket: no such directory", "fake-socket")
            assert supervisor.entries["a"].status().valid
            assert not supervisor.ready
            assert len(world.upstreams["one"].calls) == 1
            assert 5 < supervisor.counters.sink_writes["a", "fake-socket-1", "failure"] < 15
            world.stumbles.clear()
            await anyio.sleep(61)
            assert supervisor.entries["a"].status().sinks[0].state == "ok"
            assert supervisor.ready

    run_virtually(main)


def test_a_bug_in_serving_is_shown_and_ends_nothing() -> None:
    """docs/promises.md 70, and P8."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.stumbles["serve", "a-socket"] = ZeroDivisionError("a bug")
        async with world.running(provider("a", FakeHeld(), FakeListeningSink())) as supervisor:
            await anyio.sleep(1)
            assert "a bug in kind fake-socket (tests.fakes)" in present(supervisor.entries["a"].status().sinks[0].error)
            world.stumbles.clear()
            await until(lambda: world.served == ["a-socket"], seconds=70)

    run_virtually(main)


def test_a_socket_that_others_removed_and_that_was_made_again_counts_as_repaired() -> None:
    """As a file does."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld(), FakeListeningSink())) as supervisor:
            await anyio.sleep(1)
            world.on_listening()
            sink = supervisor.entries["a"].status().sinks[0]
            assert (sink.state, sink.repairs) == ("ok", 1)
            assert supervisor.counters.sink_repairs == {("a", "fake-socket-1"): 1}

    run_virtually(main)
