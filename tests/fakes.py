"""Hand-made neighbours of the engine: an upstream that follows a script, a state without a disk, threads without
threads, a sink that remembers."""

import hmac
import json
import random
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import anyio

from tests.virtual import VirtualClock
from tokend.config import ProviderConfig
from tokend.engine.context.context import Context
from tokend.engine.context.contract import ReloadAnswer
from tokend.engine.context.counters import Counters
from tokend.engine.context.host_backoff import HostBackoff
from tokend.engine.policy.rate_limits import HostLimits
from tokend.engine.records.store import TokenStore
from tokend.engine.supervisor import Supervisor
from tokend.machine.command import EndedCommand
from tokend.plugin.clean_command import run_clean
from tokend.plugin.field_roles import Role
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.provider import ConnectedRuntime, Runtime
from tokend.plugin.secret_reading import of_token, read_secret
from tokend.plugin.secret_source import SecretField, SecretSource
from tokend.plugin.settings import HeldSettings, OnDemandSettings, SinkSettings
from tokend.plugin.sink import Difference, SinkRuntime
from tokend.values.errors import (
    AttemptError,
    NewerGenerationError,
    RejectedError,
    SinkError,
    StoreError,
    TransientError,
)
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.status import StatusWarning
from tokend.values.tokens import Lease, Token

T = TypeVar("T")

HOUR = 3600.0


@dataclass
class Upstream:
    """What an upstream answers: each call takes the next of ``script``, then tokens of ``life`` for ever."""

    clock: VirtualClock
    life: float | None = 12 * HOUR  # None: tokens without an end
    latency: float = 0.1
    script: list[AttemptError | str] = field(default_factory=list)
    broken: Callable[[Instant], AttemptError | None] = lambda now: None
    calls: list[Instant] = field(default_factory=list)
    answered: list[Instant] = field(default_factory=list)  # those calls that got a token
    made: int = 0

    async def answer(self) -> Token:
        sent = self.clock.instant()
        self.calls.append(sent)
        await self.clock.sleep(self.latency)
        value: str | None = None
        if self.script:
            step = self.script.pop(0)
            if isinstance(step, AttemptError):
                raise step
            value = step
        elif (error := self.broken(self.clock.instant())) is not None:
            raise error
        if value is None:
            self.made += 1
            value = f"fake-token-{self.made}"
        self.answered.append(sent)
        return Token(Secret(value), "Bearer", sent, None if self.life is None else sent.after(self.life))


class FakeHeld(HeldSettings):
    """A held kind whose upstream is an `Upstream`, found by ``base_url``."""

    local: ClassVar[bool] = False

    kind: Literal["fake"] = "fake"
    base_url: Annotated[str, Role.UPSTREAM] = "one"
    username: Annotated[str, Role.ACCOUNT] = "somebody"
    key: SecretField | None = None

    @property
    def upstream(self) -> str | None:
        return self.base_url

    async def fetch(self, runtime: "FakeRuntime", previous: Token | None) -> Token:
        return await runtime.upstreams[self.base_url].answer()


class FakeGiven(FakeHeld):
    """A held kind that may be given a token to begin with, perhaps all that it will ever have; it numbers its calls."""

    kind: Literal["fake-given"] = "fake-given"  # type: ignore[assignment]  # each kind has a name of its own
    given: Annotated[SecretField, Role.HANDLING]
    renewable: bool = True

    @property
    def can_renew(self) -> bool:
        return self.renewable

    def optional_secrets(self) -> frozenset[str]:
        return frozenset({"given"}) if self.renewable else frozenset()

    async def fetch(self, runtime: "FakeRuntime", previous: Token | None) -> Token:
        if not self.renewable:
            raise RejectedError("no credentials, and the token given has ended")
        return await super().fetch(runtime, previous)

    def request_id(self) -> str:
        return "fake-request-id"

    async def initial(self, runtime: "FakeRuntime") -> Token | None:
        now = runtime.clock.instant()
        return Token(await runtime.reveal(self.given), "Bearer", now, now.after(HOUR))


