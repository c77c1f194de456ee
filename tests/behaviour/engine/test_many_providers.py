"""Thousands of providers in one daemon: what must not grow with their number, by counting."""

import asyncio
from bisect import bisect_left

import anyio

from tests.expecting import held, present
from tests.fakes import FakeHeld, World, config, provider
from tests.virtual import VirtualClock, run_virtually
from tokend.config.model import ProviderConfig
from tokend.engine.policy.rate_limits import REQUESTS_BURST, REQUESTS_PER_SECOND
from tokend.machine.event import Event
from tokend.values.instant import Instant

MANY = 1000


def crowd(number: int = MANY) -> list[ProviderConfig]:
    return [provider(f"p{index:04}", FakeHeld()) for index in range(number)]


def busiest_second(calls: list[Instant]) -> int:
    moments = sorted(call.boot for call in calls)
    return max(bisect_left(moments, start + 1) - index for index, start in enumerate(moments))


def test_a_thousand_that_are_due_together_are_asked_for_one_after_the_other() -> None:
    """docs/promises.md P3: no storm, neither at a start with nothing held nor where all were due while we were down."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.upstreams["one"].life = 3600.0
        for _ in range(2):
            calls = world.upstreams["one"].calls
            calls.clear()
            async with world.running(*crowd()) as supervisor:
                await anyio.sleep(MANY / REQUESTS_PER_SECOND + 4)
                assert all(held(entry).refresher.is_valid() for entry in supervisor.entries.values())
                assert len(calls) == MANY
                assert busiest_second(calls) <= REQUESTS_BURST + REQUESTS_PER_SECOND + 1
            await anyio.sleep(3100)  # now all are due, and valid still

    run_virtually(main)


def test_who_waits_for_a_token_does_not_stand_in_that_line() -> None:
    """A reader's wish has bounds of its own, and cannot wait for a thousand others."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(*crowd()) as supervisor:
            await anyio.sleep(3)
            name = next(name for name, entry in reversed(list(supervisor.entries.items())) if entry.lease is None)
            with anyio.fail_after(0.2):  # the upstream takes half of that
                await supervisor.refresh(name, if_generation=None, reason="test", admin=True)

    run_virtually(main)


def test_each_provider_costs_one_task_and_no_wakeup_while_there_is_nothing_to_do() -> None:
    """docs/promises.md P9: what an idle daemon does does not grow with the number of its providers."""

    async def main(clock: VirtualClock) -> None:
        waits = []
        wait = clock.wait

        async def counted(until: Instant | None, wake: Event, *, ends: Instant | None = None) -> None:
            waits.append(until)
            await wait(until, wake, ends=ends)

        clock.wait = counted  # type: ignore[method-assign]  # counts, and is the real one otherwise
        world = World(clock)
        before = len(asyncio.all_tasks())
        async with world.running(*crowd(200)):
            await anyio.sleep(10)
            assert len(asyncio.all_tasks()) - before == 200 + 4  # ends, changed files, logins, all
            waits.clear()
            await anyio.sleep(1200)
            assert waits == []

    run_virtually(main)


def test_of_alike_providers_that_are_renamed_each_has_one_heir() -> None:
    """Their settings are the same, so which is whose does not matter; that nobody's token is given twice does."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld()), provider("b", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            tokens = {present(entry.lease).token.value.reveal() for entry in supervisor.entries.values()}
            plan = await supervisor.apply(config(*(provider(name, FakeHeld()) for name in ("c", "d", "e"))))
            assert sorted(step["action"] for step in plan) == ["add", "rename", "rename"]
            kept = {present(e.lease).token.value.reveal() for n, e in supervisor.entries.items() if n in ("c", "d")}
            assert kept == tokens

    run_virtually(main)
