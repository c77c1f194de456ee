"""A probe of a store that no sink writes to: what is asked, and what the result is."""

from typing import Any, Literal

import pytest

from tests.engine.publishing.test_remote_target import OwnedSink
from tests.expecting import present
from tests.fakes import FakeHeld, World, literal, provider
from tests.publishing_sinks import PASSWORD, StoreSink
from tests.store_world import row, store_sink, world_with_store
from tests.virtual import VirtualClock, run_virtually, until
from tokend.engine.publishing.store_probe import StoreProbe, probe_store
from tokend.engine.supervisor import Supervisor
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.sink import Mark, SinkRuntime
from tokend.values.errors import SinkConflictError


class Mute(StoreSink):
    """A store that is written to only."""

    kind: Literal["mute"] = "mute"  # type: ignore[assignment]  # each kind has a name of its own

    async def inspect(self, runtime: SinkRuntime) -> Mark | None:
        return None


class Foreign(OwnedSink):
    """A store that says by itself that another writer owns it."""

    kind: Literal["foreign"] = "foreign"  # type: ignore[assignment]  # each kind has a name of its own

    async def inspect(self, runtime: SinkRuntime) -> Mark | None:
        raise SinkConflictError(f"{self.target}: another writer owns it")


class Broken(StoreSink):
    """A kind with a bug."""

    kind: Literal["broken"] = "broken"  # type: ignore[assignment]  # each kind has a name of its own

    async def inspect(self, runtime: SinkRuntime) -> Mark | None:
        raise KeyError("planted-fake-secret")


def test_a_store_is_asked_once_and_nothing_is_written() -> None:
    """With a token the answer says what the store holds; without one, that it answers."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        async with world.running(provider("a", FakeHeld())) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            value = present(supervisor.entries["a"].lease).token.value.reveal()
            for held, detail in (
                (None, "it does not hold the token yet"),
                ("other", "it holds another value"),
                (value, "it holds what it must hold"),
            ):
                store.held = {} if held is None else {"app": (1, held)}
                assert await supervisor.probe("a", store_sink()) == StoreProbe("ok", f"the store answers: {detail}")
            store.readable = False
            assert (await supervisor.probe("a", store_sink())).detail == "the store answers: it cannot be read back"
            assert await supervisor.probe("z", store_sink()) == StoreProbe("ok", "the store answers")
            assert store.requests == ["GET app"] * 5
            assert store.versions == 0

    run_virtually(main)


@pytest.mark.parametrize(
    ("sink", "changes", "outcome", "detail"),
    [
        (store_sink(auth=literal("planted-fake-wrong")), {}, "refused", "the store answered 403"),
        (store_sink(), {"failing": 500}, "failed", "the store answered 500"),
        (Foreign(key="app", auth=literal(PASSWORD)), {}, "refused", "another writer owns it"),
        (Mute(key="app", auth=literal(PASSWORD)), {}, "not_tried", "this store cannot be asked without a write"),
        (Broken(key="app", auth=literal(PASSWORD)), {}, "failed", "a bug in kind broken"),
        (
            store_sink(auth=SecretSource(token="b")),
            {},
            "not_tried",
            "waits for b, which has no valid token now: --try it",
        ),
    ],
)
def test_what_keeps_a_store_from_an_answer_is_the_result(
    sink: StoreSink, changes: dict[str, Any], outcome: str, detail: str
) -> None:
    """Without the target, which stands before it, and without a secret."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        for key, value in changes.items():
            setattr(store, key, value)
        async with world.running():
            found = await probe_store("a", sink, world.context)
            assert found.outcome == outcome
            assert found.detail.startswith(detail)
            assert len(store.requests) <= 1

    run_virtually(main)


@pytest.mark.parametrize("state", ["rejected", "conflict"])
def test_a_single_run_gives_up_where_a_store_needs_a_person(state: str) -> None:
    """Exit code 4, as for rejected credentials; another trouble is waited for."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        store.failing = 500
        async with world.running(provider("a", FakeHeld(), sink_in(world, state))) as supervisor:
            await until(lambda: row(supervisor).state == "failing", seconds=5)
            assert (supervisor.outcome(), supervisor.outcome_now()) == (None, 7)
            store.failing = 403 if state == "rejected" else 409
            await until(lambda: supervisor.outcome() is not None, seconds=600)
            assert (supervisor.outcome(), row(supervisor).state) == (4, state)
        await not_required(world, state)

    run_virtually(main)


async def not_required(world: World, state: str) -> None:
    async with world.running(provider("b", FakeHeld(username="b"), sink_in(world, state, required=False))) as running:
        supervisor: Supervisor = running
        await until(lambda: supervisor.outcome() == 0, seconds=600)


def sink_in(world: World, state: str, **keys: Any) -> StoreSink:
    assert world.network is not None
    return store_sink(**keys) if state == "rejected" else Contested(key="app", auth=literal(PASSWORD), **keys)


class Contested(StoreSink):
    """A store whose 409 means another writer."""

    kind: Literal["contested"] = "contested"  # type: ignore[assignment]  # each kind has a name of its own

    async def inspect(self, runtime: SinkRuntime) -> Mark | None:
        reply = await self._exchange_status(runtime)
        if reply == 409:
            raise SinkConflictError(f"{self.target}: another writer owns it")
        return await super().inspect(runtime)

    async def _exchange_status(self, runtime: SinkRuntime) -> int:
        from tokend.plugin.http_exchange import UpstreamRequest

        headers = {"Authorization": await runtime.reveal(self.auth)}
        return (await runtime.exchange(UpstreamRequest("GET", f"{self.url}/{self.key}", headers, b""))).status
