"""A call that is under way when its provider is replaced touches the record of no other provider."""

from typing import Any

import anyio
import pytest

from tests.fakes import FakeHeld, FakeOnDemand, Upstream, World, config, provider
from tests.virtual import VirtualClock, run_virtually
from tokend.engine.on_demand.own_record import OwnRecord
from tokend.engine.records.rename import emptied
from tokend.values.errors import ReaderError, RejectedError, TransientError

SLOW_SECONDS = 20.0


@pytest.mark.parametrize(
    "script",
    [[], [TransientError("answered nonsense")], [RejectedError("no"), RejectedError("no")]],
    ids=["success", "failure", "refusal"],
)
def test_a_held_token_under_the_name_stays(script: list[Any]) -> None:
    """A reload turns an on-demand table into a held one; the answer to an earlier call comes afterwards."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.upstreams["slow"] = Upstream(clock, latency=SLOW_SECONDS, script=script)
        async with world.running(provider("o", FakeOnDemand(base_url="slow"))) as supervisor:
            async with anyio.create_task_group() as tasks:

                async def call() -> None:
                    for _ in range(2):
                        try:
                            await supervisor.issue("o", {})
                        except ReaderError:
                            return

                tasks.start_soon(call)
                await anyio.sleep(1)
                await supervisor.apply(config(provider("o", FakeHeld())))
                await anyio.sleep(5)
                held = world.store.get("o")
                assert held.lease is not None
                await anyio.sleep(SLOW_SECONDS)
            after = world.store.get("o")
            assert after.lease == held.lease
            assert (after.failures, after.rejected) == (0, False)

    run_virtually(main)


def test_an_update_that_waits_for_its_turn_meanwhile_changes_nothing() -> None:
    """The name was given away between the call and the save."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("o", FakeHeld())):
            await anyio.sleep(5)
            mine, before = OwnRecord("o", world.store), world.store.get("o")
            assert before.lease is not None

            async with anyio.create_task_group() as tasks:
                lock = world.store._locks["o"]
                await lock.acquire()
                tasks.start_soon(mine.update, emptied)
                await anyio.sleep(1)
                mine.leave()
                lock.release()
            assert world.store.get("o").lease == before.lease
            assert mine.now.lease is None

    run_virtually(main)
