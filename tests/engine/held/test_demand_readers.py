"""Readers on the virtual clock: what they get, what they cause, what they are refused."""

import anyio
import pytest

from tests.expecting import present
from tests.fakes import HOUR, FakeHeld, FakeSink, Upstream, World, provider
from tests.virtual import VirtualClock, run_virtually
from tokend.values.errors import (
    GenerationConflictError,
    LoginRequiredError,
    RejectedError,
    ThrottledError,
    TokenUnavailableError,
    TransientError,
    WaitTimeoutError,
)

DOWN = TransientError("connection refused", repeatable=True)
NO = RejectedError("InvalidCredentials")


def gaps(upstream: Upstream) -> list[float]:
    return [b.boot - a.boot for a, b in zip(upstream.calls, upstream.calls[1:], strict=False)]


def test_many_readers_cause_one_request() -> None:
    """Single flight: a hundred callers, one attempt."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            leases = []

            async def ask() -> None:
                leases.append(await supervisor.refresh("a", if_generation=None, reason="unauthorized", admin=True))

            async with anyio.create_task_group() as tasks:
                for _ in range(100):
                    tasks.start_soon(ask)
            assert len(up.calls) == 2
            assert len({lease.generation for lease in leases}) == 1

    run_virtually(main)


def test_readers_cannot_cause_storms_but_an_admin_may_ask_again() -> None:
    """Three attempts at once, then one per five minutes, else 429; admins keep the minimum interval of 5 s."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            for _ in range(3):
                generation = present(supervisor.entries["a"].lease).generation
                await supervisor.refresh("a", if_generation=generation, reason="unauthorized", admin=False)
            generation = present(supervisor.entries["a"].lease).generation
            with pytest.raises(ThrottledError) as refused:
                await supervisor.refresh("a", if_generation=generation, reason="unauthorized", admin=False)
            assert present(refused.value.retry_at) > clock.instant().wall.timestamp()
            await supervisor.refresh("a", if_generation=None, reason="person", admin=True)
            assert len(up.calls) == 5
            assert min(gaps(up)[1:]) >= 5.0

    run_virtually(main)


def test_a_generation_that_is_old_gets_the_newer_token_and_one_from_the_future_a_conflict() -> None:
    """if_generation: newer already → that one, no request; above the current → 409."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            current = supervisor.entries["a"].lease
            assert current == await supervisor.refresh(
                "a", if_generation=present(current).generation - 1, reason="", admin=False
            )
            with pytest.raises(GenerationConflictError):
                await supervisor.refresh("a", if_generation=current.generation + 1, reason="", admin=False)
            assert len(world.upstreams["one"].calls) == 1

    run_virtually(main)


def test_min_ttl_is_a_promise_or_a_typed_refusal() -> None:
    """Refreshed first if need be; above a fresh token's life it is refused without a request."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            assert (await supervisor.fresh("a", 60, admin=False)).generation
            assert len(up.calls) == 1
            with pytest.raises(TokenUnavailableError):
                await supervisor.fresh("a", 13 * HOUR, admin=False)
            assert len(up.calls) == 1
            lease = await supervisor.fresh("a", 11.999 * HOUR + 3, admin=False)
            assert len(up.calls) == 2
            assert clock.instant().until(present(lease.token.expires_at)) >= 11.999 * HOUR + 3
            up.broken = lambda now: DOWN
            await anyio.sleep(HOUR)
            with pytest.raises(TokenUnavailableError):
                await supervisor.fresh("a", 11.9 * HOUR, admin=False)
            assert supervisor.entries["a"].status().valid

    run_virtually(main)


def test_a_reader_waits_thirty_seconds_at_most() -> None:
    """Then 504; the attempt goes on and its token is kept."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.upstreams["one"].latency = 100
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(5)
            start = clock.instant()
            with pytest.raises(WaitTimeoutError):
                await supervisor.fresh("a", 1, admin=True)
            assert start.until(clock.instant()) == pytest.approx(30, abs=0.1)
            await anyio.sleep(100)
            assert supervisor.entries["a"].status().valid

    run_virtually(main)


def test_a_refresh_by_an_admin_leaves_rejected_and_a_reader_cannot() -> None:
    """`rejected` resumes on `tokend refresh`."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        up.script = [NO]
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            with pytest.raises(LoginRequiredError):
                await supervisor.fresh("a", 60, admin=False)
            assert len(up.calls) == 1
            up.script = [NO]
            with pytest.raises(LoginRequiredError):
                await supervisor.refresh("a", if_generation=None, reason="person", admin=True)
            assert (await supervisor.refresh("a", if_generation=None, reason="person", admin=True)).generation
            assert len(up.calls) == 3

    run_virtually(main)


def test_a_forgotten_token_leaves_memory_state_and_files_and_is_replaced() -> None:
    """forget: drop a compromised token, unlink its files, log in again."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        async with world.running(provider("a", FakeHeld(), FakeSink())) as supervisor:
            await anyio.sleep(10)
            up.latency = 5
            await supervisor.forget("a")
            await anyio.sleep(1)
            assert world.disk == {}
            assert b"fake-token-1" not in world.state.content["a"]
            await anyio.sleep(15)
            assert world.disk == {"somewhere": "fake-token-2"}

    run_virtually(main)
