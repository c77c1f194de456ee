"""Held providers behind the interface: what they refuse, when a single run is over."""

from typing import Any

import anyio
import pytest

from tests.expecting import present
from tests.fakes import FakeGiven, FakeHeld, FakeSink, World, config, literal, provider
from tests.virtual import VirtualClock, run_virtually
from tokend.values.errors import NotSupportedError, RejectedError, TransientError


def test_a_held_token_is_not_issued() -> None:
    """GET is the way to it; the message says so."""

    async def main(clock: VirtualClock) -> None:
        async with World(clock).running(provider("a", FakeHeld())) as supervisor:
            assert not supervisor.entries["a"].is_on_demand
            with pytest.raises(NotSupportedError, match="a is a held token: GET it"):
                await supervisor.issue("a", {})

    run_virtually(main)


@pytest.mark.parametrize(
    ("failures", "given_up"),
    [
        ([TransientError("down")], False),  # it is tried again
        ([RejectedError("401")], True),  # unproven: rejected at once
        ([], False),  # settled, not given up
    ],
)
def test_a_single_run_waits_for_what_time_may_fix_and_not_for_a_person(failures: list[Any], given_up: bool) -> None:
    """`run --once` tries like the daemon; rejected credentials are not tried again."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.upstreams["one"].script = list(failures)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(4)
            assert supervisor.entries["a"].has_given_up() is given_up
            assert supervisor.entries["a"].is_settled() is not bool(failures)
            assert supervisor.entries["a"].was_tried()
            assert supervisor.outcome() == (4 if given_up else None if failures else 0)
            assert supervisor.outcome_now() == (4 if given_up else 7 if failures else 0)

    run_virtually(main)


def test_a_single_run_tries_what_is_not_required_once() -> None:
    """Its failure is neither waited for nor an error."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        world.upstreams["one"].broken = lambda now: TransientError("down")
        async with world.running(provider("a", FakeHeld(required=False))) as supervisor:
            assert (supervisor.outcome(), supervisor.outcome_now()) == (None, 0)
            await anyio.sleep(4)
            assert supervisor.outcome() == 0

    run_virtually(main)


def test_a_token_that_has_ended_and_cannot_be_renewed_needs_a_person() -> None:
    """`run --once` ends with 4."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        given = FakeGiven(given=literal("fake"), renewable=False)
        async with world.running(provider("a", given)) as supervisor:
            await anyio.sleep(4)
            assert supervisor.outcome() == 0
            await anyio.sleep(3600)
            assert (supervisor.outcome(), supervisor.outcome_now()) == (4, 4)

    run_virtually(main)


def test_a_refusal_of_proven_credentials_is_worth_another_attempt_of_a_single_run() -> None:
    """One odd answer: the second attempt, 5 s later, may bring the token."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            world.upstreams["one"].script = [RejectedError("401")]
            await supervisor.forget("a")
            await anyio.sleep(0.5)
            assert supervisor.entries["a"].status().failures == 1
            assert not supervisor.entries["a"].has_given_up()

    run_virtually(main)


def test_a_single_run_waits_for_the_announcement_of_a_write() -> None:
    """`run --once`: programs that read the file are notified before the exit."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        seen = []
        async with world.running() as supervisor:
            supervisor.subscribe(lambda name: seen.append((world.disk.get("file"), supervisor.outcome())))
            await supervisor.apply(config(provider("a", FakeHeld(key=literal("fake")), FakeSink(path="file"))))
            await anyio.sleep(10)
            assert world.announced == ["file"]
            assert (world.disk["file"], None) in seen
            assert seen[-1] == (world.disk["file"], 0)

    run_virtually(main)


def test_settings_that_are_equal_make_no_attempt() -> None:
    """A change of the sinks alone leaves the refresher alone."""

    async def main(clock: VirtualClock) -> None:
        world = World(clock)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await anyio.sleep(10)
            entry, lease = supervisor.entries["a"], supervisor.entries["a"].lease
            await supervisor.apply(config(provider("a", FakeHeld(), FakeSink(path="file"))))
            await anyio.sleep(10)
            assert supervisor.entries["a"] is entry
            assert entry.lease is lease
            assert [sink.target for sink in entry.config.sinks] == ["file"]
            assert world.disk["file"] == present(lease).token.value.reveal()

    run_virtually(main)
