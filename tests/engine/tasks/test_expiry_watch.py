"""A token's end that moves is noticed where it falls, as often as it moves (docs/promises.md P6, 36)."""

import anyio

from tests.expecting import held, present
from tests.fakes import HOUR, FakeHeld, World, provider
from tests.virtual import VirtualClock, run_virtually
from tokend.values.errors import TransientError


def test_an_end_that_a_wrong_clock_had_announced_is_noticed_when_it_comes() -> None:
    """After a reboot the clock is a day ahead: it has ended. The clock is set: it has not. Then it ends, so it says."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.upstreams["one"].life = 6 * HOUR
        async with world.running(provider("a", FakeHeld())):
            await anyio.sleep(10)
        world.state.boot_id = "boot-2"
        world.upstreams["one"].broken = lambda now: TransientError("down")
        clock.step(24 * HOUR)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            valid: list[bool] = []
            supervisor.subscribe(lambda name: valid.append(held(supervisor.entries[name]).refresher.is_valid()))
            await anyio.sleep(60)
            assert not held(supervisor.entries["a"]).refresher.is_valid()
            clock.step(-24 * HOUR)
            await anyio.sleep(60)
            assert held(supervisor.entries["a"]).refresher.is_valid()
            ends = present(supervisor.entries["a"].lease).token.expires_at
            await anyio.sleep(clock.instant().until(present(ends)) - 1)
            assert valid[-1]
            del valid[:]
            await anyio.sleep(2)
            assert valid == [False]

    run_virtually(main)


def test_the_end_of_a_token_that_was_replaced_in_time_is_nobodys_news() -> None:
    """Waiters are not woken for it: the newest end counts."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.upstreams["one"].life = HOUR
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            ends = present(supervisor.entries["a"].lease).token.expires_at
            await anyio.sleep(0.9 * HOUR)
            assert present(supervisor.entries["a"].lease).token.expires_at != ends
            told: list[str] = []
            supervisor.subscribe(told.append)
            await anyio.sleep(clock.instant().until(present(ends)) + 60)
            assert told == []

    run_virtually(main)
