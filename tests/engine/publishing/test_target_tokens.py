"""A sink made of several tokens: written when any changes, while all are valid; never with one that was taken away."""

from collections.abc import Callable
from functools import partial
from operator import eq
from typing import Literal

import anyio

from tests.expecting import held
from tests.fakes import (
    HOUR,
    FakeCombiningSink,
    FakeHeld,
    FakeLocal,
    FakeSink,
    InlineThreads,
    T,
    Upstream,
    World,
    literal,
    provider,
)
from tests.virtual import VirtualClock, run_virtually, until
from tokend.config.model import ProviderConfig
from tokend.values.errors import TransientError


def pair(world: World, *, on_expiry: Literal["keep", "remove"] = "keep") -> tuple[ProviderConfig, ProviderConfig]:
    """Providers a and b of two hosts; a's sink is made of both."""
    world.upstreams["two"] = Upstream(world.clock, life=6 * HOUR, latency=20)
    other = FakeHeld(base_url="two", on_expiry=on_expiry)
    return provider("a", FakeHeld(), FakeCombiningSink(tokens=("b", "a", "b"))), provider("b", other)


def test_it_waits_for_all_of_them_and_says_for_which() -> None:
    """Nothing half is written; readiness waits too, and status names who is missing."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(*pair(world)) as supervisor:
            await anyio.sleep(10)
            shown = supervisor.entries["a"].status().sinks[0]
            assert (shown.state, shown.error) == ("waiting", "somewhere: waits for a valid token of b")
            assert (world.disk, supervisor.ready) == ({}, False)
            await until(lambda: supervisor.ready, seconds=60)
            assert world.disk == {"somewhere": "a=fake-token-1 b=fake-token-1"}
            assert supervisor.entries["a"].status().sinks[0].state == "ok"

    run_virtually(main)


def test_a_change_of_any_of_them_is_written_at_once() -> None:
    """Its own and the other's."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(*pair(world)) as supervisor:
            await until(lambda: supervisor.ready, seconds=60)
            for name, content in (("b", "a=fake-token-1 b=fake-token-2"), ("a", "a=fake-token-2 b=fake-token-2")):
                await supervisor.refresh(name, if_generation=None, reason="", admin=True)
                await until(partial(eq, world.disk, {"somewhere": content}), seconds=1)
            assert supervisor.ready

    run_virtually(main)


def test_while_another_has_expired_the_file_stays() -> None:
    """P2: what stood there stays, and the sink says what it waits for; the first new token fixes it."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(*pair(world)) as supervisor:
            await until(lambda: supervisor.ready, seconds=60)
            world.upstreams["two"].script = [TransientError("down")] * 1000
            await anyio.sleep(7 * HOUR)
            await supervisor.refresh("a", if_generation=None, reason="", admin=True)
            await anyio.sleep(10)
            assert world.disk == {"somewhere": "a=fake-token-1 b=fake-token-1"}
            assert supervisor.entries["a"].status().sinks[0].error == "somewhere: waits for a valid token of b"
            world.upstreams["two"].script = []
            await until(lambda: world.disk == {"somewhere": "a=fake-token-2 b=fake-token-2"}, seconds=400)

    run_virtually(main)


def test_another_that_is_to_be_removed_takes_the_file_with_it() -> None:
    """``on_expiry = "remove"`` of any of them, and a compromised token that is forgotten."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(*pair(world, on_expiry="remove")) as supervisor:
            await until(lambda: supervisor.ready, seconds=60)
            world.upstreams["two"].script = [TransientError("down")] * 1000
            await anyio.sleep(7 * HOUR)
            assert world.disk == {}
            world.upstreams["two"].script = []
            await until(lambda: supervisor.ready, seconds=400)
            assert world.disk == {"somewhere": "a=fake-token-1 b=fake-token-2"}
            await supervisor.forget("b")
            await until(lambda: world.disk == {}, seconds=1)
            await until(lambda: world.disk == {"somewhere": "a=fake-token-1 b=fake-token-3"}, seconds=60)

    run_virtually(main)


def test_a_provider_that_is_not_there_holds_nothing_back_but_this_sink() -> None:
    """The configuration refuses it; should it come to that all the same, only this sink waits."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        lonely = provider("a", FakeLocal(secret=literal("s")), FakeCombiningSink(tokens=("x",)), FakeSink(path="own"))
        async with world.running(lonely) as supervisor:
            await anyio.sleep(10)
            combined, own = supervisor.entries["a"].status().sinks
            assert (combined.state, own.state) == ("waiting", "ok")

    run_virtually(main)


class SlowToReturn(InlineThreads):
    """Each call has its effect at once, and returns two seconds later."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock

    async def run(self, call: Callable[[], T], *, seconds: float) -> T:
        result = call()
        await self._clock.sleep(2.0)
        return result


def test_a_target_that_is_being_removed_is_not_called_up_to_date() -> None:
    """The token of another provider has ended: the file is gone before the disk says so."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.threads = SlowToReturn(clock)
        up = world.upstreams["two"] = Upstream(clock, life=100.0)
        both = provider("a", FakeHeld(), FakeCombiningSink(path="both", tokens=("b",)))
        async with world.running(both, provider("b", FakeHeld(base_url="two", on_expiry="remove"))) as supervisor:
            await anyio.sleep(10)
            assert held(supervisor.entries["a"]).is_settled()
            up.broken = lambda now: TransientError("down")
            await until(lambda: "both" not in world.disk, seconds=200)
            assert not held(supervisor.entries["a"]).is_settled()

    run_virtually(main)
