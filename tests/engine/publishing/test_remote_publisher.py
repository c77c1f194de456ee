"""A store's publisher: min_interval, gathered tokens, later ends, looks, repairs, reports."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar, Literal

import anyio
import pytest

from tests.expecting import present
from tests.fakes import HOUR, FakeHeld, FakeSink, Upstream, World, config, literal, provider
from tests.httpd.served import logged
from tests.publishing_sinks import PASSWORD, StoreSink
from tests.store_world import renew, row, store_sink, world_with_store
from tests.virtual import VirtualClock, run_virtually, until
from tokend.engine.records.record import Record
from tokend.engine.records.token_states import Held
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.settings import part_of
from tokend.plugin.sink import Mark, SinkRuntime
from tokend.values.errors import TransientError

# ------------------------------------------------------------------ min_interval


def test_a_newer_token_waits_for_min_interval_and_the_newest_is_written() -> None:
    """Ready all the while: the target holds a token; the status says when the newer one is written."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        async with world.running(provider("a", FakeHeld(), store_sink(min_interval="1h"))) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            first = present(row(supervisor).generation)
            for _ in range(3):
                await anyio.sleep(600)
                await renew(supervisor)
                assert supervisor.ready
            assert store.versions == 1
            shown = row(supervisor)
            assert (shown.state, shown.generation) == ("ok", first)
            assert "min_interval: a newer token is written at 2026-01-01T01:00:0" in present(shown.remark)
            await anyio.sleep(1795)
            assert store.versions == 1
            await anyio.sleep(10)
            assert store.held["app"] == (2, "fake-token-4")
            assert row(supervisor).remark == "last writer wins"

    run_virtually(main)


def test_a_day_with_min_interval_has_as_many_writes_as_intervals() -> None:
    """Of a token of five minutes."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        world.upstreams["one"].life = 300
        async with world.running(provider("a", FakeHeld(), store_sink(min_interval="1h"))):
            await anyio.sleep(24 * HOUR)
            assert 23 <= store.versions <= 24

    run_virtually(main)


def test_min_interval_goes_on_after_a_restart_and_holds_no_equal_content_back() -> None:
    """A crash loop does not write more often; a start with a token that is there already is ready at once."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        configured = provider("a", FakeHeld(), store_sink(min_interval="1h"))
        async with world.running(configured) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
        for number in range(5):
            async with world.running(configured) as supervisor:
                await until(lambda: supervisor.ready, seconds=0.5)
                assert (row(supervisor).state == "ok") is (number == 0)
                await anyio.sleep(30)
                await renew(supervisor)
                assert supervisor.ready
        assert store.requests == ["GET app", "PUT app"]
        async with world.running(configured):
            await anyio.sleep(HOUR)
        assert store.requests == ["GET app", "PUT app", "PUT app"]
        assert store.held["app"][1] == "fake-token-6"

    run_virtually(main)


def test_neither_a_removal_nor_a_person_waits_for_min_interval() -> None:
    """A token that was taken away must not stay, and the store must not stay empty; `tokend sync` means now."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        async with world.running(provider("a", FakeHeld(), store_sink(min_interval="1h"))) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            await renew(supervisor)
            await supervisor.sync("a", None, take_over=False)
            await until(lambda: store.held["app"][1] == "fake-token-2", seconds=1)
            world.upstreams["one"].latency = 100
            await supervisor.forget("a")
            await until(lambda: store.held == {}, seconds=1)
            assert not supervisor.ready
            await until(lambda: store.held.get("app", (0, ""))[1] == "fake-token-3", seconds=110)

    run_virtually(main)


# ------------------------------------------------------------------ several tokens, later ends


def test_tokens_that_are_renewed_together_are_written_together() -> None:
    """Within 200 ms: one write. Never a content of which one token is not valid."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        world.upstreams["two"] = Upstream(clock, latency=0.15)
        sink = store_sink(tokens=["b"])
        async with world.running(
            provider("a", FakeHeld(), sink), provider("b", FakeHeld(base_url="two"))
        ) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            assert store.versions == 1
            await anyio.sleep(10)
            await renew(supervisor, "a")
            await renew(supervisor, "b")
            await anyio.sleep(10)
            assert store.held["app"] == (2, {"a": "fake-token-2", "b": "fake-token-2"})
            await renew(supervisor, "b")
            await anyio.sleep(10)
            assert store.held["app"] == (3, {"a": "fake-token-2", "b": "fake-token-3"})

    run_virtually(main)


