"""Refreshes that readers cause, and their refusals."""

from dataclasses import replace

import anyio
import pytest

from tests.expecting import present
from tests.fakes import HOUR, FakeHeld, FakeSink, World, provider
from tests.virtual import VirtualClock, run_virtually
from tokend.engine.records.token_states import NO_TOKEN
from tokend.plugin.secret_source import SecretSource
from tokend.values.errors import (
    RateLimitedError,
    RejectedError,
    ThrottledError,
    TokenUnavailableError,
    TransientError,
)
from tokend.values.status import State


def test_a_pause_longer_than_the_wait_is_a_429_also_for_admins() -> None:
    """If the minimum interval or Retry-After is longer than the wait: 429, with the moment it ends."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        up.script = [RateLimitedError("answered 429", retry_after=600)]
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            for admin in (True, False):
                with pytest.raises(ThrottledError) as refused:
                    await supervisor.fresh("a", 1, admin=admin)
                assert present(refused.value.retry_at) - clock.instant().wall.timestamp() == pytest.approx(590, abs=10)
            assert len(up.calls) == 1

    run_virtually(main)


def test_a_token_that_does_not_last_as_long_as_promised_is_refused_after_one_attempt() -> None:
    """min_ttl is a promise kept or a typed 503, also where nobody could know the life before."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        up.life = 100.0
        async with world.running(provider("a", FakeHeld())) as supervisor:
            with pytest.raises(TokenUnavailableError, match="does not last"):
                await supervisor.fresh("a", 1000, admin=False)
            with pytest.raises(TokenUnavailableError, match="ask for less") as caught:
                await supervisor.fresh("a", 1000, admin=False)
            assert caught.value.retry_at is None  # coming back later would not help
            assert len(up.calls) == 1

    run_virtually(main)


def test_a_token_without_an_end_meets_every_promise_and_is_never_asked_for_by_timer() -> None:
    """expires_at may be None."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        up.life, up.script = None, ["fake-endless", "fake-endless"]
        async with world.running(provider("a", FakeHeld(), FakeSink())) as supervisor:
            await anyio.sleep(1000 * HOUR)
            lease = await supervisor.fresh("a", 1e9, admin=False)
            assert supervisor.entries["a"].status().next_attempt_at is None
            clock.step(-6 * HOUR)
            await anyio.sleep(HOUR)
            assert len(up.calls) == 1
            assert (await supervisor.refresh("a", if_generation=None, reason="", admin=True)) == lease
            assert len(world.written) == 1

    run_virtually(main)


def test_a_token_forgotten_the_moment_it_arrives_is_not_handed_out() -> None:
    """forget: dropped means dropped."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            first = present(supervisor.entries["a"].lease).generation

            def forget(name: str) -> None:
                record = world.store.get(name)
                if record.lease is not None and record.lease.generation > first:
                    world.store.show(name, replace(record, token=NO_TOKEN))

            supervisor.subscribe(forget)
            with pytest.raises(TokenUnavailableError, match="there is no token"):
                await supervisor.refresh("a", if_generation=None, reason="", admin=True)

    run_virtually(main)


def test_a_token_that_is_dead_on_arrival_is_a_failure_and_no_loop() -> None:
    """docs/promises.md 18."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            up.life = -5.0
            with pytest.raises(TokenUnavailableError, match="had expired when it arrived"):
                await supervisor.refresh("a", if_generation=None, reason="", admin=True)
            await anyio.sleep(HOUR)
            assert supervisor.entries["a"].status().state is State.FAILING
            assert present(supervisor.entries["a"].lease).token.value.reveal() == "fake-token-1"
            assert len(up.calls) <= 30

    run_virtually(main)


def test_a_reader_that_joins_an_attempt_takes_nothing_from_the_allowance() -> None:
    """Single flight: attempts are counted, not those who ask for them."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            for _ in range(3):
                generation = present(supervisor.entries["a"].lease).generation
                async with anyio.create_task_group() as tasks:
                    for _ in range(20):
                        tasks.start_soon(
                            lambda g: supervisor.refresh("a", if_generation=g, reason="", admin=False), generation
                        )
            assert len(up.calls) == 4

    run_virtually(main)


def test_a_retired_generation_whose_token_is_dead_is_worth_an_attempt() -> None:
    """Newer is not enough: what is handed out must be valid."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        up = world.upstreams["one"]
        up.life = 60.0
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            generation = present(supervisor.entries["a"].lease).generation
            up.broken = lambda now: TransientError("down")
            await anyio.sleep(300)
            up.broken = lambda now: None
            lease = await supervisor.refresh("a", if_generation=generation - 1, reason="", admin=False)
            assert lease.generation > generation

    run_virtually(main)


def test_a_program_that_reports_a_refused_token_does_not_resume_what_was_rejected() -> None:
    """Only a person's unconditional refresh does; the valid token is not handed out as if it were new."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock, environ={"KEY": "good"})
        up = world.upstreams["one"]
        async with world.running(provider("a", FakeHeld(key=SecretSource(env="KEY")))) as supervisor:
            await anyio.sleep(10)
            generation = present(supervisor.entries["a"].lease).generation
            up.broken = lambda now: RejectedError("no")
            await anyio.sleep(11 * HOUR)
            before = len(up.calls)
            with pytest.raises(TokenUnavailableError):
                await supervisor.refresh("a", if_generation=generation, reason="unauthorized", admin=True)
            assert len(up.calls) == before
            with pytest.raises(TokenUnavailableError):
                await supervisor.refresh("a", if_generation=None, reason="person", admin=True)
            assert len(up.calls) == before + 1

    run_virtually(main)


def test_a_single_run_waits_for_the_first_telling_of_others() -> None:
    """run --once: the command after the write belongs to it; that it fails does not hold the run up."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld(), FakeSink())) as supervisor:
            with anyio.fail_after(20):
                while supervisor.outcome() is None:
                    changed = world.store.changed("a")
                    await changed.wait()
            assert supervisor.outcome() == 0
            assert world.announced == ["somewhere"]

    run_virtually(main)
