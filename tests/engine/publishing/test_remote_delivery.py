"""Remote sinks, driven by the publisher: the latest value wins, equal values stay, each failure is that sink's own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from tests.expecting import present
from tests.fakes import HOUR, FakeHeld, FakeSink, Upstream, literal, provider
from tests.publishing_sinks import PASSWORD, StoreSink
from tests.store_world import row, store_sink, world_with_store
from tests.virtual import VirtualClock, run_virtually, until
from tokend.engine.publishing.remote_delivery import LAST_SECONDS, RemoteDelivery
from tokend.engine.publishing.sink_runtime import WriteRuntime
from tokend.engine.publishing.target_lock import TargetLock
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.sink import Content, Mark, SinkRuntime
from tokend.values.errors import SinkError, TransientError
from tokend.values.tokens import Lease


def test_a_token_arrives_in_the_store_and_a_newer_one_replaces_it() -> None:
    """One request each, after the first look; the version of the last write goes with the next one."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        async with world.running(provider("a", FakeHeld(), store_sink())) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            assert store.held == {"app": (1, "fake-token-1")}
            await supervisor.refresh("a", if_generation=None, reason="", admin=True)
            await until(lambda: supervisor.ready, seconds=5)
            assert store.held == {"app": (2, "fake-token-2")}
            assert store.requests == ["GET app", "PUT app", "PUT app"]

    run_virtually(main)


def test_status_shows_a_remote_target_without_a_path() -> None:
    """``target`` is a string; ``path`` is null."""

    async def main(clock: VirtualClock) -> None:
        world, _, _ = world_with_store(clock)
        async with world.running(provider("a", FakeHeld(), store_sink(), FakeSink())) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            shown = row(supervisor)
            assert (shown.kind, shown.label, shown.target, shown.path) == ("store", "store-1", "store:app", None)
            assert (shown.state, shown.error, shown.required) == ("ok", None, True)
            assert (row(supervisor, index=1).target, row(supervisor, index=1).path) == ("somewhere", "somewhere")

    run_virtually(main)


def test_the_latest_value_wins_after_an_outage() -> None:
    """The store is away for an hour, in which the token changes: one write, of the newest. No upstream is asked."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        store.failing = 503
        async with world.running(provider("a", FakeHeld(), store_sink())) as supervisor:
            await anyio.sleep(HOUR / 2)
            await supervisor.refresh("a", if_generation=None, reason="", admin=True)
            await anyio.sleep(HOUR / 2)
            assert row(supervisor).error == "store:app: the store answered 503: it is not available"
            assert store.requests.count("GET app") == len(store.requests) < 20 + HOUR / 180
            store.failing = None
            await until(lambda: supervisor.ready, seconds=301)
            assert store.held == {"app": (1, "fake-token-2")}
            assert len(world.upstreams["one"].calls) == 2

    run_virtually(main)


def test_equal_content_is_not_written_again() -> None:
    """Not while the daemon runs, nor after a restart: nothing is even asked."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        configured = provider("a", FakeHeld(), store_sink())
        async with world.running(configured) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            await anyio.sleep(HOUR)
            assert store.requests == ["GET app", "PUT app"]
        async with world.running(configured) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            await anyio.sleep(HOUR)
            assert store.requests == ["GET app", "PUT app"]
            assert world.counters.sink_writes == {("a", "store-1", "unchanged"): 1}

    run_virtually(main)


