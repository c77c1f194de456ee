"""A `World` with one on-demand provider, for the tests of the issuer."""

from tests.fakes import FakeOnDemand, World, provider
from tests.virtual import run_virtually


def running(script, **settings):
    """Run a `World` whose upstream follows ``script``, with one on-demand provider."""

    def decorate(body):
        async def main(clock):
            world = World(clock)
            world.upstreams["one"].script = list(script)
            async with world.running(provider("o", FakeOnDemand(**settings))) as supervisor:
                await body(world, supervisor)

        run_virtually(main)

    return decorate
