"""Restarts, reboots, and clocks that move: what is kept, and what is asked for again."""

import anyio
import pytest

from tests.expecting import present
from tests.fakes import HOUR, FakeHeld, FakeSink, Upstream, World, provider
from tests.virtual import VirtualClock, run_virtually
from tokend.plugin.secret_source import SecretSource
from tokend.values.errors import ClockError, RejectedError, TransientError
from tokend.values.status import State

DOWN = TransientError("connection refused", repeatable=True)
NO = RejectedError("InvalidCredentials")


def gaps(upstream: Upstream) -> list[float]:
    return [b.boot - a.boot for a, b in zip(upstream.calls, upstream.calls[1:], strict=False)]


def test_a_restart_is_no_way_around_a_rejection_but_a_new_secret_is() -> None:
    """`rejected` is persisted with the secret's fingerprint."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock, environ={"KEY": "wrong"})
        up = world.upstreams["one"]
        up.broken = lambda now: NO
        settings = FakeHeld(key=SecretSource(env="KEY"))
        for _ in range(3):
            async with world.running(provider("a", settings)) as supervisor:
                await anyio.sleep(HOUR)
                assert supervisor.entries["a"].status().state is State.REJECTED
        assert len(up.calls) == 1
        world.environ["KEY"] = "right"
        up.broken = lambda now: None
        async with world.running(provider("a", settings)) as supervisor:
            await anyio.sleep(20)
            assert supervisor.entries["a"].status().state is State.VALID

    run_virtually(main)


def test_a_clock_refusal_is_asked_again_once_and_counts() -> None:
    """Clock: learn the offset, retry once; a second refusal rejects the credentials."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        up.script = [ClockError("our clock is 3600 s behind", offset=3600.0)]
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(60)
            assert supervisor.entries["a"].status().state is State.VALID
            assert len(up.calls) == 2
        world.upstreams["two"] = two = Upstream(clock, script=[ClockError("skew", offset=9e3)] * 5)
        async with world.running(provider("b", FakeHeld(base_url="two"))) as supervisor:
            await anyio.sleep(HOUR)
            assert supervisor.entries["b"].status().state is State.REJECTED
            assert len(two.calls) == 2

    run_virtually(main)


def test_an_implausible_clock_makes_no_request_and_expires_nothing() -> None:
    """docs/promises.md 36: class clock."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            clock.step(70 * 365 * 86400)
            await anyio.sleep(HOUR)
            status = supervisor.entries["a"].status()
            assert (status.valid, present(status.last_error).reason, len(up.calls)) == (True, "clock", 1)
            clock.step(-70 * 365 * 86400)
            await anyio.sleep(301)
            assert supervisor.entries["a"].status().last_error is None

    run_virtually(main)


@pytest.mark.parametrize("step", [6 * HOUR, -6 * HOUR, 24 * HOUR, -24 * HOUR])
def test_a_stepped_wall_clock_expires_nothing_and_costs_at_most_one_request(step: float) -> None:
    """P6: docs/promises.md 29 and 30."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            up.broken = lambda now: DOWN
            clock.step(step)
            await anyio.sleep(0.01)
            assert supervisor.entries["a"].status().valid
            up.broken = lambda now: None
            await anyio.sleep(HOUR)
            assert len(up.calls) <= 4
            await anyio.sleep(12 * HOUR)
            status = supervisor.entries["a"].status()
            assert status.state is State.VALID
            assert min(gaps(up)) >= 1.0

    run_virtually(main)


def test_flapping_clocks_keep_requests_bounded() -> None:
    """docs/promises.md 31."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        async with world.running(provider("a", FakeHeld())):
            await anyio.sleep(10)
            for _ in range(100):
                clock.step(24 * HOUR)
                await anyio.sleep(10)
                clock.step(-24 * HOUR)
                await anyio.sleep(10)
            assert len(up.calls) <= 5

    run_virtually(main)


def test_a_suspended_machine_refreshes_when_it_wakes() -> None:
    """docs/promises.md 28: boot time counts the sleep."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            clock.suspend(13 * HOUR)
            assert not supervisor.entries["a"].status().valid
            await anyio.sleep(15)
            assert supervisor.entries["a"].status().state is State.VALID

    run_virtually(main)


def test_a_restart_makes_no_login_and_keeps_generation_and_moment() -> None:
    """Tokens are persisted with their origin, jitter included."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            first = supervisor.entries["a"].lease
        async with world.running(provider("a", FakeHeld())) as supervisor:
            assert supervisor.entries["a"].lease == first
            await anyio.sleep(HOUR)
        assert len(world.upstreams["one"].calls) == 1

    run_virtually(main)


def test_after_a_reboot_the_boot_line_is_computed_from_the_wall() -> None:
    """docs/promises.md 35: the token still ends when it ends."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            left = supervisor.entries["a"].status().seconds_left
        world.state.boot_id = "boot-2"
        clock.suspend(HOUR)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            assert supervisor.entries["a"].status().seconds_left == pytest.approx(present(left) - HOUR, abs=0.1)

    run_virtually(main)


def test_generations_only_rise_also_when_the_state_was_lost() -> None:
    """They start at max(last known, Unix seconds)."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            first = present(supervisor.entries["a"].lease).generation
            await supervisor.refresh("a", if_generation=None, reason="test", admin=True)
            second = present(supervisor.entries["a"].lease).generation
        assert first == pytest.approx(clock.instant().wall.timestamp(), abs=60)
        world.state.content.clear()
        await anyio.sleep(30)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(30)
            assert present(supervisor.entries["a"].lease).generation > second > first

    run_virtually(main)


def test_a_damaged_state_file_is_set_aside_and_the_token_fetched_again() -> None:
    """docs/promises.md 64."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.state.content["a"] = b'{"version":1,"name":"a"'
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            assert supervisor.entries["a"].status().state is State.VALID

    run_virtually(main)


def test_a_token_is_published_although_it_cannot_be_persisted() -> None:
    """A full disk costs the restart's comfort, not the token."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.state.broken = True
        async with world.running(provider("a", FakeHeld(), FakeSink())) as supervisor:
            await anyio.sleep(10)
            assert supervisor.entries["a"].status().state is State.VALID
            assert world.disk == {"somewhere": "fake-token-1"}

    run_virtually(main)
