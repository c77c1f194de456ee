"""A target in a store: what follows each class of failure, `sync`, `inspect`, and the pauses of its host."""

from pathlib import Path
from typing import Literal

import anyio
import pytest

from tests.expecting import present
from tests.fakes import HOUR, FakeFile, FakeHeld, FakeListeningSink, FakeOnDemand, config, literal, provider
from tests.publishing_sinks import PASSWORD, StoreSink
from tests.store_world import renew, row, store_sink, world_with_store
from tests.virtual import VirtualClock, run_virtually, until
from tokend.engine.publishing.remote_target import LAST_WRITER_WINS
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.sink import Content, Mark, SinkRuntime
from tokend.values.errors import (
    NewerGenerationError,
    NotSupportedError,
    SinkConflictError,
    TransientError,
    UnknownTokenError,
)
from tokend.values.instant import Instant


class OwnedSink(StoreSink):
    """A store with a writer beside the value: another writer's value is written over only with a take-over."""

    kind: Literal["owned"] = "owned"  # type: ignore[assignment]  # each kind has a name of its own

    async def put(self, runtime: SinkRuntime, content: Content, known: Mark | None) -> Mark:
        if OWNERS.get(self.key, runtime.writer) != runtime.writer and not runtime.may_take_over:
            raise SinkConflictError(f"{self.target}: another writer owns it")
        OWNERS[self.key] = runtime.writer
        return await super().put(runtime, content, None)


OWNERS: dict[str, str] = {}


# ------------------------------------------------------------------ classes of failures


def test_a_store_that_fails_by_itself_is_tried_after_growing_pauses() -> None:
    """No status of the host's: 500, from one second to five minutes; other sinks of the host go on."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        store.failing = 500
        async with world.running(provider("a", FakeHeld(), store_sink())) as supervisor:
            await anyio.sleep(24 * HOUR)
            assert 24 * HOUR / 300 < len(store.requests) < 24 * HOUR / 180 + 20
            assert (row(supervisor).state, row(supervisor).generation) == ("failing", None)
            store.failing = None
            await until(lambda: supervisor.ready, seconds=301)
            assert row(supervisor).generation == present(supervisor.entries["a"].lease).generation

    run_virtually(main)


def test_a_refused_credential_is_read_anew_once_and_then_tried_every_half_hour(tmp_path: Path) -> None:
    """State `rejected`. Neither a newer token nor another file ends the pause; the secret's new content does."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        secret = tmp_path / "secret"
        secret.write_text("planted-fake-old-password\n")
        async with world.running(provider("a", FakeHeld(), store_sink(auth=SecretSource(file=secret)))) as supervisor:
            await anyio.sleep(10)
            assert (len(store.requests), row(supervisor).state) == (2, "rejected")
            await renew(supervisor)
            supervisor.secrets_changed({tmp_path / "another"})
            await anyio.sleep(24 * HOUR)
            assert 2 + 24 * HOUR / 1980 - 1 <= len(store.requests) <= 2 + 24 * HOUR / 1620
            secret.write_text(PASSWORD)
            supervisor.secrets_changed({secret})
            await until(lambda: supervisor.ready, seconds=1)
            assert row(supervisor).state == "ok"

    run_virtually(main)


