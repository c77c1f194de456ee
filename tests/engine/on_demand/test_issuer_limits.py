"""On-demand tokens: what many queries at once, slow upstreams, restarts and changed settings may cost."""

import anyio
import pytest

from tests.engine.on_demand.world import running
from tests.expecting import on_demand
from tests.fakes import FakeOnDemand, World, config, literal, provider
from tests.virtual import VirtualClock, run_virtually
from tokend.engine.supervisor import Supervisor
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.settings_base import parse_duration
from tokend.values.errors import (
    ClockError,
    InvalidParametersError,
    LoginRequiredError,
    RateLimitedError,
    RejectedError,
    ThrottledError,
    TokenUnavailableError,
    TransientError,
)
from tokend.values.status import State

NO = RejectedError("Invalid signature")


def test_ten_queries_at_once_send_wrong_credentials_twice_at_most() -> None:
    """Rejected credentials: at most 2 requests, however many ask."""

    @running([NO] * 20, key=literal("wrong"))
    async def _(world: World, supervisor: Supervisor) -> None:
        refusals: list[Exception] = []

        async def ask() -> None:
            try:
                await supervisor.issue("o", {})
            except (TokenUnavailableError, LoginRequiredError) as error:
                refusals.append(error)

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(ask)
        assert len(refusals) == 10
        assert len(world.upstreams["one"].calls) == 2


def test_queries_go_side_by_side_once_the_credentials_are_known_to_work() -> None:
    """Calls may run side by side: a slow one holds nobody up. Those that sign here never wait."""

    @running(["first"])
    async def _(world: World, supervisor: Supervisor) -> None:
        up = world.upstreams["one"]
        up.latency = 2

        async def ask(count: int) -> None:
            async with anyio.create_task_group() as tasks:
                for _ in range(count):
                    tasks.start_soon(supervisor.issue, "o", {})

        start = anyio.current_time()
        await ask(3)
        assert anyio.current_time() - start == pytest.approx(4, abs=0.1)
        await ask(5)
        assert anyio.current_time() - start == pytest.approx(6, abs=0.1)

    @running([], base_url=None)
    async def _(world: World, supervisor: Supervisor) -> None:
        assert (await supervisor.issue("o", {})).value.reveal() == "signed"


def test_a_query_behind_one_that_hangs_is_answered_in_time() -> None:
    """All within ``timeout``, the waiting for each other included."""

    @running([], timeout=parse_duration("10s"))
    async def _(world: World, supervisor: Supervisor) -> None:
        world.upstreams["one"].latency = 1000
        start = anyio.current_time()

        async def ask() -> None:
            with pytest.raises(TokenUnavailableError):
                await supervisor.issue("o", {})
            assert anyio.current_time() - start <= 10.1

        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(ask)


@pytest.mark.parametrize(("timeout", "latency"), [("1s", 0.8), ("5s", 4.8), ("30s", 16.0), ("30s", 29.5)])
def test_an_upstream_that_is_merely_slow_is_given_its_time(timeout: str, latency: float) -> None:
    """A call cut short may have had its effect: repeating it makes a second single-use token."""

    @running([], timeout=parse_duration(timeout))
    async def _(world: World, supervisor: Supervisor) -> None:
        world.upstreams["one"].latency = latency
        await supervisor.issue("o", {})
        assert len(world.upstreams["one"].calls) == 1


@pytest.mark.parametrize(("latency", "calls"), [(1.0, 3), (3.0, 2), (4.0, 1)])
def test_a_call_is_repeated_only_where_a_second_of_the_timeout_is_left_after_the_pause(
    latency: float, calls: int
) -> None:
    """A repeat that cannot be answered in time may make a user at the vendor, and gives nobody a token."""

    @running([TransientError("504", repeatable=True)] * 9, timeout=parse_duration("5s"))
    async def _(world: World, supervisor: Supervisor) -> None:
        up = world.upstreams["one"]
        up.latency = latency
        start = anyio.current_time()
        with pytest.raises(TokenUnavailableError):
            await supervisor.issue("o", {})
        assert len(up.calls) == calls
        assert anyio.current_time() - start <= 5.1


def test_two_clock_refusals_of_one_query_are_two_in_a_row() -> None:
    """Rejected credentials: at most 2 requests, also where a wrong clock was suspected first."""

    @running([ClockError("behind", offset=3600.0)] * 9, key=literal("wrong"))
    async def _(world: World, supervisor: Supervisor) -> None:
        for _ in range(3):
            with pytest.raises(LoginRequiredError):
                await supervisor.issue("o", {})
        assert len(world.upstreams["one"].calls) == 2