def test_a_token_that_goes_while_another_is_awaited_leaves_the_publisher_at_rest() -> None:
    """Nothing is wanted any more: no timer runs."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        world.upstreams["two"] = two = Upstream(clock, life=600)
        sink = store_sink(tokens=["b"], min_interval="1h")
        async with world.running(
            provider("a", FakeHeld(), sink), provider("b", FakeHeld(base_url="two"))
        ) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            two.broken = lambda now: TransientError("away")
            await renew(supervisor, "a")
            await anyio.sleep(1000)
            assert row(supervisor).state == "waiting"
            assert store.versions == 1

    run_virtually(main)


class EndingSink(StoreSink):
    """A store that gets the end of the token with it."""

    kind: Literal["ending"] = "ending"  # type: ignore[assignment]  # each kind has a name of its own
    writes_end: ClassVar[bool] = True


async def give_later_end(world: World, seconds: float) -> None:
    def later(record: Record) -> Record:
        held = record.token
        assert isinstance(held, Held)
        ends = present(held.lease.token.expires_at).after(seconds)
        return replace(
            record, token=replace(held, lease=replace(held.lease, token=replace(held.lease.token, expires_at=ends)))
        )

    await world.store.update("a", later)


def test_a_later_end_of_the_same_token_is_written_where_it_is_shown() -> None:
    """Not to a store that gets the value alone, and no program gets news of it."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        ending = EndingSink(key="ending", auth=literal(PASSWORD))
        sinks = ending, store_sink("plain"), store_sink("shown", value="{{ expires_at_unix }}"), FakeSink()
        configured = provider("a", FakeHeld(), *sinks)
        async with world.running(configured) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            await anyio.sleep(5)
            before = dict(store.held)
            assert world.announced == ["somewhere"]
            world.disk.clear()
            await give_later_end(world, 3600)
            await until(lambda: supervisor.ready, seconds=5)
            await anyio.sleep(100)
            assert world.disk == {"somewhere": "fake-token-1"}
            assert world.announced == ["somewhere"]
            assert store.held["ending"][0] > before["ending"][0]
            assert store.held["ending"][1] == before["ending"][1]
            assert int(store.held["shown"][1]) == int(before["shown"][1]) + 3600
            assert store.held["plain"] == before["plain"]
        asked = len(store.requests)
        async with world.running(configured) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
        assert len(store.requests) == asked

    run_virtually(main)


def test_a_lost_answer_to_a_later_end_is_not_taken_for_a_success() -> None:
    """The value was there before. Where it came with the write, or nobody remembers, nothing is written twice."""

    async def main(clock: VirtualClock) -> None:
        world, network, store = world_with_store(clock)
        configured = provider("a", FakeHeld(), EndingSink(key="app", auth=literal(PASSWORD)))
        network.losing.add("PUT")
        async with world.running(configured) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            assert store.versions == 1
            store.failing = 500
            await give_later_end(world, 3600)
            await until(lambda: row(supervisor).error is not None, seconds=5)
        store.failing = None
        async with world.running(configured) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            assert store.versions == 2
        world.state.marked.clear()
        async with world.running(configured) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            assert store.versions == 2
            await give_later_end(world, 3600)
            await until(lambda: supervisor.ready, seconds=5)
            assert store.versions == 3

    run_virtually(main)


# ------------------------------------------------------------------ drift