def test_other_settings_and_a_person_end_the_pause_after_a_refusal() -> None:
    """At once."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        store.password = "planted-fake-other-password"
        configured = provider("a", FakeHeld(), store_sink())
        async with world.running(configured) as supervisor:
            await anyio.sleep(100)
            store.password = PASSWORD
            await supervisor.sync("a", None, take_over=False)
            await until(lambda: supervisor.ready, seconds=1)
        store.held.clear()
        store.password = "planted-fake-other-password"
        async with world.running(provider("a", FakeHeld(), store_sink("else"))) as supervisor:
            await anyio.sleep(100)
            store.password = PASSWORD
            await supervisor.apply(config(provider("a", FakeHeld(), store_sink("else", timeout="20s"))))
            await until(lambda: supervisor.ready, seconds=1)

    run_virtually(main)


def test_a_conflict_stays_until_a_person_takes_over() -> None:
    """Neither a newer token, nor `sync` alone, nor the end of the token writes or removes anything."""

    async def main(clock: VirtualClock) -> None:
        OWNERS.update(app="somebody else")
        world, _, store = world_with_store(clock)
        store.held["app"] = (0, "somebody else's")
        sink = OwnedSink(key="app", auth=literal(PASSWORD))
        async with world.running(provider("a", FakeHeld(), sink)) as supervisor:
            await anyio.sleep(10)
            shown = row(supervisor)
            assert (shown.state, shown.error) == ("conflict", "store:app: another writer owns it")
            await renew(supervisor)
            await supervisor.sync("a", "owned-1", take_over=False)
            await anyio.sleep(24 * HOUR)
            assert (store.requests, row(supervisor).state) == (["GET app"], "conflict")
            await supervisor.sync("a", "owned-1", take_over=True)
            await until(lambda: supervisor.ready, seconds=1)
            assert store.held["app"][1] == present(supervisor.entries["a"].lease).token.value.reveal()
            # The decision was about that write: a later conflict is another one.
            OWNERS.update(app="somebody else")
            await renew(supervisor)
            await anyio.sleep(10)
            assert row(supervisor).state == "conflict"

    run_virtually(main)


def test_a_conflict_is_not_hidden_by_another_token_that_is_missing() -> None:
    """Two tokens in one value: b ends meanwhile."""

    async def main(clock: VirtualClock) -> None:
        OWNERS.update(app="somebody else")
        world, _, _ = world_with_store(clock)
        sink = OwnedSink(key="app", auth=literal(PASSWORD), tokens=("b",))
        async with world.running(
            provider("a", FakeHeld(), sink), provider("b", FakeHeld(username="else"))
        ) as supervisor:
            await anyio.sleep(20)
            assert row(supervisor).state == "conflict"
            world.upstreams["one"].latency = 1e6
            await supervisor.forget("b")
            await anyio.sleep(20)
            assert row(supervisor).state == "conflict"

    run_virtually(main)


def test_a_take_over_during_an_attempt_that_fails_is_not_lost() -> None:
    """The attempt under way was made without it."""

    async def main(clock: VirtualClock) -> None:
        OWNERS.update(app="somebody else")
        world, network, store = world_with_store(clock)
        network.latency_seconds = 5
        store.held["app"] = (0, "somebody else's")
        async with world.running(
            provider("a", FakeHeld(), OwnedSink(key="app", auth=literal(PASSWORD)), FakeFile())
        ) as supervisor:
            await until(lambda: network.begun == 1, seconds=5)
            OWNERS.update(app="somebody else")
            await anyio.sleep(4)
            store.failing = 500
            await supervisor.sync("a", None, take_over=True)
            await until(lambda: row(supervisor).error is not None, seconds=10)
            store.failing = None
            await until(lambda: supervisor.ready, seconds=20)

    run_virtually(main)


def test_a_value_that_the_store_never_takes_is_not_sent_twice() -> None:
    """Too large, for example: only a newer token, another table or a person has it tried again.

    A single run does not wait for it.
    """

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        store.failing = 413
        async with world.running(provider("a", FakeHeld(), store_sink())) as supervisor:
            outcomes: list[int | None] = []
            supervisor.subscribe(lambda name: outcomes.append(supervisor.outcome()))
            await anyio.sleep(HOUR)
            assert (len(store.requests), row(supervisor).state) == (1, "failing")
            assert outcomes[-1] == 4
            await renew(supervisor)
            await anyio.sleep(HOUR)
            assert len(store.requests) == 2
            await supervisor.sync("a", None, take_over=False)
            await anyio.sleep(HOUR)
            assert len(store.requests) == 3

    run_virtually(main)


def test_a_secret_that_changes_during_a_final_refusal_is_tried() -> None:
    """It may belong to another account of the store, which takes more."""

    async def main(clock: VirtualClock) -> None:
        world, network, store = world_with_store(clock)
        network.latency_seconds = 2
        store.failing = 413
        async with world.running(provider("a", FakeHeld(), store_sink())) as supervisor:
            await until(lambda: network.begun == 1, seconds=5)
            await supervisor.sync("a", None, take_over=False)
            await anyio.sleep(HOUR)
            assert len(store.requests) == 2

    run_virtually(main)


@pytest.mark.parametrize("above", [0, 5])
def test_a_store_with_a_newer_generation_makes_a_refresh_due(above: int) -> None:
    """Our state is old: the next generation is above it. One that shows ours is tried like any other."""

    class Versioned(StoreSink):
        async def put(self, runtime: SinkRuntime, content: Content, known: Mark | None) -> Mark:
            newest = max(shown, default=0)
            if content.generation <= newest:
                raise NewerGenerationError(f"{self.target}: it holds {newest}", generation=newest)
            return await super().put(runtime, content, known)

    shown: list[int] = []

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            before = present(supervisor.entries["a"].lease).generation
            shown.append(before + above)
            await supervisor.apply(config(provider("a", FakeHeld(), Versioned(key="app", auth=literal(PASSWORD)))))
            await anyio.sleep(60)
            lease = present(supervisor.entries["a"].lease)
            if above:
                assert supervisor.ready
                assert lease.generation > before + above
                assert store.held["app"] == (1, "fake-token-2")
            else:
                assert (row(supervisor).state, len(world.upstreams["one"].calls)) == ("failing", 1)
                assert len(store.requests) < 10

    run_virtually(main)


# ------------------------------------------------------------------ hosts


@pytest.mark.parametrize("closing", [False, True], ids=["refuses", "closes"])
def test_a_dead_host_gets_few_attempts_and_delays_nobody_else(closing: bool) -> None:
    """docs/stores.md: 1,000 sinks, at most 20 attempts in any minute; afterwards all of them arrive within seconds."""

    async def main(clock: VirtualClock) -> None:
        world, network, store = world_with_store(clock)
        network.closing = closing
        tried: list[Instant] = []
        network.dead["dead.example:443"] = tried
        sinks = [store_sink(f"dead-{number}", url="https://dead.example") for number in range(1000)]
        others = [store_sink(f"live-{number}", url="https://live.example") for number in range(20)]
        # A hundred for each of ten tokens: all sinks of a token look whenever one of them has ended.
        held = [provider(f"a{at}", FakeHeld(username=f"a{at}"), *sinks[at::10]) for at in range(10)]
        async with world.running(*held, provider("b", FakeHeld(username="b"), *others)):
            supervisor = world.supervisor
            await until(lambda: supervisor.entries["b"].status().sinks[-1].state == "ok", seconds=10)
            for _ in range(5):
                await anyio.sleep(110)
                await renew(supervisor, "b")
                await anyio.sleep(2)
                newest = present(supervisor.entries["b"].lease).token.value.reveal()
                assert all(store.held[one.key][1] == newest for one in others)
            assert all(sum(0 <= one.until(other) < 60 for other in tried) <= 20 for one in tried)
            assert row(supervisor, "a0").state == "failing"
            last = row(supervisor, "a9", index=99)
            assert (last.state, "dead.example:443" in present(last.error)) == ("failing", True)
            del network.dead["dead.example:443"]
            network.most_at_once = 0
            await until(lambda: any(one.key in store.held for one in sinks), seconds=310)
            began = clock.instant()
            await until(lambda: all(one.key in store.held for one in sinks), seconds=10)
            assert began.until(clock.instant()) < 10
            assert network.most_at_once <= 32
            assert len(world.upstreams["one"].calls) == 16

    run_virtually(main)


def test_the_pause_that_a_store_asks_for_is_kept_by_all_sinks_of_its_host() -> None:
    """429 with Retry-After: nobody sends before its end, also not on a person's order; another host's sinks do."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        store.failing, store.pause = 429, "120"
        sinks = [store_sink(f"key-{number}") for number in range(10)]
        async with world.running(provider("a", FakeHeld(), *sinks)) as supervisor:
            await anyio.sleep(60)
            asked = len(store.requests)
            assert asked <= 4
            store.failing = None
            await supervisor.sync("a", None, take_over=False)
            await anyio.sleep(50)
            assert len(store.requests) == asked
            await until(lambda: supervisor.ready, seconds=15)

    run_virtually(main)