class FakeExtending(FakeHeld):
    """A held kind whose upstream gives the token held a later end, as often as it is asked."""

    kind: Literal["fake-extending"] = "fake-extending"  # type: ignore[assignment]  # each kind has a name of its own

    async def fetch(self, runtime: "FakeRuntime", previous: Token | None) -> Token:
        token = await super().fetch(runtime, previous)
        if previous is None:
            return token
        return replace(previous, issued_at=token.issued_at, expires_at=token.expires_at, is_extended=True)


class FakeLocal(HeldSettings):
    """A minted kind: its life is its settings', its account everything that is signed."""

    kind: Literal["fake-local"] = "fake-local"
    secret: SecretField
    life: float = 900.0

    def fresh_life_seconds(self) -> float | None:
        return self.life

    async def fetch(self, runtime: "FakeRuntime", previous: Token | None) -> Token:
        secret, now = await runtime.reveal(self.secret), runtime.clock.instant()
        return Token(Secret(f"minted-{secret.reveal()}-{now.boot}"), "Bearer", now, now.after(self.life))


class FakeOnDemand(OnDemandSettings):
    """An on-demand kind."""

    kind: Literal["fake-on-demand"] = "fake-on-demand"
    base_url: str | None = "one"  # None: nothing is asked, the token is signed here
    key: SecretField | None = None

    @property
    def upstream(self) -> str | None:
        return self.base_url

    def check(self, parameters: Mapping[str, str]) -> None:
        pass

    async def issue(self, runtime: "FakeRuntime", parameters: Mapping[str, str]) -> Token:
        if self.key is not None:
            await runtime.reveal(self.key)
        if self.base_url is None:
            now = runtime.clock.instant()
            return Token(Secret("signed"), "Bearer", now, now.after(60))
        return await runtime.upstreams[self.base_url].answer()


class FakeSink(SinkSettings):
    """A sink that remembers what it was given, in `World.written` under its name."""

    kind: Literal["fake-sink"] = "fake-sink"
    path: str = "somewhere"

    @property
    def target(self) -> str:
        return self.path

    @property
    def file_path(self) -> Path:
        return Path(self.path)

    async def write(self, runtime: SinkRuntime, lease: Lease) -> bool:
        return await runtime.run_in_thread(lambda: self._write(lease))

    async def remove(self, runtime: SinkRuntime) -> bool:
        return await runtime.run_in_thread(lambda: WORLDS[-1].disk.pop(self.path, None) is not None)

    async def probe(self, runtime: SinkRuntime) -> None:
        await runtime.run_in_thread(lambda: WORLDS[-1].stumble("probe", self.path))

    async def announce(self, runtime: SinkRuntime) -> None:
        await runtime.run_in_thread(self._announce)

    def _write(self, lease: Lease) -> bool:
        content = lease.token.value.reveal()
        WORLDS[-1].stumble("write", self.path)
        if WORLDS[-1].disk.get(self.path) == content:
            return False
        WORLDS[-1].disk[self.path] = content
        WORLDS[-1].written.append((self.path, content))
        return True

    def _announce(self) -> None:
        WORLDS[-1].stumble("announce", self.path)
        WORLDS[-1].announced.append(self.path)


class FakeFile(FakeSink):
    """A sink whose target others can change: in `World.disk`; `World.owners` are the strangers who own targets."""

    kind: Literal["fake-file"] = "fake-file"  # type: ignore[assignment]  # each kind has a name of its own
    drift: Literal["repair", "report"] = "repair"

    def stamp(self) -> object:
        WORLDS[-1].stumble("stamp", self.path)
        return WORLDS[-1].disk.get(self.path), WORLDS[-1].owners.get(self.path), WORLDS[-1].touched

    def difference(self, lease: Lease, others: Mapping[str, Lease], good: object) -> Difference | None:
        WORLDS[-1].stumble("difference", self.path)
        found, owner = WORLDS[-1].disk.get(self.path), WORLDS[-1].owners.get(self.path)
        if found == lease.token.value.reveal() and owner is None:
            return None
        return Difference("it was deleted" if found is None else "it was overwritten", owner, owner is not None)

    async def repair(self, runtime: SinkRuntime, lease: Lease, others: Mapping[str, Lease], good: object) -> bool:
        return await self.write(runtime, lease)


