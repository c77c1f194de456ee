"""`AcceptedLogins`: the logins that persons bring wait for the loop, and none is lost when it ends."""

from dataclasses import replace
from typing import Any

import anyio
import pytest

from tests.engine.held.with_logins import granted
from tests.expecting import held, present
from tests.fake_logins import FakeLogin, login_server, lost, undecided
from tests.fakes import FakeHeld, FakeRuntime, World, config, literal, provider
from tests.virtual import VirtualClock, run_virtually, until
from tokend.engine.held.provider_login import ProviderLogin
from tokend.engine.records.login_states import Ready
from tokend.values.errors import StoreError
from tokend.values.secret import Secret
from tokend.values.status import State


def test_an_exchange_of_the_old_login_is_waited_for() -> None:
    """Its answer must not replace the person's login."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock, latency=20.0)
        async with world.running(provider("a", FakeLogin(refresh_token=literal("fake-refresh-0")))) as supervisor:
            await until(lambda: bool(server.refreshes), seconds=10)
            await held(supervisor.entries["a"]).accept_login(granted(clock), another_account=False)
            state = world.store.get("a").login.state
            assert isinstance(state, Ready)
            assert state.login.refresh_token == Secret("fake-persons")

    run_virtually(main)


def test_a_login_for_a_provider_that_is_taken_away_is_refused() -> None:
    """The person gets an answer."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock, latency=20.0)
        failures: list[StoreError] = []

        async def accept(entry: Any) -> None:
            try:
                await held(entry).accept_login(granted(clock), another_account=False)
            except StoreError as error:
                failures.append(error)

        async with world.running(provider("a", FakeLogin(refresh_token=literal("fake-refresh-0")))) as supervisor:
            await until(lambda: bool(server.refreshes), seconds=10)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(accept, supervisor.entries["a"])
                await anyio.sleep(1)
                held(supervisor.entries["a"]).stop()
            assert "log in again" in failures[0].detail
            await supervisor.apply(config())

    run_virtually(main)


def test_a_provider_that_was_taken_away_accepts_no_login_later() -> None:
    """Its exchange was on its way when the configuration changed."""

    async def main(clock: VirtualClock) -> None:
        world, _ = World(clock), login_server(clock)
        async with world.running(provider("a", FakeLogin())) as supervisor:
            await until(lambda: supervisor.entries["a"].status().state is State.LOGIN_REQUIRED, seconds=10)
            entry = held(supervisor.entries["a"])
            entry.stop()
            with pytest.raises(StoreError, match="log in again"):
                await entry.accept_login(granted(clock), another_account=False)

    run_virtually(main)


def test_a_bug_while_a_login_is_saved_answers_the_person_too() -> None:
    """It is logged, and the loop goes on."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        login_server(clock)
        async with world.running(provider("a", FakeLogin())) as supervisor:
            await until(lambda: supervisor.entries["a"].status().state is State.LOGIN_REQUIRED, seconds=10)
            odd = replace(granted(clock), refresh_token="no secret")  # type: ignore[arg-type]
            with pytest.raises(StoreError, match="a bug in kind fake-login"):
                await held(supervisor.entries["a"]).accept_login(odd, another_account=False)
            await held(supervisor.entries["a"]).accept_login(granted(clock), another_account=False)
            assert supervisor.entries["a"].status().valid

    run_virtually(main)


@pytest.mark.parametrize("latency", [20.0, 0.1])
def test_a_login_that_comes_while_the_daemon_ends_is_saved_without_the_loop(latency: float) -> None:
    """The loop has ended, or ends while the login waits for a refresh; the next daemon has the person's login."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock, latency=latency)
        server.valid.add("fake-persons")
        settings = FakeLogin(refresh_token=literal("fake-refresh-0"))
        async with world.running(provider("a", settings)) as supervisor, anyio.create_task_group() as persons:
            await until(lambda: bool(server.refreshes), seconds=10)
            entry = held(supervisor.entries["a"])

            async def accept() -> None:
                with anyio.CancelScope(shield=True):
                    await entry.accept_login(granted(clock), another_account=False)

            if latency > 1:
                persons.start_soon(accept)
                await anyio.sleep(1)
            entry._scope.cancel()  # as the end of the daemon does
            await anyio.sleep(1)
            if latency < 1:
                persons.start_soon(accept)
        async with world.running(provider("a", settings)) as supervisor:
            assert present(supervisor.entries["a"].status().login).subject == "somebody"
            assert present(supervisor.entries["a"].lease).token.value.reveal() == "fake-access"

    run_virtually(main)