def test_a_person_ends_the_pause_of_a_host() -> None:
    """`tokend sync` after the network was repaired."""

    async def main(clock: VirtualClock) -> None:
        world, network, store = world_with_store(clock)
        network.dead["127.0.0.1:1"] = []
        async with world.running(provider("a", FakeHeld(), store_sink())) as supervisor:
            await anyio.sleep(HOUR)
            assert row(supervisor).error == "store:app: 127.0.0.1:1: no connection"
            network.dead.clear()
            await supervisor.sync("a", "store-1", take_over=False)
            await until(lambda: supervisor.ready, seconds=1)
            assert store.requests == ["GET app", "PUT app"]

    run_virtually(main)


def test_what_is_no_longer_wanted_after_the_pause_is_not_sent() -> None:
    """The token ended while its host paused."""

    async def main(clock: VirtualClock) -> None:
        world, network, store = world_with_store(clock)
        network.dead["127.0.0.1:1"] = []
        world.upstreams["one"].life = 600
        world.upstreams["one"].script = ["first-token"]
        world.upstreams["one"].broken = lambda now: TransientError("away")
        async with world.running(provider("a", FakeHeld(), store_sink())) as supervisor:
            await anyio.sleep(1000)
            network.dead.clear()
            await anyio.sleep(600)
            assert store.requests == []
            assert row(supervisor).state == "failing"

    run_virtually(main)


