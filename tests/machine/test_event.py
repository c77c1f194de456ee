"""Events and waits that cost next to nothing: nobody is forgotten, and nothing of those who have gone is kept."""

import gc
import math
import sys
import tracemalloc
from functools import partial

import anyio
import pytest

from tests.virtual import VirtualClock, run_virtually
from tokend.machine.event import Event, Waiters


def test_an_event_lets_all_go_on_in_the_order_in_which_they_came() -> None:
    """Also one that comes after it was set."""

    async def main(_: VirtualClock) -> None:
        event, order = Event(), []

        async def wait(name: str) -> None:
            await event.wait()
            order.append(name)

        async with anyio.create_task_group() as tasks:
            for name in "abc":
                tasks.start_soon(wait, name)
            await anyio.sleep(1)
            assert not order
            assert not event.is_set()
            event.set()
            assert event.is_set()
            await anyio.sleep(1)
            tasks.start_soon(wait, "late")
        assert order == ["a", "b", "c", "late"]

    run_virtually(main)


@pytest.mark.parametrize("timed", [False, True])
def test_one_who_gives_up_is_forgotten_and_the_others_are_not(timed: bool) -> None:
    """A scope that is cancelled, as anywhere in anyio."""

    async def main(_: VirtualClock) -> None:
        event, waiters, came = Event(), Waiters(), []

        async def wait(name: str, seconds: int) -> None:
            with anyio.move_on_after(seconds):
                await (waiters.wait(event, seconds=math.inf, ends=0.0) if timed else event.wait())
                came.append(name)

        async with anyio.create_task_group() as tasks:
            for name, seconds in (("a", 1), ("b", 9), ("c", 1), ("d", 9)):
                tasks.start_soon(wait, name, seconds)
            await anyio.sleep(5)
            event.set()
            event.set()
        assert came == ["b", "d"]

    run_virtually(main)


def test_a_wait_for_what_has_come_already_lets_others_have_their_turn() -> None:
    """A loop around it must not be one that nobody can end."""

    async def main(_: VirtualClock) -> None:
        event, waiters = Event(), Waiters()
        event.set()
        start = anyio.current_time()
        for wait in (
            event.wait,
            lambda: waiters.wait(event, seconds=9.0, ends=0.0),
            lambda: waiters.wait(Event(), seconds=0.0, ends=0.0),
        ):
            turns = 0
            with anyio.CancelScope() as scope:
                while True:
                    await wait()
                    turns += 1
                    if turns == 100:
                        scope.cancel()
            assert turns == 100
        assert anyio.current_time() == start

    run_virtually(main)


def test_a_thousand_waits_leave_nothing() -> None:
    """Whatever ended them: the event, the moment, `release`, a cancelled scope."""

    async def main(_: int | VirtualClock) -> None:
        waiters, shared = Waiters(), Event()

        async def round_of_waits() -> None:
            async with anyio.create_task_group() as tasks:
                for seconds in (1.0, 5.0, math.inf):
                    tasks.start_soon(partial(waiters.wait, shared, seconds=seconds, ends=seconds))
                await anyio.sleep(2)
                waiters.release()
                await anyio.sleep(1)
                tasks.start_soon(lambda: waiters.wait(shared, seconds=math.inf, ends=0.0))
                await anyio.sleep(1)
                tasks.cancel_scope.cancel()

        await round_of_waits()
        tracemalloc.start()
        for _ in range(300):
            await round_of_waits()
        gc.collect()
        left, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert left < 20_000

    run_virtually(main)


def test_an_event_is_small() -> None:
    """There are thousands on which nobody waits: `anyio.Event` takes twenty times as much."""
    event = Event()
    assert not hasattr(event, "__dict__")
    assert sys.getsizeof(event) <= 64