class FakeShowingFile(FakeFile):
    """A sink whose target shows a generation: that in `World.shown`."""

    kind: Literal["fake-showing"] = "fake-showing"  # type: ignore[assignment]  # each kind has a name of its own

    def newer_generation(self, name: str, above: int, fingerprint: Callable[[Secret], str]) -> int | None:
        WORLDS[-1].stumble("newer", self.path)
        assert fingerprint(Secret("fake")) == WORLDS[-1].state.fingerprint(b"fake")
        shown = WORLDS[-1].shown.get(self.path, 0)
        return shown if shown > above else None

    async def write(self, runtime: SinkRuntime, lease: Lease) -> bool:
        if (shown := self.newer_generation(lease.name, lease.generation, runtime.fingerprint)) is not None:
            raise NewerGenerationError(f"{self.path}: it holds generation {shown}", generation=shown)
        return await super().write(runtime, lease)


class FakeCombiningSink(FakeSink):
    """A sink whose content is made of several tokens."""

    kind: Literal["fake-combining"] = "fake-combining"  # type: ignore[assignment]  # each kind has a name of its own
    tokens: tuple[str, ...] = ()

    async def write_all(self, runtime: SinkRuntime, lease: Lease, others: Mapping[str, Lease]) -> bool:
        return await runtime.run_in_thread(lambda: self._write_all(lease, others))

    def _write_all(self, lease: Lease, others: Mapping[str, Lease]) -> bool:
        WORLDS[-1].stumble("write", self.path)
        content = " ".join(f"{one.name}={one.token.value.reveal()}" for one in (lease, *others.values()))
        changed = WORLDS[-1].disk.get(self.path) != content
        WORLDS[-1].disk[self.path] = content
        return changed


class FakeListeningSink(SinkSettings):
    """A sink that is asked: `World.served` names those that listen."""

    family: ClassVar[Any] = "served"

    kind: Literal["fake-socket"] = "fake-socket"
    path: Path = Path("a-socket")
    mode: str = "0600"
    owner: str | None = None
    group: str | None = None

    @property
    def target(self) -> str:
        return str(self.path)

    def offer(self, lease: Lease) -> bytes:
        return lease.token.value.reveal_bytes()


@dataclass
class FakeRuntime:
    """`plugin.provider.Runtime` without a network."""

    clock: VirtualClock
    upstreams: Mapping[str, Upstream]
    environ: Mapping[str, str]
    requests: int = 0
    network: Any = None  # a `Network` for sinks; None: there is none
    upstream_offset: Callable[[], float] = lambda: 0.0
    tokens: Callable[[str], Secret | None] = lambda name: None

    def upstream_now(self) -> datetime:
        return self.clock.instant().wall + timedelta(seconds=self.upstream_offset())

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        if hasattr(self.network, "blocks"):
            self.network.blocks += 1
        yield

    async def reveal(self, source: SecretSource) -> Secret:
        if source.token is not None:
            return of_token(source, self.tokens(source.token))
        return read_secret(source, self.environ)

    async def exchange(self, request: UpstreamRequest) -> UpstreamReply:
        if self.network is None:
            raise TransientError("there is no network")
        reply: UpstreamReply = await self.network.exchange(request)
        return reply

    async def run_in_thread(self, call: Callable[[], T], *, seconds: float) -> T:
        return call()

    async def run_command(
        self, argv: Sequence[str], added: Mapping[str, Secret], *, seconds: float, output_limit: int
    ) -> EndedCommand:
        return run_clean(argv, added, seconds=seconds, output_limit=output_limit, environ=self.environ)


class InlineThreads:
    """`machine.thread_pool.Threads` in the loop itself."""

    async def run(self, call: Callable[[], T], *, seconds: float) -> T:
        return call()