def test_a_clock_refusal_after_a_refusal_is_the_second() -> None:
    """It is not worth a third call."""

    @running([NO, ClockError("behind", offset=3600.0), NO], key=literal("wrong"))
    async def _(world: World, supervisor: Supervisor) -> None:
        with pytest.raises(TokenUnavailableError):
            await supervisor.issue("o", {})
        with pytest.raises(LoginRequiredError):
            await supervisor.issue("o", {})
        assert len(world.upstreams["one"].calls) == 2


def test_what_binds_the_next_query_survives_a_restart() -> None:
    """Refusals, `rejected` and Retry-After are persisted: a restart is no way around them."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        up.script = [NO, NO]
        settings = FakeOnDemand(key=literal("wrong"))
        for expected in (TokenUnavailableError, LoginRequiredError, LoginRequiredError):
            async with world.running(provider("o", settings)) as supervisor:
                await anyio.sleep(1)
                with pytest.raises(expected):
                    await supervisor.issue("o", {})
        assert len(up.calls) == 2
        up.script = [RateLimitedError("429", retry_after=60)]
        for _ in range(2):
            async with world.running(provider("p", FakeOnDemand())) as supervisor:
                with pytest.raises(ThrottledError):
                    await supervisor.issue("p", {})
        assert len(up.calls) == 3
        async with world.running(provider("p", FakeOnDemand())) as supervisor:
            await anyio.sleep(60)
            await supervisor.issue("p", {})

    run_virtually(main)


def test_fields_that_the_vendor_refuses_prove_the_credentials_and_reach_the_caller() -> None:
    """They had been accepted by then: no refusal is left over."""

    @running([NO, InvalidParametersError({"name": ["too long"]}), NO])
    async def _(world: World, supervisor: Supervisor) -> None:
        for expected in (TokenUnavailableError, InvalidParametersError, TokenUnavailableError):
            with pytest.raises(expected):
                await supervisor.issue("o", {})
        assert supervisor.entries["o"].status().state is State.ON_DEMAND


def test_a_secret_that_cannot_be_read_costs_no_call_and_rejected_waits_for_another_one() -> None:
    """`rejected` ends when the secret changes, not when it vanishes."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock, environ={"KEY": "wrong"})
        up = world.upstreams["one"]
        up.script = [NO, NO]
        async with world.running(provider("o", FakeOnDemand(key=SecretSource(env="KEY")))) as supervisor:
            for _ in range(2):
                with pytest.raises((TokenUnavailableError, LoginRequiredError)):
                    await supervisor.issue("o", {})
            worker = on_demand(supervisor.entries["o"]).issuer

            def state() -> State:
                return worker.state

            del world.environ["KEY"]
            await worker.reconsider()
            assert state() is State.REJECTED
            world.environ["KEY"] = "wrong"
            await worker.reconsider()
            assert state() is State.REJECTED
            world.environ["KEY"] = "right"
            await worker.reconsider()
            assert state() is State.ON_DEMAND
            del world.environ["KEY"]
            with pytest.raises(TokenUnavailableError):
                await supervisor.issue("o", {})
            assert len(up.calls) == 2

    run_virtually(main)


def test_a_secret_that_vanishes_with_the_second_refusal_leaves_nothing_to_be_rejected() -> None:
    """It has changed already: the next query reads what is there then."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock, environ={"KEY": "wrong"})
        up = world.upstreams["one"]
        up.broken = lambda now: NO if world.environ.pop("KEY", None) else None
        async with world.running(provider("o", FakeOnDemand(key=SecretSource(env="KEY")))) as supervisor:
            for _ in range(2):
                world.environ["KEY"] = "wrong"
                with pytest.raises(TokenUnavailableError):
                    await supervisor.issue("o", {})
            world.environ["KEY"] = "right"
            up.broken = lambda now: None
            await supervisor.issue("o", {})

    run_virtually(main)


def test_another_way_to_the_upstream_ends_rejected_for_one_call() -> None:
    """A proxy or a certificate may be what was missing."""

    @running([NO] * 9, key=literal("wrong"))
    async def _(world: World, supervisor: Supervisor) -> None:
        for _ in range(3):
            with pytest.raises((TokenUnavailableError, LoginRequiredError)):
                await supervisor.issue("o", {})
        changed = FakeOnDemand(key=literal("wrong"), timeout=parse_duration("9s"))
        await supervisor.apply(config(provider("o", changed)))
        for _ in range(3):
            with pytest.raises(LoginRequiredError):
                await supervisor.issue("o", {})
        assert len(world.upstreams["one"].calls) == 3