def test_a_store_is_looked_at_only_with_an_interval() -> None:
    """Off by default; jittered; not while there is nothing to look at."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        sinks = store_sink("quiet"), store_sink("watched", drift_interval="10m")
        world.upstreams["one"].latency = 4000
        async with world.running(provider("a", FakeHeld(timeout=timedelta(hours=2)), *sinks)) as supervisor:
            await anyio.sleep(3900)
            assert store.requests == []
            await until(lambda: supervisor.ready, seconds=200)
            store.requests.clear()
            await anyio.sleep(24 * HOUR)
            assert store.requests.count("GET quiet") == 0
            assert 24 * 6 / 1.1 - 1 <= store.requests.count("GET watched") <= 24 * 6 / 0.9 + 1
            assert (row(supervisor, index=1).drift, row(supervisor).drift) == ("none", None)

    run_virtually(main)


def test_a_difference_is_reported_and_not_written_over() -> None:
    """`drift = "report"`, the default: counted once, shown, over when others undo it; a newer token is a new write."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        async with world.running(provider("a", FakeHeld(), store_sink(drift_interval="10m"))) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            ours = store.held["app"]
            store.held["app"] = (9, "somebody else's")
            await anyio.sleep(HOUR)
            shown = row(supervisor)
            assert (shown.state, shown.drift) == ("conflict", "changed")
            assert shown.error == (
                'store:app: another writer has changed the value; it is not written again: drift = "report"'
            )
            assert world.counters.sink_drifts == {("a", "store-1"): 1}
            assert store.sent("PUT") == 1
            store.held["app"] = ours
            await anyio.sleep(700)
            assert (row(supervisor).state, row(supervisor).drift) == ("ok", "none")
            del store.held["app"]
            await anyio.sleep(700)
            assert "another writer has removed the value" in present(row(supervisor).error)
            await supervisor.sync("a", None, take_over=False)
            await until(lambda: row(supervisor).state == "ok", seconds=5)
            assert store.held["app"][1] == "fake-token-1"

    with logged() as lines:
        run_virtually(main)
    assert [line["event"] for line in lines].count("sink.drifted") == 2


def test_a_difference_is_repaired_three_times_an_hour_and_then_left_to_a_person() -> None:
    """`drift = "repair"`: no upstream request; then state `conflict`, also after a restart, until a take-over."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        configured = provider("a", FakeHeld(), store_sink(drift_interval="1m", drift="repair"))

        def value() -> str:
            return str(store.held["app"][1])

        async with world.running(configured) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            for number in range(3):
                store.held["app"] = (100 + number, "somebody else's")
                await anyio.sleep(70)
                assert store.held["app"][1] == "fake-token-1"
                assert (row(supervisor).state, row(supervisor).repairs) == ("ok", number + 1)
            store.held["app"] = (200, "somebody else's")
            await anyio.sleep(HOUR)
            shown = row(supervisor)
            assert (shown.state, "tokend sync a --take-over" in present(shown.error)) == ("conflict", True)
            assert world.counters.sink_drifts == {("a", "store-1"): 4}
            asked = len(store.requests)
            await renew(supervisor)
            await anyio.sleep(HOUR)
            await supervisor.inspect("a")
            assert store.held["app"] == (200, "somebody else's")
            assert len(store.requests) == asked + 1
        async with world.running(configured) as supervisor:
            await anyio.sleep(HOUR)
            assert row(supervisor).state == "conflict"
            await supervisor.sync("a", None, take_over=True)
            await until(lambda: row(supervisor).state == "ok", seconds=5)
            assert value() == "fake-token-2"
            for _ in range(3):
                store.held["app"] = (300, "somebody else's")
                await anyio.sleep(70)
            assert value() == "fake-token-2"
        assert len(world.upstreams["one"].calls) == 2

    run_virtually(main)


def test_repairs_far_apart_go_on() -> None:
    """A deploy that writes its own value once a day."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        world.upstreams["one"].life = None
        sink = store_sink(drift_interval="1m", drift="repair")
        async with world.running(provider("a", FakeHeld(), sink)) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            for number in range(10):
                store.held["app"] = (100 + number, "somebody else's")
                await anyio.sleep(24 * HOUR)
                assert store.held["app"][1] == "fake-token-1"

    run_virtually(main)


