"""A store's announcements: at most one per interval, of the newest value, across failures and restarts."""

from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any, Literal

import anyio
import pytest

from tests.fakes import HOUR, FakeHeld, World, literal, provider
from tests.publishing_sinks import PASSWORD, Network, StoreSink
from tests.virtual import VirtualClock, run_virtually
from tokend.plugin.settings import AnnouncementTiming
from tokend.plugin.sink import SinkRuntime
from tokend.values.errors import TransientError

MINUTE = 60.0


class AnnouncingSink(StoreSink):
    """A key of the store, whose readers get the news by a POST, at most once an hour."""

    kind: Literal["announcing"] = "announcing"  # type: ignore[assignment]  # each kind has a name of its own

    def announcement_timing(self) -> AnnouncementTiming:
        return AnnouncementTiming(interval_seconds=HOUR)

    async def announce(self, runtime: SinkRuntime) -> None:
        await self._exchange(runtime, "POST", b"", None)


SINK = AnnouncingSink(key="app", auth=literal(PASSWORD))


def played(main: Callable[[World], Awaitable[None]], *, life: float = 10 * MINUTE) -> None:
    """Run with a token of ten minutes, and a store."""

    async def whole(clock: VirtualClock) -> None:
        world = World(clock)
        world.network = Network(clock)
        world.upstreams["one"].life = life
        await main(world)

    run_virtually(whole)


def running(world: World) -> Any:
    return world.running(provider("a", FakeHeld(), SINK))


def sent(world: World, method: str) -> int:
    count: int = world.network.store.sent(method)
    return count


def test_a_day_of_short_tokens_is_announced_once_an_hour() -> None:
    """Each token is written; the announcements are an hour apart, and the last one follows the last write."""

    async def main(world: World) -> None:
        moments = []
        serve = world.network.store.serve

        def noting(method: str, *rest: Any) -> Any:
            if method == "POST":
                moments.append(world.clock.instant())
            return serve(method, *rest)

        world.network.store.serve = noting
        async with running(world):
            await anyio.sleep(24 * HOUR)
        assert sent(world, "PUT") > 24 * 6
        assert len(moments) == 24
        assert min(one.until(two) for one, two in pairwise(moments)) >= HOUR - 0.1

    played(main)


def test_restarts_announce_nothing_again_and_forget_no_debt() -> None:
    """Neither a value that was announced, nor the interval, nor a change that waits for it is forgotten."""

    async def main(world: World) -> None:
        async with running(world):
            await anyio.sleep(5)
            assert (sent(world, "PUT"), sent(world, "POST")) == (1, 1)
        for _ in range(5):
            async with running(world):
                await anyio.sleep(5)
        assert (sent(world, "PUT"), sent(world, "POST")) == (1, 1)
        async with running(world) as supervisor:
            await supervisor.refresh("a", if_generation=None, reason="other", admin=True)
            await anyio.sleep(5)
        for _ in range(5):
            async with running(world):
                await anyio.sleep(5)
        assert (sent(world, "PUT"), sent(world, "POST")) == (2, 1)
        async with running(world):
            await anyio.sleep(HOUR)
            assert (sent(world, "PUT"), sent(world, "POST")) == (2, 2)
            await anyio.sleep(2 * HOUR)
        assert (sent(world, "PUT"), sent(world, "POST")) == (2, 2)

    played(main, life=12 * HOUR)


def test_an_announcement_that_fails_is_repeated_without_a_write() -> None:
    """A store that answers with an error has not acted."""

    async def main(world: World) -> None:
        async with running(world) as supervisor:
            serve = world.network.store.serve
            world.network.store.serve = lambda method, *rest: (
                (500, "", b"") if method == "POST" else serve(method, *rest)
            )
            await anyio.sleep(5)
            assert supervisor.entries["a"].status().sinks[0].hook.state == "failed"
            world.network.store.serve = serve
            await anyio.sleep(5 * MINUTE)
            assert (sent(world, "PUT"), sent(world, "POST")) == (1, 1)
            assert supervisor.entries["a"].status().sinks[0].hook.state == "idle"

    played(main, life=12 * HOUR)


@pytest.mark.parametrize("how", ["lost", "died"])
def test_an_announcement_that_may_have_been_heard_is_repeated_after_the_interval_only(how: str) -> None:
    """Its answer was lost, or the daemon died before it arrived."""

    async def main(world: World) -> None:
        (world.network.losing if how == "lost" else world.network.hanging).add("POST")
        async with running(world):
            await anyio.sleep(5)
        world.network.hanging.clear()
        heard = sent(world, "POST")
        assert heard == (1 if how == "lost" else 0)
        async with running(world):
            await anyio.sleep(HOUR - MINUTE)
            assert sent(world, "POST") == heard
            await anyio.sleep(2 * MINUTE)
            assert (sent(world, "PUT"), sent(world, "POST")) == (1, heard + 1)

    played(main, life=12 * HOUR)


def test_a_write_whose_answer_was_lost_is_announced_when_the_store_shows_it() -> None:
    """Nothing is written a second time, and its readers get the news all the same."""

    async def main(world: World) -> None:
        world.network.losing.add("PUT")
        async with running(world):
            await anyio.sleep(MINUTE)
        assert (sent(world, "PUT"), sent(world, "POST")) == (1, 1)

    played(main, life=12 * HOUR)


def test_a_removal_is_not_announced() -> None:
    """The readers of a store have no use for the news that it holds nothing."""

    async def main(world: World) -> None:
        async with running(world) as supervisor:
            await anyio.sleep(5)
            world.upstreams["one"].broken = lambda now: TransientError("away")
            await supervisor.forget("a")
            await anyio.sleep(2 * HOUR)
            assert sent(world, "DELETE") == 1
            assert sent(world, "POST") == 1

    played(main, life=12 * HOUR)


def test_a_clock_that_was_set_back_holds_no_announcement_back_for_longer() -> None:
    """The last one lies in the future then: it counts from now."""

    async def main(world: World) -> None:
        async with running(world):
            await anyio.sleep(5)
        world.clock.step(-300 * HOUR)
        async with running(world) as supervisor:
            await supervisor.refresh("a", if_generation=None, reason="other", admin=True)
            await anyio.sleep(HOUR + MINUTE)
            assert sent(world, "POST") == 2

    played(main, life=1200 * HOUR)
