"""Lives of tokens in stores: days, restarts, outages, lost answers, two daemons. Number of writes and of requests."""

from typing import Literal

import anyio
import pytest

from tests.expecting import present
from tests.fakes import HOUR, FakeHeld, config, literal, provider
from tests.httpd.served import logged
from tests.publishing_sinks import PASSWORD, StoreSink
from tests.store_world import renew, row, store_sink, world_with_store
from tests.virtual import VirtualClock, run_virtually, until
from tokend.plugin.sink import Content, Mark, SinkRuntime
from tokend.values.errors import NewerGenerationError


def test_a_day_of_a_five_minute_token_is_one_request_for_each_token() -> None:
    """Writes = tokens; one look before the first; the store has the newest token all the time."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        upstream = world.upstreams["one"]
        upstream.life = 300
        async with world.running(provider("a", FakeHeld(), store_sink())) as supervisor:
            await anyio.sleep(24 * HOUR)
            await until(lambda: supervisor.ready, seconds=5)
            assert store.sent("PUT") == upstream.made > 288
            assert store.requests.count("GET app") == 1
            assert store.versions == upstream.made
            assert store.held["app"][1] == f"fake-token-{upstream.made}"

    run_virtually(main)


def test_a_hundred_restarts_write_nothing_and_ask_nothing() -> None:
    """No request to the store, and no secret of the sink is read: its place may be empty by now."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        sinks = [store_sink(f"key-{number}") for number in range(5)]
        sinks.append(store_sink("key-read", auth={"env": "STORE_PASSWORD"}))
        world.environ["STORE_PASSWORD"] = PASSWORD
        async with world.running(provider("a", FakeHeld(), *sinks)) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
        asked = len(store.requests)
        world.environ.clear()
        for _ in range(100):
            async with world.running(provider("a", FakeHeld(), *sinks)) as supervisor:
                await until(lambda: supervisor.ready, seconds=5)
                assert [one.generation for one in supervisor.entries["a"].status().sinks] == [
                    present(supervisor.entries["a"].lease).generation
                ] * len(sinks)
        assert len(store.requests) == asked
        assert len(world.upstreams["one"].calls) == 1

    run_virtually(main)


def test_a_newer_token_after_a_restart_is_written_without_a_look() -> None:
    """The version of the last write is remembered."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        configured = provider("a", FakeHeld(), store_sink())
        async with world.running(configured) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
        store.requests.clear()
        async with world.running(configured) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            await renew(supervisor)
            await until(lambda: supervisor.ready, seconds=5)
        assert store.requests == ["PUT app"]

    run_virtually(main)


@pytest.mark.parametrize("change", ["settings", "no mark", "damaged"])
def test_without_a_mark_that_fits_the_store_is_asked_and_only_a_difference_is_written(change: str) -> None:
    """Other settings, a lost file, a damaged file."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        sinks = [store_sink("same"), store_sink("other")]
        async with world.running(provider("a", FakeHeld(), *sinks)) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
        store.held["other"] = (9, "somebody else's")
        store.requests.clear()
        if change == "settings":
            sinks = [store_sink("same", timeout="20s"), store_sink("other", timeout="20s")]
        elif change == "no mark":
            world.state.marked.clear()
        else:
            world.state.marked["a"] = b"torn"
        async with world.running(provider("a", FakeHeld(), *sinks)) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
        assert sorted(store.requests) == ["GET other", "GET same", "PUT other"]
        assert store.held["other"][1] == "fake-token-1"

    run_virtually(main)


