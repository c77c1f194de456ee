"""Every kind of remote sink passes the same tests, against a store that answers and then misbehaves."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from tests.fakes import FakeHeld, World, literal, provider
from tests.publishing_sinks import PASSWORD, Network, StoreSink
from tests.sinks.leases import PLANTED, lease
from tests.sinks.test_sink_contract import SECOND, said
from tests.virtual import VirtualClock, run_virtually
from tokend.engine.publishing.publisher import Publisher
from tokend.engine.publishing.sink_runtime import WriteRuntime
from tokend.kinds import SINKS
from tokend.plugin.remote_sink import RemoteSinkSettings
from tokend.plugin.sink import Content, RemoteSink
from tokend.values.errors import SinkError

# How a sink of each kind is made, for the store that `attempt` gives it; keys beside its secret.
KINDS: dict[str, tuple[type[StoreSink], dict[str, Any]]] = {
    "store": (StoreSink, {"key": "app"}),
    "store of several": (StoreSink, {"key": "app", "tokens": ("b",)}),
}


@pytest.fixture(params=KINDS)
def attempt(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Run ``main(sink, runtime, network)`` with a sink of each kind, the engine's own runtime and a store."""
    model, keys = KINDS[request.param]

    def run(main: Callable[..., Any], **more: Any) -> None:
        async def whole(clock: VirtualClock) -> None:
            world = World(clock)
            world.network = Network(clock)
            sink = model(**{"auth": literal(PASSWORD), **keys, **more})
            idle = FakeHeld()
            world.upstreams["one"].latency = 1e6
            async with world.running(provider("a", idle, sink)) as supervisor:
                [publisher] = supervisor._sinks["a"]._publishers
                with anyio.fail_after(100):
                    assert isinstance(publisher, Publisher)
                    await main(sink, publisher._runtime, world.network)

        run_virtually(whole)

    return run


async def content_of(sink: StoreSink, runtime: WriteRuntime, value: str = PLANTED) -> Content:
    return await sink.content(runtime, lease(value), {name: lease("x", name=name) for name in sink.other_tokens()})


def test_every_kind_is_in_the_suite() -> None:
    """A kind that is added to the table must be added here."""
    assert {model for model in SINKS.all().values() if model.family == "remote"} <= {
        model for model, _ in KINDS.values()
    }
    assert all(issubclass(model, RemoteSinkSettings) for model, _ in KINDS.values())


def test_a_sink_is_what_the_engine_expects(attempt: Callable[..., None]) -> None:
    """`plugin.sink.RemoteSink`; the target is a string that names no file."""

    async def main(sink: StoreSink, runtime: WriteRuntime, network: Network) -> None:
        assert {"put", "remove", "inspect", "content"} <= set(vars(RemoteSink))
        assert all(callable(getattr(sink, name)) for name in ("put", "remove", "inspect", "content"))
        assert (sink.family, sink.file_path) == ("remote", None)
        assert sink.exclusive_targets()
        assert sink.timeout.total_seconds() == 30

    attempt(main)


def test_what_is_put_is_what_inspect_finds(attempt: Callable[..., None]) -> None:
    """Equal digests for equal values, on any machine; another value has another digest and version."""

    async def main(sink: StoreSink, runtime: WriteRuntime, network: Network) -> None:
        empty = await sink.inspect(runtime)
        assert empty is not None
        assert empty.digest is None
        first = await sink.put(runtime, await content_of(sink, runtime), None)
        assert await sink.inspect(runtime) == first
        assert first.digest == runtime.mark((await content_of(sink, runtime)).values).digest
        second = await sink.put(runtime, await content_of(sink, runtime, SECOND), first)
        assert await sink.inspect(runtime) == second
        assert second.digest != first.digest
        assert second.version != first.version

    attempt(main)


def test_what_is_removed_is_gone_and_nothing_else(attempt: Callable[..., None]) -> None:
    """A mark without a digest; to remove what is not there is no error."""

    async def main(sink: StoreSink, runtime: WriteRuntime, network: Network) -> None:
        network.store.held["other"] = (0, "somebody else's")
        known = await sink.put(runtime, await content_of(sink, runtime), None)
        for _ in range(2):
            known = await sink.remove(runtime, known if known.digest else None)
            assert known.digest is None
        assert network.store.held == {"other": (0, "somebody else's")}

    attempt(main)


def test_one_call_is_one_attempt(attempt: Callable[..., None]) -> None:
    """No retry: one request for each method, also where it fails."""

    async def main(sink: StoreSink, runtime: WriteRuntime, network: Network) -> None:
        content = await content_of(sink, runtime)
        network.store.failing = 503
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: sink.put(runtime, content, None),
            lambda: sink.remove(runtime, None),
            lambda: sink.inspect(runtime),
        ]
        for call in calls:
            network.store.requests.clear()
            with pytest.raises(SinkError):
                await call()
            assert len(network.store.requests) == 1

    attempt(main)


@pytest.mark.parametrize("trouble", ["status", "refused", "lost", "conflict"])
def test_a_failure_is_a_sink_error_that_holds_no_secret(attempt: Callable[..., None], trouble: str) -> None:
    """It names the target; neither the token nor the credential nor the store's answer is in it."""

    async def main(sink: StoreSink, runtime: WriteRuntime, network: Network) -> None:
        content = await content_of(sink, runtime)
        known = await sink.put(runtime, content, None)
        if trouble == "status":
            network.store.failing = 500
        elif trouble == "lost":
            network.losing.add("PUT")
        elif trouble == "conflict":
            network.store.held["app"] = (99, "somebody else's")
        elif trouble == "refused":
            network.store.password = "planted-fake-new-password"
        with pytest.raises(SinkError) as refused:
            await sink.put(runtime, content, known)
        assert refused.value.detail.startswith(f"{sink.target}: ")
        for secret in (PLANTED, PASSWORD, "planted-fake-new-password"):
            assert secret not in said(refused.value)

    attempt(main)


def test_nothing_of_it_shows_a_secret(attempt: Callable[..., None]) -> None:
    """The settings, the content and the mark."""

    async def main(sink: StoreSink, runtime: WriteRuntime, network: Network) -> None:
        content = await content_of(sink, runtime)
        mark = await sink.put(runtime, content, None)
        for secret in (PLANTED, PASSWORD):
            assert secret not in repr((sink, content, mark)) + str((sink, content, mark))

    attempt(main)
