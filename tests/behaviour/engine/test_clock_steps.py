"""P6 over reboots, steps, suspends and hanging requests."""

from collections.abc import Callable

import anyio
import pytest

from tests.expecting import held, present
from tests.fakes import HOUR, FakeHeld, FakeLocal, FakeSink, Upstream, World, literal, provider
from tests.virtual import VirtualClock, run_virtually
from tokend.engine.records.record import Record
from tokend.values.errors import SinkError, TransientError
from tokend.values.status import State
from tokend.values.tokens import Token


@pytest.mark.parametrize("settings", [FakeHeld(), FakeLocal(secret=literal("s"), life=12 * HOUR)])
def test_a_clock_set_back_gets_a_token_with_true_times_once(settings: FakeHeld | FakeLocal) -> None:
    """docs/promises.md 30: what was dated by the fast clock promises a life that ends hours earlier."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        clock.step(6 * HOUR)
        async with world.running(provider("a", settings)) as supervisor:
            await anyio.sleep(10)
            first = supervisor.entries["a"].lease
            clock.step(-6 * HOUR)
            await anyio.sleep(10)
            lease = supervisor.entries["a"].lease
            assert present(lease).generation > present(first).generation
            assert (present(present(lease).token.expires_at).wall - clock.instant().wall).total_seconds() <= 12 * HOUR
            await anyio.sleep(HOUR)
            assert supervisor.entries["a"].lease is lease

    run_virtually(main)


def test_a_clock_set_back_again_and_again_causes_one_refresh_an_hour() -> None:
    """docs/promises.md 31."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        async with world.running(provider("a", FakeHeld())):
            await anyio.sleep(10)
            for _ in range(60):
                await anyio.sleep(120)
                clock.step(-600)
            assert 2 <= len(up.calls) <= 4
            await anyio.sleep(HOUR)
            assert len(up.calls) <= 5

    run_virtually(main)


def test_the_same_token_again_after_a_step_back_is_not_asked_for_in_a_loop() -> None:
    """Once per token: an upstream that keeps its token cannot give it true times."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        up.script = ["fake-token"] * 99
        async with world.running(provider("a", FakeHeld())):
            await anyio.sleep(10)
            clock.step(-6 * HOUR)
            await anyio.sleep(3 * HOUR)
            assert len(up.calls) == 2

    run_virtually(main)


def test_a_clock_that_was_behind_at_boot_hides_no_expiry_once_it_is_set() -> None:
    """docs/promises.md 34 and 36: a machine off for a day, whose clock stood still meanwhile."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        sink = FakeSink()
        async with world.running(provider("a", FakeHeld(on_expiry="remove"), sink)):
            await anyio.sleep(10)
        up.broken = lambda now: TransientError("down")
        world.state.boot_id = "boot-2"
        async with world.running(provider("a", FakeHeld(on_expiry="remove"), sink)) as supervisor:
            await anyio.sleep(60)
            assert supervisor.entries["a"].status().valid
            clock.step(24 * HOUR)
            await anyio.sleep(15)
            assert not supervisor.entries["a"].status().valid
            assert world.disk == {}

    run_virtually(main)


def test_an_expiry_is_noticed_while_a_request_hangs() -> None:
    """P6: nothing expires unnoticed for more than 15 s, whatever the upstream does meanwhile."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        up.life = 100.0
        async with world.running(provider("a", FakeHeld(on_expiry="remove"), FakeSink())) as supervisor:
            await anyio.sleep(10)
            up.latency = 10_000.0
            await anyio.sleep(100)
            assert held(supervisor.entries["a"]).refresher.is_busy
            assert world.disk == {}

    run_virtually(main)


def test_after_a_suspend_the_most_urgent_goes_first() -> None:
    """docs/promises.md 28: refreshed in order of remaining life."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        order: list[str] = []
        lives = {"a": 24 * HOUR, "b": 9 * HOUR, "c": 8.5 * HOUR, "d": 10 * HOUR}

        class Noted(Upstream):
            async def answer(self) -> Token:
                order.append(next(name for name, up in world.upstreams.items() if up is self))
                return await super().answer()

        for name, life in lives.items():
            world.upstreams[name] = Noted(clock, life=life)
        settings = {name: FakeHeld(base_url=name, refresh_before=None) for name in lives}
        async with world.running(*(provider(name, settings[name]) for name in lives)):
            await anyio.sleep(10)
            order.clear()
            clock.suspend(8.4 * HOUR)
            await anyio.sleep(10)
            assert order == ["c", "b", "d"]

    run_virtually(main)


def test_a_sink_that_waits_does_not_spin_when_the_wall_clock_jumps_ahead() -> None:
    """Its pause is measured on the boot line; a moment that has come on the wall for ever must not be waited for."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.stumbles["write", "somewhere"] = SinkError("no")
        looks = 0
        async with world.running(provider("a", FakeHeld(), FakeSink())):
            await anyio.sleep(200)
            get: Callable[[str], Record] = world.store.get

            def counting(name: str) -> Record:
                nonlocal looks
                looks += 1
                return get(name)

            world.store.get = counting
            clock.step(24 * HOUR)
            await anyio.sleep(60)
            assert looks < 200

    run_virtually(main)


def test_a_moved_clock_does_not_make_publishers_spin() -> None:
    """Waiters for the store's next change go on waiting for it."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld(), FakeSink(), FakeSink(path="other"))) as supervisor:
            await anyio.sleep(10)
            clock.suspend(60)
            await anyio.sleep(1)
            assert not world.store.changed("a").is_set()
            assert supervisor.entries["a"].status().state is State.VALID

    run_virtually(main)


def test_the_same_token_after_a_reboot_on_an_absurd_clock_ends_when_its_upstream_says() -> None:
    """P2: a boot without a time dated its whole life again; the upstream that returns it again gives the true times."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        upstream = world.upstreams["one"]
        upstream.life = 4 * HOUR
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            value = present(supervisor.entries["a"].lease).token.value.reveal()
            end = clock.instant().boot - 10 + 4 * HOUR
        await anyio.sleep(2 * HOUR)
        world.state.boot_id = "boot-2"
        clock.step(-56 * 365 * 24 * HOUR)
        upstream.script, upstream.life = [value], end - clock.instant().boot - 100
        async with world.running(provider("a", FakeHeld(), FakeSink(path="file"))) as supervisor:
            await anyio.sleep(100)
            assert present(supervisor.entries["a"].lease).token.is_valid(clock.instant())
            before = supervisor.entries["a"].lease
            assert present(present(before).token.expires_at).boot > end + HOUR
            clock.step(56 * 365 * 24 * HOUR)
            await anyio.sleep(300)
            after = supervisor.entries["a"].lease
            assert present(after).token.value.reveal() == value
            assert present(present(after).token.expires_at).boot == pytest.approx(end, abs=60)
            assert present(after).generation > present(before).generation

    run_virtually(main)
