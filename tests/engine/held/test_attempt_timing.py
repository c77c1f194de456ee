"""`AttemptTiming`: when an attempt is due by the token, by the login, and after failures."""

from dataclasses import replace

import anyio

from tests.engine.held.with_logins import LOGIN, begun, valid
from tests.expecting import present
from tests.fake_logins import (
    HOUR,
    lost,
    undecided,
)
from tests.fakes import FakeHeld, Upstream, World, minutes, provider
from tests.virtual import VirtualClock, run_virtually, until
from tokend.plugin.settings_base import parse_duration
from tokend.values.errors import TransientError
from tokend.values.status import State


def gaps(upstream: Upstream) -> list[float]:
    return [b.boot - a.boot for a, b in zip(upstream.calls, upstream.calls[1:], strict=False)]


def test_refresh_before_is_obeyed() -> None:
    """The operator's lead, as a duration."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        settings = FakeHeld(refresh_before=parse_duration("10m"))
        assert settings.refresh_before == minutes(10)
        async with world.running(provider("a", settings)):
            await anyio.sleep(12 * HOUR)
            assert 0.93 * 12 * HOUR <= gaps(world.upstreams["one"])[0] <= 12 * HOUR - 600 + 5

    run_virtually(main)


def test_a_503_that_asks_for_an_hour_does_not_let_the_token_run_out() -> None:
    """The upstream is back after five minutes; the token would end before its Retry-After is over."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        up.life = HOUR
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            up.broken = lambda now: TransientError("answered 503", retry_after=HOUR, repeatable=True)
            await until(lambda: len(up.calls) == 2, seconds=HOUR)
            await anyio.sleep(300)
            assert 3 <= len(up.calls) <= 10
            up.broken = lambda now: None
            await anyio.sleep(180)
            status = supervisor.entries["a"].status()
            assert status.state is State.VALID
            assert present(status.seconds_left) > HOUR / 2

    run_virtually(main)


def test_a_refresh_is_due_where_the_refresh_token_ends_before_the_token() -> None:
    """A fifth of its life before its end."""

    async def main(clock: VirtualClock) -> None:
        world, server = begun(clock, life=10 * HOUR, login_life=HOUR)
        async with world.running(provider("a", LOGIN)) as supervisor:
            await valid(supervisor)
            await anyio.sleep(4 * HOUR)
            gaps = [later - earlier for earlier, later in zip(server.at, server.at[1:], strict=False)]
            assert len(gaps) >= 4
            assert all(abs(gap - 0.8 * HOUR) < 60 for gap in gaps)

    run_virtually(main)


def test_an_end_that_refreshes_do_not_move_is_no_loop() -> None:
    """One refresh for it, then those of the token."""

    async def main(clock: VirtualClock) -> None:
        world, server = begun(clock, life=10 * HOUR, rotates=False)
        ends = clock.instant().after(5 * HOUR)
        server.script = [lambda granted: replace(granted, refresh_ends_at=ends)] * 10
        async with world.running(provider("a", LOGIN)) as supervisor:
            await valid(supervisor)
            await anyio.sleep(5 * HOUR)
            assert len(server.refreshes) == 2

    run_virtually(main)


def test_the_repeats_keep_their_times_however_long_the_outage_before_them_was() -> None:
    """1, 5 and 15 minutes, then hourly, also where the backoff would be longer."""

    async def main(clock: VirtualClock) -> None:
        world, server = begun(clock)
        server.script = [*[undecided() for _ in range(12)], *[lost() for _ in range(5)]]
        async with world.running(provider("a", LOGIN)):
            await until(lambda: len(server.refreshes) == 17, seconds=8 * HOUR)
        gaps = [round(later - earlier) // 5 * 5 for earlier, later in zip(server.at[12:], server.at[13:], strict=False)]
        assert gaps == [5, 60, 300, 900]

    run_virtually(main)