def test_a_store_that_cannot_be_read_is_written_without_knowing() -> None:
    """Also to take the token away: not knowing is no reason to leave it there."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        store.readable = False
        world.upstreams["one"].life = HOUR
        configured = provider("a", FakeHeld(on_expiry="remove"), store_sink())
        async with world.running(configured) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
        world.upstreams["one"].broken = lambda now: TransientError("away")
        async with world.running(configured) as supervisor:
            await until(lambda: row(supervisor).state == "ok", seconds=5)
            assert (store.versions, store.sent("DELETE")) == (1, 0)
        world.state.marked.clear()
        async with world.running(configured) as supervisor:
            await until(lambda: row(supervisor).state == "ok", seconds=5)
            assert (store.versions, store.sent("DELETE")) == (2, 0)
        world.state.marked.clear()
        await anyio.sleep(2 * HOUR)
        async with world.running(configured):
            await until(lambda: store.held == {}, seconds=5)

    run_virtually(main)


def test_a_lost_answer_makes_no_second_version_where_the_store_can_be_read() -> None:
    """The write took effect and its answer was lost: the store is looked at before anything is sent again."""

    async def main(clock: VirtualClock) -> None:
        world, network, store = world_with_store(clock)
        network.losing.add("PUT")
        async with world.running(provider("a", FakeHeld(), store_sink())) as supervisor:
            await until(lambda: row(supervisor).error is not None, seconds=5)
            assert "without an answer" in present(row(supervisor).error)
            await until(lambda: supervisor.ready, seconds=5)
            assert store.requests == ["GET app", "PUT app", "GET app"]
            network.losing.add("PUT")
            await supervisor.refresh("a", if_generation=None, reason="", admin=True)
            await until(lambda: supervisor.ready, seconds=5)
            assert store.requests[3:] == ["PUT app", "GET app"]
            assert store.held == {"app": (2, "fake-token-2")}

    run_virtually(main)


def test_a_lost_answer_to_a_removal_is_looked_into_as_well() -> None:
    """Nothing is left: no second removal."""

    async def main(clock: VirtualClock) -> None:
        world, network, store = world_with_store(clock)
        async with world.running(provider("a", FakeHeld(), store_sink())) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            network.losing.add("DELETE")
            world.upstreams["one"].latency = 20
            await supervisor.forget("a")
            await anyio.sleep(10)
            assert store.requests == ["GET app", "PUT app", "DELETE app", "GET app"]
            assert row(supervisor).state == "removed"

    run_virtually(main)


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_store_that_hangs_is_given_up_and_disturbs_nobody(method: str) -> None:
    """``timeout`` is over all requests of a write; files and other stores have the token at once."""

    async def main(clock: VirtualClock) -> None:
        world, network, store = world_with_store(clock)
        network.hanging.add(method)
        world.upstreams["two"] = Upstream(clock)
        sinks = store_sink(timeout="10s"), FakeSink()
        other = provider("b", FakeHeld(base_url="two"), FakeSink(path="b"))
        async with world.running(provider("a", FakeHeld(), *sinks), other):
            began = clock.instant()
            await anyio.sleep(5)
            assert world.disk == {"somewhere": "fake-token-1", "b": "fake-token-1"}
            await until(lambda: row(world.supervisor).error is not None, seconds=15)
            assert 10 <= began.until(clock.instant()) < 11
            assert row(world.supervisor).error == "store:app: no answer within 10 s"
            network.hanging.clear()
            await until(lambda: world.supervisor.ready, seconds=5)
            assert store.held == {"app": (1, "fake-token-1")}
            assert len(world.upstreams["one"].calls) == 1

    run_virtually(main)


def test_an_exchange_that_has_begun_may_end_at_a_shutdown() -> None:
    """Five seconds: then the store has the token, or the exchange is cut off."""

    async def main(clock: VirtualClock) -> None:
        world, network, store = world_with_store(clock)
        network.latency_seconds = 2
        async with world.running(provider("a", FakeHeld(), store_sink())):
            await anyio.sleep(3)  # the write is on its way
            assert store.requests == ["GET app"]
        assert store.held == {"app": (1, "fake-token-1")}
        network.hanging.add("PUT")
        async with world.running(provider("a", FakeHeld(base_url="one", username="else"), store_sink())):
            await anyio.sleep(10)
            before = clock.instant()
        assert 4.9 < before.until(clock.instant()) < 5.1

    run_virtually(main)


def test_the_token_is_removed_when_it_ends_and_none_could_be_had() -> None:
    """on_expiry = "remove": once, our key alone; the next token is written again."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        store.held["other"] = (0, "somebody else's")
        world.upstreams["one"].life = HOUR
        world.upstreams["one"].broken = lambda now: TransientError("away") if now.boot < 1000 + 3 * HOUR else None
        world.upstreams["one"].script = ["first-token"]
        async with world.running(provider("a", FakeHeld(on_expiry="remove"), store_sink())) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            await anyio.sleep(HOUR * 1.5)
            assert store.held == {"other": (0, "somebody else's")}
            assert store.sent("DELETE") == 1
            await until(lambda: supervisor.ready, seconds=2.5 * HOUR)
            assert store.held["app"] == (2, "fake-token-1")

    run_virtually(main)


def test_a_changed_secret_wakes_the_sink(tmp_path: Path) -> None:
    """The store refuses an old credential; the pause ends at once when the file changes. Others are not woken."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        secret = tmp_path / "secret"
        secret.write_text("planted-fake-old-password\n")
        sink = store_sink(auth=SecretSource(file=secret))
        async with world.running(provider("a", FakeHeld(), sink)) as supervisor:
            await anyio.sleep(200)
            assert row(supervisor).state == "rejected"
            secret.write_text(PASSWORD)
            asked = len(store.requests)
            supervisor.secrets_changed({tmp_path / "another"})
            await anyio.sleep(1)
            assert len(store.requests) == asked
            supervisor.secrets_changed({secret})
            await until(lambda: supervisor.ready, seconds=1)
            assert store.held == {"app": (1, "fake-token-1")}

    run_virtually(main)


def test_a_secret_that_changes_during_an_attempt_is_used_at_once(tmp_path: Path) -> None:
    """The attempt that fails meanwhile may have read the old one."""

    async def main(clock: VirtualClock) -> None:
        world, network, store = world_with_store(clock)
        network.latency_seconds = 20
        secret = tmp_path / "secret"
        secret.write_text("planted-fake-old-password\n")
        async with world.running(provider("a", FakeHeld(), store_sink(auth=SecretSource(file=secret)))) as supervisor:
            await until(lambda: network.begun == 2, seconds=61)  # after this one the pause is half an hour
            begun = 1
            secret.write_text(PASSWORD)
            supervisor.secrets_changed({secret})
            await until(lambda: len(store.requests) > begun, seconds=21)
            network.latency_seconds = 0.01
            await until(lambda: supervisor.ready, seconds=21)
            assert store.requests[begun:] == ["GET app", "GET app", "PUT app"]

    run_virtually(main)


def test_several_tokens_make_one_content() -> None:
    """Written while all are valid, and when any of them changes."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        world.upstreams["two"] = Upstream(clock, latency=5)
        sink = store_sink(tokens=["b", "a"])
        async with world.running(
            provider("a", FakeHeld(), sink), provider("b", FakeHeld(base_url="two"))
        ) as supervisor:
            await anyio.sleep(2)
            assert row(supervisor).error == "store:app: waits for a valid token of b"
            await until(lambda: supervisor.ready, seconds=10)
            assert store.held["app"] == (1, {"a": "fake-token-1", "b": "fake-token-1"})
            await supervisor.refresh("b", if_generation=None, reason="", admin=True)
            await until(lambda: supervisor.ready, seconds=10)
            assert store.held["app"] == (2, {"a": "fake-token-1", "b": "fake-token-2"})

    run_virtually(main)