# ------------------------------------------------------------------ sync and inspect


def test_sync_asks_the_store_and_writes_only_what_differs() -> None:
    """No upstream request. Others may have changed the value meanwhile."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        async with world.running(provider("a", FakeHeld(), store_sink(), FakeListeningSink())) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            store.requests.clear()
            await supervisor.sync("a", None, take_over=False)
            await until(lambda: supervisor.ready, seconds=5)
            assert store.requests == ["GET app"]
            store.held["app"] = (7, "somebody else's")
            await supervisor.sync("a", "store-1", take_over=False)
            await until(lambda: supervisor.ready, seconds=5)
            assert store.requests == ["GET app", "GET app", "PUT app"]
            assert store.held["app"][1] == "fake-token-1"
            assert len(world.upstreams["one"].calls) == 1

    run_virtually(main)


def test_sync_of_what_is_not_there_is_refused() -> None:
    """The message names the sinks that there are."""

    async def main(clock: VirtualClock) -> None:
        world, _, _ = world_with_store(clock)
        held = provider("a", FakeHeld(), store_sink()), provider("b", FakeHeld(username="b"))
        async with world.running(*held, provider("o", FakeOnDemand())) as supervisor:
            with pytest.raises(NotSupportedError, match="a has no sink raw-1; it has store-1"):
                await supervisor.sync("a", "raw-1", take_over=False)
            with pytest.raises(NotSupportedError, match=r"b has no sink raw-1$"):
                await supervisor.sync("b", "raw-1", take_over=False)
            with pytest.raises(UnknownTokenError):
                await supervisor.sync("c", None, take_over=False)
            with pytest.raises(UnknownTokenError):
                await supervisor.inspect("c")
            for call in (supervisor.sync("o", None, take_over=False), supervisor.inspect("o")):
                with pytest.raises(NotSupportedError, match="o is issued per query: it has no sinks"):
                    await call

    run_virtually(main)


def test_inspect_says_what_every_target_holds() -> None:
    """`none`, `changed`, `missing`, `unknown`; files are compared too. Nothing is written."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        sinks = [store_sink("right"), store_sink("changed"), store_sink("gone"), FakeFile(path="file"), FakeFile()]
        async with world.running(provider("a", FakeHeld(), *sinks, FakeListeningSink())) as supervisor:
            await supervisor.inspect("a")  # before the first token
            await until(lambda: supervisor.ready, seconds=5)
            store.requests.clear()
            store.held["changed"] = (9, "somebody else's")
            del store.held["gone"]
            found = await supervisor.inspect("a")
            assert [one.drift for one in found] == ["none", "changed", "missing", "none", "none", None]
            assert (store.sent("PUT"), store.sent("GET")) == (0, 3)
            assert [one.state for one in found] == ["ok", "conflict", "conflict", "ok", "ok", "ok"]
            assert world.counters.sink_drifts == {("a", "store-2"): 1, ("a", "store-3"): 1}
            assert [one.remark for one in found] == [LAST_WRITER_WINS] * 3 + [None] * 3
            assert sorted(present(one.store_version) for one in found[:3]) == ["1", "2", "3"]
            store.readable = False
            assert (await supervisor.inspect("a"))[0].drift == "unknown: the store cannot be read back"
            store.readable, store.failing = True, 403
            found = await supervisor.inspect("a")
            assert present(found[0].drift).startswith("unknown: the store answered 403")
            assert found[0].state == "ok"
            store.failing = 503
            await supervisor.inspect("a")
            asked = len(store.requests)
            found = await supervisor.inspect("a")
            assert present(found[0].drift).startswith("unknown: nothing is sent to 127.0.0.1:1 until 2026-")
            assert len(store.requests) == asked

    run_virtually(main)