def test_a_renamed_provider_takes_its_marks_along() -> None:
    """While the daemon runs, and while it is stopped: nothing is asked."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        async with world.running(provider("a", FakeHeld(), store_sink())) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            await supervisor.apply(config(provider("b", FakeHeld(), store_sink())))
            await until(lambda: supervisor.ready, seconds=5)
            assert world.state.marked.keys() == {"b"}
        async with world.running(provider("c", FakeHeld(), store_sink())) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
        assert world.state.marked.keys() == {"c"}
        assert store.requests == ["GET app", "PUT app"]

    run_virtually(main)


@pytest.mark.parametrize("has_effect", [True, False])
def test_a_daemon_that_dies_during_a_write_asks_the_store_first(has_effect: bool) -> None:
    """The write took effect: no second version. It did not: it is made now."""

    async def main(clock: VirtualClock) -> None:
        world, network, store = world_with_store(clock)
        configured = provider("a", FakeHeld(), store_sink())
        async with world.running(configured) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            network.latency_seconds = 1
            if not has_effect:
                network.hanging.add("PUT")
            await renew(supervisor)
            await anyio.sleep(0.5)  # the request is on its way
            left = dict(world.state.marked)
        world.state.marked = left
        network.hanging.clear()
        store.requests.clear()
        async with world.running(configured) as supervisor:
            await until(lambda: supervisor.ready, seconds=10)
        assert store.requests == (["GET app"] if has_effect else ["GET app", "PUT app"])
        assert (store.versions, store.held["app"][1]) == (2, "fake-token-2")

    run_virtually(main)


def test_the_store_is_away_for_an_hour_and_gets_one_write_of_the_newest_token() -> None:
    """Twelve tokens came and went meanwhile."""

    async def main(clock: VirtualClock) -> None:
        world, network, store = world_with_store(clock)
        world.upstreams["one"].life = 300
        async with world.running(provider("a", FakeHeld(), store_sink())) as supervisor:
            await anyio.sleep(1000)
            network.dead["127.0.0.1:1"] = []
            await anyio.sleep(HOUR)
            network.dead.clear()
            before = store.sent("PUT")
            await until(lambda: supervisor.ready, seconds=310)
            assert store.sent("PUT") == before + 1
            assert store.held["app"][1] == f"fake-token-{world.upstreams['one'].made}"

    run_virtually(main)


def test_keys_of_others_stay_through_every_failure() -> None:
    """Lost answers, refusals, outages, restarts, the end of the token."""

    async def main(clock: VirtualClock) -> None:
        world, network, store = world_with_store(clock)
        store.held["other"] = (0, "somebody else's")
        configured = provider("a", FakeHeld(on_expiry="remove"), store_sink())
        for trouble in ("lost", "500", "429", "403", "restart"):
            async with world.running(configured) as supervisor:
                if trouble == "lost":
                    network.losing |= {"PUT", "GET", "DELETE"}
                elif trouble.isdigit():
                    store.failing = int(trouble)
                await anyio.sleep(100)
                store.failing = None
                await supervisor.sync("a", None, take_over=False)
                await until(lambda: supervisor.ready, seconds=400)
                await supervisor.forget("a")
                await until(lambda: supervisor.ready, seconds=400)
        assert store.held.pop("app")[1] == f"fake-token-{world.upstreams['one'].made}"
        assert store.held == {"other": (0, "somebody else's")}

    run_virtually(main)


IDS: list[str] = []


class IdentifiedSink(StoreSink):
    """A store that gets an id with each write, and makes no second version for an id that it knows."""

    kind: Literal["identified"] = "identified"  # type: ignore[assignment]  # each kind has a name of its own

    async def put(self, runtime: SinkRuntime, content: Content, known: Mark | None) -> Mark:
        IDS.append(runtime.write_id(content.values))
        return await super().put(runtime, content, None)

    async def inspect(self, runtime: SinkRuntime) -> Mark | None:
        return None


def test_the_id_of_a_write_is_that_of_its_retries_and_of_no_other_write() -> None:
    """A lost answer, a restart in between; then the same value again after others have changed it."""

    async def main(clock: VirtualClock) -> None:
        IDS.clear()
        world, network, _ = world_with_store(clock)
        configured = provider("a", FakeHeld(), IdentifiedSink(key="app", auth=literal(PASSWORD)))
        network.losing.add("PUT")
        async with world.running(configured) as supervisor:
            await until(lambda: row(supervisor).error is not None, seconds=5)
        async with world.running(configured) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            assert len(IDS) == 2
            assert len(set(IDS)) == 1
            await supervisor.sync("a", None, take_over=False)
            await until(lambda: supervisor.ready, seconds=5)
            await renew(supervisor)
            await until(lambda: supervisor.ready, seconds=5)
        async with world.running(configured) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            await supervisor.sync("a", None, take_over=False)
            await until(lambda: supervisor.ready, seconds=5)
        assert len(IDS) == 5
        assert len(set(IDS)) == 4
        assert all(len(one) == 32 and int(one, 16) >= 0 for one in IDS)

    run_virtually(main)


GENERATIONS: dict[str, int] = {}


class GenerationStoreSink(StoreSink):
    """A store with the generation of ours beside the value: never written over by an older one."""

    kind: Literal["generations"] = "generations"  # type: ignore[assignment]  # each kind has a name of its own

    async def put(self, runtime: SinkRuntime, content: Content, known: Mark | None) -> Mark:
        if (newest := GENERATIONS.get(self.key, 0)) > content.generation:
            raise NewerGenerationError(f"{self.target}: it holds generation {newest}", generation=newest)
        GENERATIONS[self.key] = content.generation
        return await super().put(runtime, content, None)


def test_an_old_daemon_beside_a_new_one_does_not_write_over_the_newer_token() -> None:
    """The old one is started again from an old copy of the state: it gets a token of its own, with a higher one."""

    async def main(clock: VirtualClock) -> None:
        GENERATIONS.clear()
        world, _, store = world_with_store(clock)
        configured = provider("a", FakeHeld(), GenerationStoreSink(key="app", auth=literal(PASSWORD)))
        async with world.running(configured) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
        old = dict(world.state.content), dict(world.state.marked)
        async with world.running(configured) as supervisor:
            await renew(supervisor)
            await until(lambda: supervisor.ready, seconds=5)
            newest = GENERATIONS["app"]
        world.state.content, world.state.marked = old[0], {}
        seen = []
        async with world.running(configured) as supervisor:
            for _ in range(1000):
                seen.append(store.held["app"][1])
                await anyio.sleep(0.1)
            assert supervisor.ready
        assert set(seen) == {"fake-token-2", "fake-token-3"}
        assert GENERATIONS["app"] > newest

    run_virtually(main)


def test_no_secret_is_in_the_marks_the_status_or_the_log() -> None:
    """Planted ones: the token, the store's credential, what others wrote into the store."""

    async def main(clock: VirtualClock) -> None:
        world, network, store = world_with_store(clock)
        async with world.running(provider("a", FakeHeld(), store_sink())) as supervisor:
            shown.append(repr(await supervisor.inspect("a")))
            await until(lambda: supervisor.ready, seconds=5)
            store.held["app"] = (9, "planted-fake-foreign-value")
            for failing in (400, 401, 413, 429, 500, 503):
                store.failing = failing
                await supervisor.sync("a", None, take_over=True)
                await anyio.sleep(10)
                shown.append(repr(supervisor.entries["a"].status()))
            store.failing = None
            network.losing.add("PUT")
            await supervisor.sync("a", None, take_over=True)
            await anyio.sleep(2 * HOUR)
            shown.append(repr(await supervisor.inspect("a")) + repr(supervisor.counters.__dict__))
            shown.append(repr(world.state.marked))
            assert supervisor.ready

    shown: list[str] = []
    with logged() as lines:
        run_virtually(main)
    seen = "".join(shown) + repr(lines)
    assert "store:app" in seen
    for secret in (PASSWORD, "fake-token-1", "planted-fake-foreign-value"):
        assert secret not in seen


def test_an_old_conflict_is_known_after_a_restart() -> None:
    """Another writer's value is not written over because nobody remembers; a changed table decides."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        async with world.running(provider("a", FakeHeld(), store_sink())) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            store.held["app"] = (9, "somebody else's")
            await renew(supervisor)
            await until(lambda: row(supervisor).state == "conflict", seconds=5)
        asked = len(store.requests)
        async with world.running(provider("a", FakeHeld(), store_sink())) as supervisor:
            await anyio.sleep(HOUR)
            assert (row(supervisor).state, row(supervisor).error) == (
                "conflict",
                "store:app: another writer has changed it",
            )
            assert len(store.requests) == asked
            await supervisor.apply(config(provider("a", FakeHeld(), store_sink(timeout="20s"))))
            await until(lambda: supervisor.ready, seconds=5)
            assert store.held["app"][1] == "fake-token-2"

    run_virtually(main)
