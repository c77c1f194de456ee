"""`AttemptOutcomes`: what is stored, counted and logged of an attempt."""

import anyio

from tests.expecting import present
from tests.fakes import HOUR, FakeExtending, FakeHeld, World, provider
from tests.httpd.served import logged
from tests.virtual import VirtualClock, run_virtually, until
from tokend.engine.held.attempt_outcomes import LOG_SECONDS, AttemptOutcomes
from tokend.engine.held.settings_in_force import SettingsInForce
from tokend.values.errors import AttemptError, ClockError, TransientError
from tokend.values.secret import Secret
from tokend.values.status import State
from tokend.values.tokens import Token


def test_a_token_whose_end_the_upstream_moves_stays_the_same_for_ever() -> None:
    """One generation; each refresh is planned from the new end, and a restart finds it."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        upstream = world.upstreams["one"]
        upstream.life = HOUR
        async with world.running(provider("a", FakeExtending())) as supervisor:
            await until(lambda: supervisor.entries["a"].lease is not None, seconds=10)
            first = present(supervisor.entries["a"].lease)
            await anyio.sleep(24 * HOUR)
            lease = present(supervisor.entries["a"].lease)
            assert (lease.generation, lease.token.value) == (first.generation, first.token.value)
            assert (lease.fingerprint, lease.token.is_extended) == (first.fingerprint, False)
            assert supervisor.entries["a"].status().valid
            assert 29 <= len(upstream.calls) <= 34, "when a fifth of an hour is left, a little earlier by chance"
            assert world.counters.refreshes["a", "success"] == len(upstream.calls)
            answer = await supervisor.refresh("a", if_generation=first.generation, reason="", admin=True)
            assert answer.generation == first.generation
            ends = present(present(supervisor.entries["a"].lease).token.expires_at)
        async with world.running(provider("a", FakeExtending())) as supervisor:
            assert present(supervisor.entries["a"].lease).token.expires_at == ends
            await anyio.sleep(HOUR)
            assert present(supervisor.entries["a"].lease).generation == first.generation
            upstream.broken = lambda now: TransientError("down")
            await anyio.sleep(2 * HOUR)
            assert supervisor.entries["a"].status().state is State.EXPIRED, "the watch knows the last end"

    run_virtually(main)


def test_a_failure_is_logged_when_its_class_changes_and_at_most_once_a_minute() -> None:
    """A token between two failures makes the second one new."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running():
            settings = FakeHeld()
            in_force = SettingsInForce("a", settings, world.context)
            outcomes, identity = AttemptOutcomes("a", in_force, world.context), await in_force.identify()

            async def lines(error: AttemptError) -> int:
                with logged() as logs:
                    await outcomes.failed(error, identity, settings, cost=1, is_soon=False)
                return len(logs)

            down = TransientError("down")
            assert [await lines(down), await lines(down), await lines(ClockError("off"))] == [1, 0, 1]
            assert [await lines(down), await lines(down)] == [1, 0]
            await anyio.sleep(LOG_SECONDS)
            assert [await lines(down), await lines(down)] == [1, 0]
            now = clock.instant()
            token = Token(Secret("fake"), "Bearer", now, now.after(HOUR))
            record = await world.store.update("a", outcomes.with_token(token, identity))
            outcomes.succeeded(token, record, before=0, started=now)
            assert [await lines(down), await lines(down)] == [1, 0]

    run_virtually(main)