class HangingThreads(InlineThreads):
    """Threads whose calls begin, and hang until `released`; a waiter gives up in time.

    ``hanging`` says which calls: a callable that is asked before each. The calls do run, in threads of their own.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.hanging = False
        self._held: list[tuple[threading.Event, threading.Thread]] = []

    async def run(self, call: Callable[[], T], *, seconds: float) -> T:
        if not self.hanging:
            return call()
        begun, released = threading.Event(), threading.Event()

        def hold() -> None:
            begun.set()
            released.wait()

        HOLDING.append(hold)
        thread = threading.Thread(target=call)
        thread.start()
        begun.wait()
        self._held.append((released, thread))
        await self._clock.sleep(seconds)
        raise TimeoutError

    def release(self) -> None:
        """Let all that hang go on, and wait for their end."""
        self.hanging = False
        while self._held:
            released, thread = self._held.pop()
            released.set()
            thread.join()


HOLDING: list[Callable[[], object]] = []
"""What a sink or state does first when its thread is to hang: set by `HangingThreads`, once per call."""


class MemoryState:
    """`store.State` in a dictionary that outlives a simulated crash."""

    def __init__(self) -> None:
        self.boot_id = "boot-1"
        self.content: dict[str, bytes] = {}
        self.marked: dict[str, bytes] = {}
        self.unopened: dict[str, str] = {}
        self.unread: dict[str, Path] = {}
        self.broken = False
        self.reserves = False  # a save that was reserved for succeeds also while all is `broken`
        self.reserved: set[str] = set()
        self.saves = 0

    def holding(self) -> set[str]:
        """The names under which a token is saved."""
        return {name for name, content in self.content.items() if json.loads(content)["lease"] is not None}

    def files(self) -> Iterator[tuple[Path, bytes]]:
        return iter([(Path(name), content) for name, content in self.content.items()])

    def save(self, name: str, content: bytes, *, reserve: int = 0) -> None:
        hang()
        self.saves += 1
        has_space = name in self.reserved and not reserve
        self.reserved.discard(name)
        if self.broken and not (has_space and self.reserves):
            raise StoreError("no space left on device")
        if reserve:
            self.reserved.add(name)
        self.content[name] = content

    def marks(self) -> Iterator[tuple[Path, bytes]]:
        return iter([(Path(f"sinks/{name}.json"), content) for name, content in self.marked.items()])

    def save_marks(self, name: str, content: bytes | None) -> None:
        hang()
        if self.broken:
            raise StoreError("no space left on device")
        self.marked.pop(name, None)
        if content is not None:
            self.marked[name] = content

    def set_aside(self, path: Path) -> None:
        if path.parent.name == "sinks":
            self.marked.pop(path.stem, None)
        self.content.pop(str(path), None)

    def keep_unread(self, name: str) -> None:
        self.unopened[name] = "it cannot be read"

    def follow(self, old: str, new: str) -> None:
        if old in self.unopened:
            self.unopened[new] = self.unopened[old]

    def drop(self, name: str) -> None:
        hang()
        if self.broken:
            raise StoreError("no space left on device")
        del self.unopened[name]

    def digest(self, value: bytes) -> str:
        return hmac.digest(b"salt", value, "sha256").hex()

    def digest_for(self, purpose: str, value: bytes) -> str:
        return self.digest(purpose.encode() + value)

    def fingerprint(self, value: bytes) -> str:
        return self.digest(value)[:12]


@dataclass
class FakeConfig:
    """As much of a `Config` as the supervisor looks at."""

    providers: Mapping[str, ProviderConfig]
    warnings: Mapping[str, tuple[StatusWarning, ...]] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()

    def warnings_by_provider(self, *, of_secrets: bool) -> Mapping[str, tuple[StatusWarning, ...]]:
        """The warnings of the configuration itself; the secrets of these tests have none."""
        return {} if of_secrets else self.warnings


@dataclass
class World:
    """One daemon's engine on the virtual clock. ``state`` survives; entering again is a restart."""

    clock: VirtualClock
    seed: int = 1
    environ: dict[str, str] = field(default_factory=dict)
    state: MemoryState = field(default_factory=MemoryState)
    upstreams: dict[str, Upstream] = field(default_factory=dict)
    disk: dict[str, str] = field(default_factory=dict)
    written: list[tuple[str, str]] = field(default_factory=list)
    announced: list[str] = field(default_factory=list)
    served: list[str] = field(default_factory=list)
    owners: dict[str, int] = field(default_factory=dict)
    shown: dict[str, int] = field(default_factory=dict)
    touched: int = 0
    on_listening: Callable[[], None] = lambda: None
    looks: Any = field(default_factory=InlineThreads)
    full: bool = False
    stumbles: dict[tuple[str, str], Exception] = field(default_factory=dict)  # by sink method and path
    threads: Any = field(default_factory=InlineThreads)
    commands: Any = None  # threads of announcements; None: `threads`
    disk_threads: Any = field(default_factory=InlineThreads)
    limits: HostLimits = field(default_factory=HostLimits)
    counters: Counters = field(default_factory=Counters)
    network: Any = None
    upstream_offset: float = 0.0  # how far the upstreams' clocks are ahead
    supervisor: Any = None
    context: Any = None
    store: Any = None

    def __post_init__(self) -> None:
        WORLDS.append(self)
        self.upstreams.setdefault("one", Upstream(self.clock))

    @asynccontextmanager
    async def running(self, *providers: ProviderConfig) -> AsyncIterator[Supervisor]:
        """Run the engine with these providers until the block ends: that is a crash."""
        self.store = TokenStore(state=self.state, threads=self.disk_threads, clock=self.clock)
        self.store.load()
        self.limits, self.counters = HostLimits(), Counters()
        self.context = Context(
            clock=self.clock,
            store=self.store,
            limits=self.limits,
            hosts=HostBackoff(self.clock, random.Random(self.seed)),
            counters=self.counters,
            random=random.Random(self.seed),
            runtime=self._runtime,
            sink_upstream=self._sink_upstream,
            threads=self.threads,
            commands=self.commands or self.threads,
            looks=_LooksOf(self),
            serve=self._serve,
            engine=lambda: self.supervisor,
        )
        async with anyio.create_task_group() as tasks:
            self.supervisor = Supervisor(tasks, self.context, reload=_no_reload)
            await self.supervisor.apply(config(*providers))
            tasks.start_soon(self.supervisor.logins.watch)
            yield self.supervisor
            tasks.cancel_scope.cancel()

    async def _serve(self, name: str, sink: Any, listening: Callable[[], None]) -> None:
        """Let a `FakeListeningSink` listen until it is cancelled, or stumbles."""
        self.stumble("serve", sink.target)
        if sink.target in self.served:
            raise SinkError(f"{sink.target}: in use")
        self.served.append(sink.target)
        self.on_listening = listening
        listening()
        try:
            await anyio.sleep_forever()
        finally:
            self.served.remove(sink.target)

    def stumble(self, method: str, path: str) -> None:
        """What a sink's method does before its work: hang or raise, where a test asks for it."""
        hang()
        if self.full and method == "write":
            raise SinkError(f"{path}: no space left on device")
        if (error := self.stumbles.get((method, path))) is not None:
            raise error

    def _runtime(self, settings: Any) -> Runtime:
        return self._fake_runtime(None)

    def _sink_upstream(self, settings: Any) -> ConnectedRuntime:
        return self._fake_runtime(self.network)

    def _fake_runtime(self, network: Any) -> FakeRuntime:
        offset = lambda: self.upstream_offset  # noqa: E731
        keys = {"network": network, "upstream_offset": offset, "tokens": self._token_of}
        return FakeRuntime(self.clock, self.upstreams, self.environ, **keys)

    def _token_of(self, name: str) -> Secret | None:
        lease = self.store.valid_lease(name)
        return None if lease is None else lease.token.value


