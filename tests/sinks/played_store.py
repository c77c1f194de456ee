"""A store that the contract suite of remote sinks plays: what a row of the suite gives, and the stage for one sink.

A kind's own store stands in ``tests/sinks/stores/played_KIND.py``.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar

import anyio

from tests.fakes import MemoryState, literal
from tests.sinks.leases import PLANTED, lease
from tests.sinks.played_server import Answer, Asked, PlayedServer
from tokend.engine.context.context import Context
from tokend.engine.context.counters import Counters
from tokend.engine.context.host_backoff import HostBackoff
from tokend.engine.policy.rate_limits import HostLimits
from tokend.engine.publishing.sink_runtime import WriteRuntime
from tokend.engine.publishing.target_lock import TargetLock
from tokend.engine.records.store import TokenStore
from tokend.machine.clock import SystemClock
from tokend.machine.thread_pool import ThreadPool
from tokend.plugin.remote_sink import RemoteSinkSettings
from tokend.plugin.settings import SinkSettings
from tokend.plugin.sink import Content, Mark
from tokend.upstream.provider_runtime import ProviderRuntime

CREDENTIAL = "planted-fake-store-credential"

Held = str | dict[str, str] | None
"""What a store holds of ours: one value, several by key, or nothing."""


class PlayedStore:
    """A store behind a real server: a subclass answers as the real one. All attributes below are for the tests.

    ``refusing``: the credential is not accepted any more (the row's `answer` looks at it, by `is_allowed`).
    """

    credential: ClassVar[str] = CREDENTIAL

    def __init__(self) -> None:
        self.refusing = False
        self.server = PlayedServer(self.answer)

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.server.url

    @property
    def asked(self) -> int:
        """How many requests it got."""
        return len(self.server.requests)

    def close(self) -> None:
        """End it."""
        self.server.close()

    def is_allowed(self, credential: str | None) -> bool:
        """Whether a request with this credential is allowed."""
        return not self.refusing and credential == self.credential

    def keys(self) -> dict[str, Any]:
        """Return the sink's keys to reach it, with its credential as a `SecretSource`."""
        return {"base_url": self.url, "auth": literal(self.credential)}

    def answer(self, asked: Asked) -> Answer:
        """Answer one request as the real store does. Called for one request at a time."""
        raise NotImplementedError

    def held(self) -> Held:
        """Return what it holds of ours now."""
        raise NotImplementedError

    def others(self) -> object:
        """Return everything that it holds and that is not ours: it must be equal before and after any call."""
        raise NotImplementedError

    def overwrite(self, value: str) -> None:
        """Let another writer change our value (one of them, where there are several)."""
        raise NotImplementedError

    def delete(self) -> None:
        """Let another writer delete our values, or the whole object if that is the usual way there."""
        raise NotImplementedError

    def writes(self) -> int:
        """Return how many versions of our values there were."""
        raise NotImplementedError


@dataclass(frozen=True)
class Row:
    """One kind in the suite, or one of the ways in which it can be used.

    ``requests`` are the most requests of one ``put``, ``remove`` and ``inspect``; the first is in docs/stores.md.
    ``reads_back``: `inspect` reads the values. ``shows_writes``: after a lost answer `inspect` shows that they are
    there, so that nothing is written twice. ``over_http``: the faults of `played_server` apply. ``except_for`` has
    faults that mean something else to this kind, by ``"OPERATION fault"`` or ``"fault"``: the errors that are allowed.
    ``without`` has faults that are none: a real store of this kind might answer so.
    """

    model: type[RemoteSinkSettings]
    store: Callable[[], Any]
    keys: Mapping[str, Any] = field(default_factory=dict)
    requests: tuple[int, int, int] = (1, 1, 1)
    reads_back: bool = True
    shows_writes: bool = True
    over_http: bool = True
    except_for: Mapping[str, type[Exception]] = field(default_factory=dict)
    without: frozenset[str] = frozenset()


@dataclass
class Stage:
    """A sink of the row, its store, and the engine's own runtime over the real network."""

    row: Row
    store: Any
    sink: Any
    runtime: WriteRuntime


@contextmanager
def played(row: Row) -> Iterator[Any]:
    """A new store of the row."""
    store = row.store()
    try:
        yield store
    finally:
        store.close()


Main = Callable[[Stage], Awaitable[None]]


@asynccontextmanager
async def staged(row: Row, **more: Any) -> AsyncIterator[Stage]:
    """A new store, and a sink with further keys that reaches it."""
    with played(row) as store:
        kind = row.model.model_fields["kind"].get_default()
        keys = {"kind": kind, **row.keys, **store.keys(), **more}
        sink = row.model.model_validate(keys, context={"directory": "/nowhere"})
        yield Stage(row, store, sink, runtime_of(sink))


def run(row: Row, main: Main, **keys: Any) -> None:
    """Run ``main`` with a new store and a sink of the row, which has further keys."""

    async def whole() -> None:
        with anyio.fail_after(30):
            async with staged(row, **keys) as stage:
                await main(stage)

    anyio.run(whole)


async def content_of(stage: Stage, value: str = PLANTED, *, generation: int = 7) -> Content:
    """The content with this value, made by the sink itself."""
    others = {name: lease("planted-fake-other", name=name) for name in stage.sink.other_tokens()}
    made: Content = await stage.sink.content(stage.runtime, lease(value, generation=generation), others)
    return made


async def put(stage: Stage, value: str = PLANTED, known: Mark | None = None, *, generation: int = 7) -> Mark:
    """Write this value, and return the mark."""
    mark: Mark = await stage.sink.put(stage.runtime, await content_of(stage, value, generation=generation), known)
    return mark


def runtime_of(sink: SinkSettings, before: WriteRuntime | None = None) -> WriteRuntime:
    """The runtime that the engine gives to a sink, with real requests; with that of ``before`` it shares its salt."""
    if before is not None:
        return WriteRuntime(sink, TargetLock(), before._context)
    clock, threads = SystemClock(), ThreadPool(2)

    def never(*_: Any) -> Any:
        raise AssertionError("a sink needs no provider and serves no socket")

    context = Context(
        clock=clock,
        store=TokenStore(state=MemoryState(), threads=threads, clock=clock),
        limits=HostLimits(),
        hosts=HostBackoff(clock, Random(1)),
        counters=Counters(),
        random=Random(1),
        runtime=never,
        sink_upstream=lambda settings: ProviderRuntime(settings, clock=clock, threads=threads),
        threads=threads,
        commands=threads,
        looks=threads,
        serve=never,
        engine=never,
    )
    return WriteRuntime(sink, TargetLock(), context)
