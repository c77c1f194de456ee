"""The memory-lean lock."""

import anyio
import pytest

from tests.virtual import VirtualClock, run_virtually
from tokend.machine.lock import Lock


def test_a_mutex_is_taken_in_turn_and_survives_one_who_gives_up() -> None:
    """It is there only while somebody holds it or waits for it."""

    async def main(clock: VirtualClock) -> None:
        mutex, order = Lock(), []

        async def hold(number: int) -> None:
            async with mutex:
                order.append(number)
                await anyio.sleep(1)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hold, 1)
            await anyio.sleep(0.1)
            with anyio.move_on_after(0.2):
                await mutex.acquire()
                pytest.fail("two hold it")
            tasks.start_soon(hold, 2)
        assert order == [1, 2]
        assert mutex._lock is None

    run_virtually(main)
