"""The sinks of one provider, and a reload that changes some of them."""

import anyio

from tests.fakes import (
    FakeHeld,
    FakeListeningSink,
    FakeOnDemand,
    FakeSink,
    Upstream,
    World,
    config,
    provider,
)
from tests.virtual import VirtualClock, run_virtually
from tokend.values.errors import TransientError


def test_a_sink_that_did_not_change_goes_on_being_served() -> None:
    """A reload, and another provider's settings, do not disturb the waiters."""

    async def main(clock: VirtualClock) -> None:
        from tests.fakes import config

        world = World(clock)
        async with world.running(provider("a", FakeHeld(), FakeListeningSink())) as supervisor:
            await anyio.sleep(1)
            await supervisor.apply(config(provider("a", FakeHeld(username="other"), FakeListeningSink())))
            await anyio.sleep(1)
            assert supervisor.counters.sink_writes["a", "fake-socket-1", "success"] == 1
            assert world.served == ["a-socket"]

    run_virtually(main)


def test_a_new_sink_gets_the_token_held_and_an_old_one_is_left_alone() -> None:
    """Sinks are compared one by one."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        first, second = FakeSink(path="first"), FakeSink(path="second")
        async with world.running(provider("a", FakeHeld(), first)) as supervisor:
            await anyio.sleep(10)
            await supervisor.apply(config(provider("a", FakeHeld(), first, second)))
            await anyio.sleep(1)
            assert world.written == [("first", "fake-token-1"), ("second", "fake-token-1")]
            await supervisor.apply(config(provider("a", FakeHeld(), second)))
            await anyio.sleep(1)
            await supervisor.refresh("a", if_generation=None, reason="", admin=True)
            await anyio.sleep(1)
            assert world.disk == {"first": "fake-token-1", "second": "fake-token-2"}

    run_virtually(main)


def test_readiness_wants_every_required_token_in_every_required_sink() -> None:
    """/readyz: optional providers and sinks do not count, on-demand kinds never do."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.upstreams["down"] = Upstream(clock, broken=lambda now: TransientError("down"))
        optional = provider("opt", FakeHeld(base_url="down", required=False))
        async with world.running(provider("a", FakeHeld()), provider("o", FakeOnDemand()), optional) as supervisor:
            assert not supervisor.ready
            await anyio.sleep(10)
            assert supervisor.ready
            needed = provider("opt", FakeHeld(base_url="down"))
            await supervisor.apply(config(provider("a", FakeHeld()), needed))
            assert not supervisor.ready

    run_virtually(main)
