"""A pause that a host asked for binds all of its providers, from the moment it is known, also across restarts."""

from collections.abc import Callable

import anyio
import pytest

from tests.fakes import FakeHeld, FakeLocal, InlineThreads, T, World, config, literal, provider
from tests.virtual import VirtualClock, run_virtually
from tokend.config.model import ProviderConfig
from tokend.plugin.settings_base import Percentage
from tokend.values.errors import RateLimitedError

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
