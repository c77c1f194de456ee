"""A `World` with one on-demand provider, for the tests of the issuer."""

from collections.abc import Awaitable, Callable
from typing import Any

from tests.fakes import FakeOnDemand, World, provider
from tests.virtual import VirtualClock, run_virtually
from tokend.engine.supervisor import Supervisor

Body = Callable[[World, Supervisor], Awaitable[None]]


def running(script: list[Any], **settings: Any) -> Callable[[Body], None]:
    """Run a `World` whose upstream follows ``script``, with one on-demand provider."""

    def decorate(body: Body) -> None:
        async def main(clock: VirtualClock) -> None:
            world = World(clock)
            world.upstreams["one"].script = list(script)
            async with world.running(provider("o", FakeOnDemand(**settings))) as supervisor:
                await body(world, supervisor)

        run_virtually(main)

    return decorate