def test_a_bug_in_a_remote_sink_stays_its_own() -> None:
    """What is no SinkError is a bug: shown as one, and the sink is tried again."""

    class Buggy(StoreSink):
        async def content(self, runtime: SinkRuntime, lease: Lease, others: Mapping[str, Lease]) -> Content:
            if not bugs:
                return await super().content(runtime, lease, others)
            raise ZeroDivisionError(bugs.pop())

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        sink = Buggy(key="app", auth=literal(PASSWORD))
        async with world.running(provider("a", FakeHeld(), sink)) as supervisor:
            await anyio.sleep(1)
            assert row(supervisor).error == f"a bug in kind store ({__name__}); the log has its traceback"
            await until(lambda: supervisor.ready, seconds=20)
            assert store.held == {"app": (1, "fake-token-1")}

    bugs = ["a bug"]
    run_virtually(main)


def test_an_exit_in_a_remote_sink_is_a_bug_of_its_kind() -> None:
    """The event loop would end with it, and so the daemon."""

    class Exits(StoreSink):
        async def put(self, runtime: SinkRuntime, content: Content, known: Mark | None) -> Mark:
            raise SystemExit(3)

    async def main(clock: VirtualClock) -> None:
        world, _, _ = world_with_store(clock)
        async with world.running(provider("a", FakeHeld(), Exits(key="app", auth=literal(PASSWORD)))) as supervisor:
            await anyio.sleep(1)
            assert row(supervisor).error == f"a bug in kind store ({__name__}); the log has its traceback"
            assert present(supervisor.entries["a"].lease).token.value.reveal() == "fake-token-1"

    run_virtually(main)


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (None, "put returned no Mark"),
        (True, "put returned bool, a Mark is expected"),
        (Mark("d", cast(str, 7)), "put returned a Mark whose members are not all texts or None"),
    ],
)
def test_a_put_without_a_mark_has_not_written(returned: Any, said: str) -> None:
    """Whether the store holds the token is unknown."""

    class Forgetful(StoreSink):
        async def put(self, runtime: SinkRuntime, content: Content, known: Mark | None) -> Mark:
            await super().put(runtime, content, known)
            return cast(Mark, returned)

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        store.readable = False
        sink = Forgetful(key="app", auth=literal(PASSWORD))
        async with world.running(provider("a", FakeHeld(), sink)) as supervisor:
            await anyio.sleep(1)
            assert (row(supervisor).state, row(supervisor).error) == ("failing", f"store:app: kind store: {said}")

    run_virtually(main)


def test_the_shorter_limit_at_the_end_is_logged() -> None:
    """The store hangs, and the daemon ends: the operation ended after `LAST_SECONDS`, not after ``timeout``."""

    class Hanging(StoreSink):
        async def put(self, runtime: SinkRuntime, content: Content, known: Mark | None) -> Mark:
            await anyio.sleep_forever()
            raise AssertionError

    said: list[str] = []

    async def main(clock: VirtualClock) -> None:
        hanging = Hanging(key="other", auth=literal(PASSWORD))
        sink = RemoteDelivery(hanging, save=anyio.lowlevel.checkpoint)
        world, _, _ = world_with_store(clock)

        async def write(lease: Lease) -> None:
            try:
                await sink.write(
                    WriteRuntime(Hanging(key="app", auth=literal(PASSWORD)), TargetLock(), world.context), lease
                )
            except SinkError as error:
                said.append(error.detail)

        async with world.running(provider("a", FakeHeld(), store_sink())) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            began = clock.instant()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(write, present(supervisor.entries["a"].lease))
                await anyio.sleep(1)
                tasks.cancel_scope.cancel()
            assert began.until(clock.instant()) == pytest.approx(1 + LAST_SECONDS)

    run_virtually(main)
    assert said == [f"store:other: no answer within {LAST_SECONDS:g} s at the end of the daemon or of this sink"]