def test_inspect_of_a_target_that_must_be_empty() -> None:
    """The token was forgotten: what is there is a difference."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        async with world.running(provider("a", FakeHeld(), store_sink())) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            world.upstreams["one"].latency = 1e6
            await supervisor.forget("a")
            await until(lambda: row(supervisor).state == "removed", seconds=5)
            assert [one.drift for one in await supervisor.inspect("a")] == ["none"]
            store.held["app"] = (9, "somebody else's")
            assert [one.drift for one in await supervisor.inspect("a")] == ["changed"]

    run_virtually(main)


def test_an_inspection_during_an_attempt_waits_for_it() -> None:
    """Each has a connection of its own: one that is cancelled does not close that of the other."""

    async def main(clock: VirtualClock) -> None:
        world, network, store = world_with_store(clock)
        async with world.running(provider("a", FakeHeld(), store_sink())) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            network.hanging, blocks = {"PUT"}, network.blocks
            store.requests.clear()
            await renew(supervisor)
            await until(lambda: network.at_once["127.0.0.1:1"] == 1, seconds=5)
            async with anyio.create_task_group() as asking:
                asking.start_soon(supervisor.inspect, "a")
                await anyio.sleep(1)
                assert (network.blocks - blocks, store.sent("GET")) == (1, 0)
            # The attempt has ended, without an answer.
            assert store.sent("GET") > 0

    run_virtually(main)


def test_an_inspection_that_was_given_up_is_no_trouble_of_the_sink() -> None:
    """It waited for a host that pauses since then."""

    async def main(clock: VirtualClock) -> None:
        world, network, _ = world_with_store(clock)
        busy = [store_sink(f"busy-{number}") for number in range(40)]
        held = provider("b", FakeHeld(username="b"), store_sink("idle"))
        async with world.running(provider("a", FakeHeld(), *busy), held) as supervisor:
            await until(lambda: supervisor.ready, seconds=60)
            network.hanging = {"PUT"}
            await renew(supervisor)
            await until(lambda: network.at_once["127.0.0.1:1"] == 32, seconds=5)
            with anyio.move_on_after(1):
                await supervisor.inspect("b")
            await until(lambda: row(supervisor).state == "failing", seconds=40)
            assert row(supervisor, "b").state == "ok"

    run_virtually(main)


class SharingSink(StoreSink):
    """A store in which the targets of two sinks have one name."""

    kind: Literal["sharing"] = "sharing"  # type: ignore[assignment]  # each kind has a name of its own

    @property
    def target(self) -> str:
        return "store:shared"

    @property
    def hidden_part(self) -> str:
        return self.key


def test_targets_of_one_name_have_marks_of_their_own() -> None:
    """After a restart neither is written, and neither is asked."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        sinks = [SharingSink(key=key, auth=literal(PASSWORD)) for key in ("one", "two")]
        async with world.running(provider("a", FakeHeld(), *sinks)) as supervisor:
            await until(lambda: supervisor.ready, seconds=10)
            assert set(store.held) == {"one", "two"}
            await anyio.sleep(5)
        store.requests.clear()
        async with world.running(provider("a", FakeHeld(), *sinks)) as supervisor:
            await until(lambda: supervisor.ready, seconds=10)
            await anyio.sleep(5)
        assert store.requests == []

    run_virtually(main)
