"""The vendor's least pause between requests (tt: 10 s) holds between arrivals, not only between our intentions."""

from itertools import pairwise
from typing import ClassVar

import anyio
import pytest

from tests.fakes import FakeHeld, World, provider
from tests.virtual import run_virtually
from tokend.errors import RateLimitedError

RATE_LIMITED = RateLimitedError("429", retry_after=5.0)


class SlowToArrive(FakeHeld):
    """The first request needs three seconds on its way: names are resolved, TLS is spoken. Later ones need none."""

    request_interval_seconds: ClassVar[float] = 10.0
    kind: str = "slow-to-arrive"  # type: ignore[assignment]

    async def fetch(self, runtime, previous):
        """Let the request travel, then ask."""
        if not runtime.upstreams[self.base_url].calls:
            await runtime.clock.sleep(3.0)
        return await runtime.upstreams[self.base_url].answer()


@pytest.mark.parametrize("script", [[], [RATE_LIMITED], [RATE_LIMITED, RATE_LIMITED]], ids=["success", "429", "429s"])
def test_requests_arrive_no_closer_than_the_vendor_allows(script):
    """After a success on demand, and after a 429 whose Retry-After is shorter than the vendor's own rule."""

    async def main(clock):
        world = World(clock)
        world.upstreams["one"].script = list(script)
        async with world.running(provider("a", SlowToArrive())) as supervisor:
            await anyio.sleep(4)
            if not script:
                await supervisor.refresh("a", if_generation=None, reason="test", admin=True)
            await anyio.sleep(60)
            calls = world.upstreams["one"].calls
            assert len(calls) == max(2, len(script) + 1)
            assert min(first.until(second) for first, second in pairwise(calls)) >= 10

    run_virtually(main)


def test_the_pause_holds_across_a_crash():
    """kill -9 right after a success, and at once a reader who wants a newer token."""

    async def main(clock):
        world = World(clock)
        async with world.running(provider("a", SlowToArrive())):
            await anyio.sleep(4)
        async with world.running(provider("a", SlowToArrive())) as supervisor:
            await supervisor.refresh("a", if_generation=None, reason="test", admin=True)
            first, second = world.upstreams["one"].calls
            assert first.until(second) >= 10

    run_virtually(main)
