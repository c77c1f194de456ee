"""`sync` and `inspect`: what a person asks of all sinks of a token, and what status and counters show of it."""

from datetime import timedelta
from typing import Any

import pytest

from tests.expecting import present
from tests.fakes import HOUR, FakeFile, FakeHeld, FakeListeningSink, literal, provider
from tests.publishing_sinks import PASSWORD, StoreSink
from tests.store_world import row, store_sink, world_with_store
from tests.virtual import VirtualClock, run_virtually, until
from tokend.engine.publishing.running_sinks import SYNC_SECONDS
from tokend.engine.supervisor import Supervisor
from tokend.values.status import StatusWarning

SECRET_NAME = "ghp_obviouslyfakesecret"


class Metered(StoreSink):
    """A store that takes a hundred writes a day."""

    kind: Any = "metered"
    writes_per_day = 100


def test_a_sync_returns_when_all_sinks_have_tried() -> None:
    """The status after it is the result: a file and a store of each kind, one that fails, one that is asked first."""

    async def main(clock: VirtualClock) -> None:
        world, network, store = world_with_store(clock)
        network.latency_seconds = 3
        sinks = [store_sink(), store_sink("else", auth=literal("planted-fake-wrong-password")), FakeFile()]
        async with world.running(provider("a", FakeHeld(), *sinks, FakeListeningSink())) as supervisor:
            await until(lambda: row(supervisor).state == "ok", seconds=20)
            written, began = store.versions, clock.instant()
            store.held.clear()
            await supervisor.sync("a", None, take_over=False)
            # A look and a write, and two refusals of the other one, one after another.
            assert 6 <= began.until(clock.instant()) < 20
            assert store.held["app"][0] == written + 1
            assert [row(supervisor, index=n).state for n in range(4)] == ["ok", "rejected", "ok", "ok"]
            assert present(row(supervisor).last_success_at) > began.wall
            began = clock.instant()
            await supervisor.sync("a", "fake-file-3", take_over=False)
            assert began.until(clock.instant()) < 1

    run_virtually(main)


def test_a_sync_waits_no_longer_than_a_client() -> None:
    """A store that does not answer; the attempt goes on."""

    async def main(clock: VirtualClock) -> None:
        world, network, _ = world_with_store(clock)
        network.hanging.add("GET")
        async with world.running(provider("a", FakeHeld(), store_sink(timeout="5m"))) as supervisor:
            await until(lambda: network.begun == 1, seconds=5)
            for ask in (supervisor.sync("a", None, take_over=False), supervisor.inspect("a")):
                began = clock.instant()
                await ask
                assert began.until(clock.instant()) == pytest.approx(SYNC_SECONDS, abs=6)
            assert row(supervisor).state == "pending"

    run_virtually(main)


def test_a_sync_does_not_wait_for_the_end_of_a_pause() -> None:
    """The store has asked for ten minutes; and a sink without a token has nothing to try."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        store.failing, store.pause = 429, "600"
        async with world.running(provider("a", FakeHeld(), store_sink())) as supervisor:
            await until(lambda: row(supervisor).error is not None, seconds=5)
            await immediate(clock, supervisor)
        world.upstreams["one"].latency = 1e6
        async with world.running(provider("a", FakeHeld(), store_sink())) as supervisor:
            await immediate(clock, supervisor)

    run_virtually(main)


async def immediate(clock: VirtualClock, supervisor: Supervisor) -> None:
    began = clock.instant()
    await supervisor.sync("a", None, take_over=False)
    assert began.until(clock.instant()) < 1


def test_each_change_by_others_is_counted_once() -> None:
    """Of a store and of a file, however often they are looked at."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        async with world.running(provider("a", FakeHeld(), store_sink(), FakeFile(drift="report"))) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            token = present(supervisor.entries["a"].lease).token.value.reveal()
            for value, drift, count in (("x", "changed", 1), (token, "none", 1), ("y", "changed", 2)):
                store.held["app"] = (1, value)
                for _ in range(2):
                    await supervisor.inspect("a")
                    assert row(supervisor).drift == drift
                    assert world.counters.sink_drifts["a", "store-1"] == count
            world.disk[FakeFile().path] = "somebody else's"
            for _ in range(2):
                await supervisor.inspect("a")
                assert str(row(supervisor, index=1).drift).startswith("changed")
                assert world.counters.sink_drifts["a", "fake-file-2"] == 1

    run_virtually(main)