@dataclass
class _LooksOf:
    """The present threads for looks: a test may replace them while the engine runs."""

    world: World

    async def run(self, call: Callable[[], T], *, seconds: float) -> T:
        result: T = await self.world.looks.run(call, seconds=seconds)
        return result


WORLDS: list[World] = []
"""Sinks are values and cannot hold a bench; they use the newest one."""


def hang() -> None:
    """Hang, if it is this call's turn to."""
    if HOLDING:
        HOLDING.pop()()


def config(*providers: ProviderConfig, warnings: Mapping[str, tuple[StatusWarning, ...]] | None = None) -> Any:
    """A configuration of these providers."""
    return FakeConfig({provider.name: provider for provider in providers}, warnings or {})


def provider(name: str, settings: Any, *sinks: Any) -> ProviderConfig:
    """One provider's configuration."""
    return ProviderConfig(name=name, settings=settings, sinks=tuple(sinks))


def literal(value: str) -> SecretSource:
    """A secret that stands in the configuration."""
    return SecretSource(literal=Secret(value))


async def _no_reload(dry_run: bool, path: Path | None) -> ReloadAnswer:
    return ReloadAnswer([{"name": str(path), "action": "dry" if dry_run else "wet"}])


def minutes(number: float) -> timedelta:
    """So many minutes."""
    return timedelta(minutes=number)