def test_a_login_that_the_end_of_the_loop_interrupts_is_saved_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop was reading the initial refresh token."""
    read = ProviderLogin.initial_refresh_token

    async def main(clock: VirtualClock) -> None:
        world, _ = World(clock), login_server(clock)
        async with world.running(provider("a", FakeLogin())) as supervisor:
            await until(lambda: supervisor.entries["a"].status().state is State.LOGIN_REQUIRED, seconds=10)
            entry = held(supervisor.entries["a"])

            async def slowly(_: ProviderLogin) -> None:
                monkeypatch.setattr(ProviderLogin, "initial_refresh_token", read)
                entry._scope.cancel()
                await anyio.sleep(1)

            monkeypatch.setattr(ProviderLogin, "initial_refresh_token", slowly)
            with anyio.CancelScope(shield=True):
                await entry.accept_login(granted(clock), another_account=False)
            assert present(entry.status().login).subject == "somebody"

    run_virtually(main)


def test_a_login_that_waits_for_a_loop_that_ends_is_saved_all_the_same() -> None:
    """The daemon ends while an exchange is under way: who brings the login saves it himself."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        server.script, server.latency = [undecided()], 20.0
        configured = provider("a", FakeLogin(refresh_token=literal("fake-refresh-0")))
        async with anyio.create_task_group() as persons, world.running(configured) as supervisor:
            await until(lambda: server.busy == 1, seconds=10)
            entry = held(supervisor.entries["a"])
            persons.start_soon(lambda: entry.accept_login(granted(clock), another_account=False))
            await anyio.sleep(1)
            assert entry.lease is None
        state = world.store.get("a").login.state
        assert isinstance(state, Ready)
        assert present(state.login.refresh_token).reveal() == "fake-persons"

    run_virtually(main)


class SlowlyRead(FakeLogin):
    """The initial refresh token takes three seconds to be read."""

    kind: str = "slowly-read"  # type: ignore[assignment]  # each kind has a name of its own

    async def initial_refresh_token(self, runtime: FakeRuntime) -> Secret | None:
        await runtime.clock.sleep(3.0)
        return await super().initial_refresh_token(runtime)


@pytest.mark.parametrize("is_taken", [False, True], ids=["waiting", "taken"])
def test_a_login_that_is_not_saved_yet_does_not_survive_a_logout(*, is_taken: bool) -> None:
    """It waits for an attempt that asks the server something harmless, or the loop is about to save it."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock, latency=5.0)
        server.script = [lost()]
        settings = SlowlyRead() if is_taken else FakeLogin(refresh_token=literal("fake-refresh-0"))
        failures: list[str] = []
        async with world.running(provider("a", settings)) as supervisor, anyio.create_task_group() as persons:
            entry = held(supervisor.entries["a"])
            required = lambda: entry.status().state is State.LOGIN_REQUIRED  # noqa: E731
            await until(required if is_taken else lambda: bool(server.probes), seconds=600)

            async def accept() -> None:
                try:
                    await entry.accept_login(granted(clock), another_account=False)
                except StoreError as error:
                    failures.append(error.detail)

            persons.start_soon(accept)
            await anyio.sleep(1)
            await entry.log_out()
            await anyio.sleep(0 if not is_taken else 3)
            assert [detail.endswith("somebody has logged out meanwhile: log in again") for detail in failures] == [True]
            await anyio.sleep(60)
            assert (entry.login, entry.lease) == (None, None)
            await entry.accept_login(granted(clock, "fake-later"), another_account=False)
            assert present(present(entry.login).refresh_token).reveal() == "fake-later"

    run_virtually(main)


def test_a_refresh_that_is_asked_for_while_a_login_is_saved_is_made_afterwards() -> None:
    """The loop is about to look at what is wanted: the wish that has come meanwhile counts."""

    async def main(clock: VirtualClock) -> None:
        world, server = World(clock), login_server(clock)
        server.valid.add("fake-persons")
        async with world.running(provider("a", SlowlyRead())) as supervisor, anyio.create_task_group() as persons:
            await until(lambda: supervisor.entries["a"].status().state is State.LOGIN_REQUIRED, seconds=30)
            entry = held(supervisor.entries["a"])
            persons.start_soon(lambda: entry.accept_login(granted(clock), another_account=False))
            await anyio.sleep(1)
            await supervisor.refresh("a", if_generation=None, reason="test", admin=True)
            assert server.refreshes == ["fake-persons"]

    run_virtually(main)


def test_a_kind_without_a_login_accepts_none() -> None:
    """The person gets the reason."""

    async def main(clock: VirtualClock) -> None:
        async with World(clock).running(provider("a", FakeHeld())) as supervisor:
            with pytest.raises(StoreError, match="its settings use no login"):
                await held(supervisor.entries["a"]).accept_login(granted(clock), another_account=False)

    run_virtually(main)