def test_a_write_is_timed_and_a_look_is_not() -> None:
    """One sample for each value that was sent."""

    async def main(clock: VirtualClock) -> None:
        world, network, _ = world_with_store(clock)
        network.latency_seconds = 2
        async with world.running(provider("a", FakeHeld(), store_sink())) as supervisor:
            await until(lambda: supervisor.ready, seconds=10)
            await supervisor.sync("a", None, take_over=False)
            assert world.counters.sink_samples == {("a", "store-1"): 1}
            assert world.counters.sink_seconds["a", "store-1"] == pytest.approx(4, abs=0.1)  # one look, one write

    run_virtually(main)


def test_a_secret_in_the_name_of_a_target_is_not_shown() -> None:
    """Neither as target nor in an error; messages are of one line."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        store.failing = 500
        async with world.running(provider("a", FakeHeld(), store_sink(f"{SECRET_NAME}\n"))) as supervisor:
            await until(lambda: row(supervisor).error is not None, seconds=5)
            shown = row(supervisor)
            assert shown.target == "store:(not shown)"
            assert shown.error == "store:(not shown) : the store answered 500"
            await supervisor.inspect("a")
            assert SECRET_NAME not in repr(row(supervisor))
        waiting = provider("b", FakeHeld(username="b"), store_sink(SECRET_NAME, tokens=("z",)))
        async with world.running(waiting) as supervisor:
            await until(lambda: row(supervisor, "b").state == "waiting", seconds=5)
            assert SECRET_NAME not in repr(row(supervisor, "b"))

    run_virtually(main)


def test_the_first_token_says_that_its_life_is_shorter_than_min_interval() -> None:
    """Until the next write the store then holds a token that has ended."""

    async def main(clock: VirtualClock) -> None:
        world, _, _ = world_with_store(clock)
        sink = Metered(key="app", auth=literal(PASSWORD), min_interval=timedelta(minutes=15))
        world.upstreams["one"].life = 300.0
        async with world.running(provider("a", FakeHeld(), sink)) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            [warning] = supervisor.entries["a"].status().warnings
            assert (warning.code, warning.message.partition(" (")[0]) == (
                "store_quota",
                "min_interval is longer than a token lives",
            )

    run_virtually(main)


def test_the_first_token_says_that_its_life_is_too_short_for_the_store() -> None:
    """A warning in the status, unless the configuration has it already; it ends with a longer life."""
    code = "store_quota"

    async def main(clock: VirtualClock) -> None:
        world, _, _ = world_with_store(clock)
        sink = Metered(key="app", auth=literal(PASSWORD))
        upstream = world.upstreams["one"]
        upstream.life = 300.0
        async with world.running(provider("a", FakeHeld(), sink)) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            [warning] = supervisor.entries["a"].status().warnings
            assert warning.code == code
            assert "a token that lives 300 s means 360 writes a day" in warning.message
            supervisor.warnings.put("a", "config", [StatusWarning(code, "of the configuration")])
            await supervisor.refresh("a", if_generation=None, reason="", admin=True)
            await until(lambda: supervisor.ready, seconds=5)
            assert [one.message for one in supervisor.entries["a"].status().warnings] == ["of the configuration"]
            supervisor.warnings.put("a", "config", [])
            upstream.life = HOUR
            await supervisor.refresh("a", if_generation=None, reason="", admin=True)
            await until(lambda: supervisor.ready, seconds=5)
            assert supervisor.entries["a"].status().warnings == ()
        upstream.life = None
        async with world.running(provider("a", FakeHeld(), sink)) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            assert supervisor.entries["a"].status().warnings == ()

    run_virtually(main)
