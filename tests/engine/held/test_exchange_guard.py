"""`ExchangeGuard`: what cuts an exchange of a login, and what keeps one from beginning."""

import json
from collections.abc import Callable

import anyio
import pytest

from tests.engine.held.with_logins import state_on_disk
from tests.expecting import held, present
from tests.fake_logins import (
    FakeLogin,
    login_server,
    lost,
)
from tests.fakes import World, config, literal, provider
from tests.virtual import VirtualClock, run_virtually, until
from tokend.engine.held.login_exchange import LoginExchange
from tokend.engine.records.record import Record
from tokend.values.errors import StoreError
from tokend.values.logins import Granted
from tokend.values.secret import Secret
from tokend.values.status import State

LOGIN = FakeLogin(refresh_token=literal("fake-refresh-0"))


def test_a_login_that_is_being_saved_can_be_cut_by_the_end_of_the_daemon_alone() -> None:
    """It is tried again each second until then."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        login_server(clock)
        async with world.running(provider("a", LOGIN)) as supervisor, anyio.create_task_group() as tasks:
            await until(lambda: supervisor.entries["a"].status().valid, seconds=10)
            exchange = LoginExchange("a", world.context)
            granted = Granted("https://login.example:443", clock.instant(), refresh_token=Secret("fake-new"))

            async def use(_: Granted) -> Callable[[Record], Record]:
                return lambda record: record

            async def accept() -> None:
                with pytest.raises(StoreError, match="broken off: log in again"):
                    await exchange.accept(granted, LOGIN.login_client, None, use, logouts=exchange.guard.logouts)

            world.state.broken = True
            tasks.start_soon(accept)
            await anyio.sleep(30)
            assert exchange.guard.is_under_way
            exchange.guard.break_off()
            await anyio.sleep(1)
            assert not exchange.guard.is_under_way
            assert b"fake-new" not in world.state.content["a"]
            world.state.broken = False

    run_virtually(main)


def test_a_worker_that_is_cancelled_ends_after_the_answer_was_saved() -> None:
    """From the journal on nothing cuts it: the daemon that ends waits for it."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock, latency=20.0)
        async with world.running(provider("a", LOGIN)):
            await until(lambda: bool(server.refreshes), seconds=10)
        assert state_on_disk(world) == "ready"
        assert json.loads(world.state.content["a"])["lease"]["token"]["value"] == "fake-token-1"

    run_virtually(main)


def test_a_reload_a_forget_and_a_reader_cut_no_exchange() -> None:
    """A reload that takes the provider away waits for the answer."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock, latency=20.0)
        async with world.running(provider("a", LOGIN)) as supervisor:
            await until(lambda: bool(server.refreshes), seconds=10)
            await supervisor.forget("a")
            await supervisor.apply(config(provider("b", FakeLogin(client_id="other"))))
            assert "a" not in supervisor.entries
            assert json.loads(world.state.content["a"])["login"]["state"]["login"]["refresh_token"] == "fake-refresh-1"

    run_virtually(main)


def test_a_logout_while_the_server_is_asked_something_harmless_ends_the_exchange_before_it_is_sent() -> None:
    """It is no bug: nothing is sent, and a person has to log in."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock, latency=5.0)
        server.script = [lost()]
        async with world.running(provider("a", LOGIN)) as supervisor:
            await until(lambda: bool(server.probes), seconds=600)
            await held(supervisor.entries["a"]).log_out()
            await anyio.sleep(60)
            assert len(server.refreshes) == 1
            assert supervisor.entries["a"].status().state is State.LOGIN_REQUIRED
            assert "internal" not in {reason for _, reason in supervisor.counters.refresh_errors}

    run_virtually(main)


def test_an_exchange_does_not_begin_while_a_person_logs_out() -> None:
    """Nor is a login saved that was brought meanwhile. Of two logouts at a time the second one bars, too."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock, latency=5.0)
        server.script = [lost()]
        async with world.running(provider("a", LOGIN)) as supervisor:
            await until(lambda: bool(server.probes), seconds=600)
            exchange = present(held(supervisor.entries["a"]).refresher.login).exchange
            granted = Granted("https://login.example:443", clock.instant(), refresh_token=Secret("fake-new"))

            async def use(_: Granted) -> Callable[[Record], Record]:
                raise AssertionError("there is no token to use")

            async with exchange.guard.barred():
                async with exchange.guard.barred():
                    pass
                await anyio.sleep(10)
                assert len(server.refreshes) == 1
                with pytest.raises(StoreError, match="logged out meanwhile"):
                    await exchange.accept(granted, LOGIN.login_client, None, use, logouts=exchange.guard.logouts)
            await until(lambda: len(server.refreshes) == 2, seconds=600)

    run_virtually(main)
