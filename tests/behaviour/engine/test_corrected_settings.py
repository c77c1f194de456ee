"""Corrected settings: where requests go elsewhere or in another way, the failures begin again after the interval."""

from itertools import pairwise
from pathlib import Path
from typing import Annotated

import anyio
import pytest

from tests.expecting import present
from tests.fakes import FakeHeld, FakeOnDemand, Upstream, World, config, provider
from tests.virtual import VirtualClock, run_virtually, until
from tokend.plugin.field_roles import Role
from tokend.values.errors import ReaderError, TransientError

DOWN = TransientError("connection refused")


class ByProxy(FakeHeld):
    """A kind whose requests may take another way."""

    proxy: Annotated[str | None, Role.CONNECTION] = None
    ca_file: Annotated[Path | None, Role.CONNECTION] = None


class LinksByProxy(FakeOnDemand):
    """The same, on demand."""

    ca_file: Annotated[Path | None, Role.CONNECTION] = None


WRONG = ByProxy(proxy="http://away:1", ca_file=Path("/ca.pem"))
CORRECTED = [
    WRONG.model_copy(update={"base_url": "two"}),
    WRONG.model_copy(update={"proxy": None}),
    WRONG.model_copy(update={"ca_file": None}),
]


@pytest.mark.parametrize("how", ["a reload", "a restart"])
@pytest.mark.parametrize("settings", CORRECTED, ids=["base_url", "proxy", "ca_file"])
def test_a_correction_after_long_failures_is_tried_at_once_and_has_short_pauses_again(
    settings: ByProxy, how: str
) -> None:
    """The upstream is away for half a minute more: nobody waits for the minutes that the old failures had earned."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.upstreams["two"] = Upstream(clock)
        for upstream in world.upstreams.values():
            upstream.broken = lambda now: DOWN
        async with world.running(provider("a", WRONG)) as supervisor:
            await until(lambda: world.store.get("a").failures == 8, seconds=3600)
            await anyio.sleep(1)
            corrected = clock.instant()
            if how == "a reload":
                await supervisor.apply(config(provider("a", settings)))
                await _recovers(world, settings.base_url)
        if how == "a restart":
            async with world.running(provider("a", settings)):
                await _recovers(world, settings.base_url)
        calls = [call for call in world.upstreams[settings.base_url].calls if corrected.until(call) > 0]
        assert corrected.until(calls[0]) <= 5
        assert corrected.until(calls[-1]) <= 60
        assert min(first.until(second) for first, second in pairwise(calls)) >= 5

    run_virtually(main)


async def _recovers(world: World, upstream: str) -> None:
    await anyio.sleep(30)
    assert 2 <= world.supervisor.entries["a"].status().failures <= 4
    world.upstreams[upstream].broken = lambda now: None
    await until(lambda: world.supervisor.entries["a"].status().valid, seconds=30)


def test_other_content_of_the_file_of_authorities_is_a_correction_too() -> None:
    """The path stays; only the providers that use the file react."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        up.broken = lambda now: DOWN
        other = provider("b", FakeHeld(username="b"))
        async with world.running(provider("a", WRONG), other, provider("links", LinksByProxy(ca_file=Path("/ca.pem")))):
            await anyio.sleep(1200)
            with pytest.raises(ReaderError):
                await world.supervisor.issue("links", {}, uid=0)
            waits = present(world.store.get("b").next_attempt)
            world.supervisor.connection_files_changed({Path("/another.pem")})
            assert world.store.get("a").failures > 5
            up.broken = lambda now: None
            world.supervisor.connection_files_changed({Path("/ca.pem")})
            await anyio.sleep(6)
            assert world.supervisor.entries["a"].status().valid
            assert world.store.get("links").failures == 0
            assert world.store.get("b").next_attempt == waits

    run_virtually(main)


def test_a_correction_while_an_attempt_is_under_way_is_tried_after_it() -> None:
    """What the old attempt comes to is the first failure, not the ninth."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        up.broken = lambda now: DOWN
        async with world.running(provider("a", WRONG)) as supervisor:
            await until(lambda: world.store.get("a").failures == 8, seconds=3600)
            up.latency = 20
            asked = len(up.calls)
            await until(lambda: len(up.calls) > asked, seconds=400)
            await supervisor.apply(config(provider("a", CORRECTED[1])))
            assert world.store.get("a").attempts.under_way
            await anyio.sleep(19)
            up.latency, up.broken = 0.1, lambda now: None
            await anyio.sleep(10)
            assert supervisor.entries["a"].status().valid

    run_virtually(main)


def test_the_failures_of_an_on_demand_provider_begin_again() -> None:
    """Another base_url, or another way; status shows none then."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.upstreams["two"] = Upstream(clock)
        world.upstreams["one"].broken = lambda now: DOWN
        links = LinksByProxy(ca_file=Path("/ca.pem"))
        for corrected in (links.model_copy(update={"base_url": "two"}), links.model_copy(update={"ca_file": None})):
            async with world.running(provider("o", links)) as supervisor:
                with pytest.raises(ReaderError):
                    await supervisor.issue("o", {}, uid=0)
                assert supervisor.entries["o"].status().failures >= 1
                for settings in (corrected, links):
                    await supervisor.apply(config(provider("o", settings)))
                    assert supervisor.entries["o"].status().failures == 0

    run_virtually(main)