def test_a_look_that_fails_changes_nothing() -> None:
    """Neither the state of the sink nor the token in the store; a host that is away pauses."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        async with world.running(provider("a", FakeHeld(), store_sink(drift_interval="1m"))) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            for failing, said in ((403, "the store answered 403"), (503, "503"), (503, "nothing is sent to")):
                store.failing = failing
                await anyio.sleep(70)
                assert said in present(row(supervisor).drift) or failing == 503
                assert (row(supervisor).state, supervisor.ready) == ("ok", True)
            assert store.sent("PUT") == 1

    run_virtually(main)


@pytest.mark.parametrize("bug", [ZeroDivisionError("planted-fake-secret"), SystemExit(3)])
def test_a_bug_in_a_look_is_shown_and_ends_nothing(bug: BaseException) -> None:
    """The kind is named; the sink goes on."""

    class Buggy(StoreSink):
        async def inspect(self, runtime: SinkRuntime) -> Mark | None:
            if looks:
                raise looks[0]
            return await super().inspect(runtime)

    async def main(clock: VirtualClock) -> None:
        world, _, _ = world_with_store(clock)
        sink = Buggy(key="app", auth=literal(PASSWORD))
        async with world.running(provider("a", FakeHeld(), sink)) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            looks.append(bug)
            [found] = await supervisor.inspect("a")
            assert found.drift == f"unknown: a bug in kind store ({__name__})"
            await renew(supervisor)
            await until(lambda: supervisor.ready, seconds=5)

    looks: list[BaseException] = []
    run_virtually(main)


def test_a_token_that_is_written_during_a_look_is_not_judged_by_it() -> None:
    """The look was about the older one."""

    async def main(clock: VirtualClock) -> None:
        world, network, store = world_with_store(clock)
        async with world.running(provider("a", FakeHeld(), store_sink(drift="repair"))) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            await anyio.sleep(10)
            network.latency_seconds = 2
            store.held["app"] = (9, "somebody else's")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(supervisor.inspect, "a")
                await anyio.sleep(0.1)
                await renew(supervisor)
            await anyio.sleep(10)
            assert row(supervisor).state == "conflict"  # the newer one names the version that it replaces

    run_virtually(main)


class PartedSink(StoreSink):
    """A store with several keys in one object."""

    kind: Literal["parted"] = "parted"  # type: ignore[assignment]  # each kind has a name of its own
    keys: tuple[str, ...] = ()

    def exclusive_targets(self) -> frozenset[str]:
        return frozenset(part_of(f"{self.url}/{self.key}", key) for key in self.keys)


def test_sinks_that_share_an_object_have_marks_of_their_own() -> None:
    """A restart asks for neither."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        parts = (("x", "y"), ("z", "w"))
        sinks = [
            PartedSink(key="app", keys=keys, auth=literal(PASSWORD), value=f"{keys} {{{{ access_token }}}}")
            for keys in parts
        ]
        async with world.running(provider("a", FakeHeld(), sinks[0])) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            await supervisor.apply(config(provider("a", FakeHeld(), *sinks)))
            await until(lambda: supervisor.ready, seconds=5)
        assert len(json.loads(world.state.marked["a"])["sinks"]) == 2
        asked = len(store.requests)
        async with world.running(provider("a", FakeHeld(), *sinks)) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
        assert len(store.requests) == asked

    run_virtually(main)


def test_another_providers_token_wakes_the_sinks_that_need_it_and_no_others() -> None:
    """Both fail; the credential of one is a token that is renewed."""

    async def main(clock: VirtualClock) -> None:
        world, _, _ = world_with_store(clock)
        world.upstreams["two"] = two = Upstream(clock)
        two.script = ["wrong-fake-password", PASSWORD]
        sinks = store_sink("needs", auth=SecretSource(token="b")), store_sink("other", auth=literal("wrong-fake"))
        async with world.running(
            provider("a", FakeHeld(), *sinks), provider("b", FakeHeld(base_url="two"))
        ) as supervisor:
            await anyio.sleep(60)
            assert [one.state for one in supervisor.entries["a"].status().sinks] == ["rejected", "rejected"]
            await renew(supervisor, "b")
            await until(lambda: row(supervisor).state == "ok", seconds=1)
            assert row(supervisor, index=1).state == "rejected"

    run_virtually(main)
