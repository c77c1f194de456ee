"""`LoginSaving`: a new refresh token that cannot be saved."""

import json

import anyio

from tests.engine.held.with_logins import state_on_disk
from tests.expecting import present
from tests.fake_logins import (
    HOUR,
    FakeLogin,
    login_server,
)
from tests.fakes import World, literal, provider
from tests.virtual import VirtualClock, run_virtually, until

LOGIN = FakeLogin(refresh_token=literal("fake-refresh-0"))


def test_a_refresh_token_that_cannot_be_saved_is_written_again_every_second_and_the_old_token_served() -> None:
    """Published unsaved only when the old token has ended."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock, latency=1.0)
        async with world.running(provider("a", LOGIN)) as supervisor, anyio.create_task_group() as tasks:
            tasks.start_soon(world.store.keep_saved)
            await until(lambda: supervisor.entries["a"].status().valid, seconds=10)
            await until(lambda: len(server.refreshes) == 2, seconds=HOUR)
            world.state.broken = True
            await anyio.sleep(30)
            saves = world.state.saves
            assert "is not saved" in present(supervisor.entries["a"].status().note)
            assert present(supervisor.entries["a"].lease).token.value.reveal() == "fake-token-1"
            await anyio.sleep(10)
            assert 8 <= world.state.saves - saves <= 12
            await until(
                lambda: present(supervisor.entries["a"].lease).token.value.reveal() != "fake-token-1", seconds=HOUR
            )
            assert json.loads(world.state.content["a"])["login"]["state"]["is"] == "exchanging"
            world.state.broken = False
            await anyio.sleep(3)
            assert json.loads(world.state.content["a"])["login"]["state"]["login"]["refresh_token"] == "fake-refresh-2"
            tasks.cancel_scope.cancel()

    run_virtually(main)


def test_a_refresh_token_that_cannot_be_saved_does_not_hold_up_the_end_of_the_daemon() -> None:
    """It is tried once more; the journal covers it."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        async with world.running(provider("a", LOGIN)) as supervisor:
            await until(lambda: supervisor.entries["a"].status().valid, seconds=10)
            await until(lambda: len(server.refreshes) == 2, seconds=HOUR)
            world.state.broken = True
            await anyio.sleep(10)
            ended = clock.instant().boot
        assert clock.instant().boot - ended < 2
        assert state_on_disk(world) == "exchanging"

    run_virtually(main)


def test_a_full_disk_after_the_request_is_no_trouble_where_space_was_reserved() -> None:
    """The reserve is for this write."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock, latency=1.0)
        world.state.reserves = True
        async with world.running(provider("a", LOGIN)) as supervisor:
            await until(lambda: bool(server.refreshes), seconds=10)
            world.state.broken = True
            await until(lambda: supervisor.entries["a"].status().valid, seconds=10)
            assert supervisor.entries["a"].status().note is None
            assert state_on_disk(world) == "ready"

    run_virtually(main)
