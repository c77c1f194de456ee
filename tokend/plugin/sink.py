"""Interfaces of the three families of sinks, and of the runtime that a sink gets for one call.

tokend writes a *pushed* sink (a file) and a *remote* sink (a key in a secret store); clients read a *served* sink (a
socket). A sink makes one attempt. Retries, backoff, order, logs and status belong to `engine.publishing`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

from tokend.machine.clock import Clock
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.secret_source import SecretSource
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.status import StatusWarning
from tokend.values.tokens import Lease

T = TypeVar("T")

Values: TypeAlias = Secret | Mapping[str, Secret]
"""One value, or several by key for a store that keeps several keys in one object."""


@dataclass(frozen=True, slots=True)
class Content:
    """The wanted content of a remote target. Its repr shows no secret.

    ``generation`` is the generation of the sink's own token. ``expires_at`` is the earliest end of the tokens in the
    content, None if none of them ends.
    """

    values: Values
    generation: int
    expires_at: Instant | None


@dataclass(frozen=True, slots=True)
class Mark:
    """The state of a remote target, without the secret: what tokend may keep about its last write.

    ``digest`` is a digest of target and values, keyed with the salt of the state directory, so that nobody can guess a
    secret from it. None means that the target holds no value of ours. ``version`` is the store's own name of the
    state, None if the store has none. ``remark`` is what the operator should know about the target, for the status,
    for example that the store's metadata may not be read.
    """

    digest: str | None
    version: str | None = None
    remark: str | None = None


class SinkRuntime(Protocol):
    """The services that a sink may use during one call.

    The methods raise only `SinkError`; `run_in_thread` also raises what its call raises.
    """

    @property
    def name(self) -> str:
        """The name of the sink's token."""

    @property
    def clock(self) -> Clock:
        """The clock of this machine."""

    def upstream_now(self) -> datetime:
        """Return the store's time in aware UTC: wall time plus the offset learned from its `Date` headers.

        Use this time for signatures.
        """

    async def reveal(self, source: SecretSource) -> Secret:
        """Read a secret now. Raises `SinkError`, which names the secret's place."""

    @property
    def writer(self) -> str:
        """The random id of the state directory: a store with metadata holds it beside the generation."""

    @property
    def may_take_over(self) -> bool:
        """Whether an admin has decided that this write takes the target over from another writer."""

    def write_id(self, values: Values) -> str:
        """Return 32 hex digits that are equal for all attempts of one write, and new for each write that succeeded."""

    async def exchange(self, request: UpstreamRequest, *, auth: SecretSource | None = None) -> UpstreamReply:
        """Send one HTTP request and return its complete reply, whatever its status. Redirects are not followed.

        With ``auth`` the request carries this credential, in the header of the sink's class (`HttpSinkSettings`); where
        it is another provider's token, that provider's ready headers. A 401 is then reported to the provider, and once
        it has a newer token, the request is sent a second time with that.
        Raises `SinkUnavailableError` if the host cannot be reached or does not answer in time, `SinkError` if no
        acceptable reply arrived. The store may have acted on the request then.
        """

    async def renewed(self, auth: SecretSource) -> bool:
        """Report that the store refused ``auth`` in the last request by another reply than a 401.

        Return whether it is another provider's token and that provider has a newer one now: then the request may be
        sent once more. Where a 403 may also mean a missing right, ask the store first which it is.
        """

    async def run_in_thread(self, call: Callable[[], T]) -> T:
        """Run a blocking call in a thread and return its result; what ``call`` raises is raised here.

        Raises `SinkError` if the call does not end in time. Its thread may still be running then: later calls for the
        same target raise `SinkError` until that thread has ended.
        """

    def keep(self, name: str, facts: Mapping[str, str], *, seconds: float) -> None:
        """Keep public facts of the store for later calls, such as its public key: no secret, no state of the target."""

    def kept(self, name: str) -> Mapping[str, str] | None:
        """Return the facts that were kept under this name; None if there are none, or if their time is over."""

    def lease_of(self, name: str) -> Lease | None:
        """Return another provider's valid lease; None if there is none now."""

    def mark(self, values: Values | None, *, version: str | None = None) -> Mark:
        """Make the mark of the sink's target with these values; None for a target without values of ours."""

    def fingerprint(self, value: Secret) -> str:
        """Make the fingerprint of a token, as leases have it."""


class Destination(Protocol):
    """The properties that every sink has."""

    @property
    def family(self) -> Literal["pushed", "remote", "served"]:
        """The family that the sink belongs to."""

    @property
    def kind(self) -> str:
        """The sink's kind."""

    @property
    def target(self) -> str:
        """The target's name for status and messages: a path, or another name without secrets."""

    @property
    def file_path(self) -> Path | None:
        """The file or socket on this machine that is the target; None for any other target."""

    @property
    def required(self) -> bool:
        """Whether the daemon is ready only if this sink is up to date."""

    def other_tokens(self) -> tuple[str, ...]:
        """Return the names of the other tokens that the content also contains."""


class Sink(Destination, Protocol):
    """A pushed sink: a `SinkSettings` model with these methods.

    The engine makes one call at a time per target. Implementers must not block the loop (use
    `SinkRuntime.run_in_thread`), retry, sleep or log. They raise only `SinkError`, and the target is unchanged then;
    `NewerGenerationError` says that it holds a newer token of ours.
    """

    async def write(self, runtime: SinkRuntime, lease: Lease) -> bool:
        """Make the target hold this token. True if the target changed, False if it held the token already."""

    async def remove(self, runtime: SinkRuntime) -> bool:
        """Remove the token, for ``on_expiry = "remove"``. True if the target held something to remove."""

    async def probe(self, runtime: SinkRuntime) -> None:
        """Raise `SinkError` if a write would fail for a reason that can be seen now (a missing directory, …)."""

    async def announce(self, runtime: SinkRuntime) -> None:
        """Announce a successful change as the settings say: run a command, send a signal, reload a unit.

        The engine runs announcements apart from writes: a call that takes half a minute delays no sink.
        """


class CombiningSink(Sink, Protocol):
    """A pushed sink of several tokens (`other_tokens`): written when one of them changes, while all are valid."""

    async def write_all(self, runtime: SinkRuntime, lease: Lease, others: Mapping[str, Lease]) -> bool:
        """Make the target hold these tokens; ``others`` has the other tokens by name. Returns as `write` does."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference between a target and what it must hold, made by another program.

    ``what`` is the operator's phrase for it. ``found_uid`` is the owner of the target now, None for a target that is
    gone. ``is_foreign``: the target belongs to somebody else, in a place where others may have put it: it must not be
    overwritten. ``content`` is false if only owner, group or mode differ.
    """

    what: str
    found_uid: int | None = None
    is_foreign: bool = False
    content: bool = True


@runtime_checkable
class WatchedSink(Sink, Protocol):
    """A pushed sink whose target other programs can change. The engine looks at it and has it repaired."""

    @property
    def drift(self) -> Literal["repair", "report"]:
        """Whether a changed target is written again, or only reported."""

    def stamp(self) -> object:
        """Return a value that changes with the target: its identity, size, times, owner and mode.

        Blocks: the engine calls it in a thread, for thousands of sinks in a row. It must be cheap, read no content and
        raise nothing.
        """

    def difference(self, lease: Lease, others: Mapping[str, Lease], good: object) -> Difference | None:
        """Compare the target with what it must hold. Blocks. Raises `SinkError` if the target cannot be looked at.

        ``good`` is the stamp of the target when it was last seen right, None if it never was.
        """

    async def repair(self, runtime: SinkRuntime, lease: Lease, others: Mapping[str, Lease], good: object) -> bool:
        """Make the target hold these tokens again. Returns as `write` does; ``good`` as in `difference`."""


@runtime_checkable
class RemarkingSink(Destination, Protocol):
    """A pushed sink that reports what looks wrong with its target, although the token is there."""

    def remarks(self) -> Sequence[StatusWarning]:
        """Return warnings about the target, for the status of its token. Blocks. Raises nothing."""


@runtime_checkable
class GenerationSink(Destination, Protocol):
    """A pushed sink whose target shows the generation of its token."""

    def newer_generation(self, name: str, above: int, fingerprint: Callable[[Secret], str]) -> int | None:
        """Return the generation that the target shows for the token ``name``, if it is above ``above``; else None.

        Blocks. ``fingerprint`` is `SinkRuntime.fingerprint`. A target counts only if nobody but tokend can have written
        it. Raises nothing.
        """


class RemoteSink(Destination, Protocol):
    """A remote sink, one key or several in a store: a `RemoteSinkSettings` model with these methods.

    The engine limits each call to ``timeout`` and keeps the marks. Implementers make one attempt: they must not block
    the loop, retry, sleep, cache or log. They raise only `SinkError`, whose message contains neither a secret nor the
    store's answer.
    """

    @property
    def timeout(self) -> timedelta:
        """The time limit of one write or removal, with all its requests."""

    @property
    def drift(self) -> Literal["repair", "report"]:
        """Whether a value that another writer has changed is written again, or only reported."""

    @property
    def drift_interval(self) -> timedelta | None:
        """How often the store is looked at; None for never."""

    @property
    def min_interval(self) -> timedelta | None:
        """The shortest time between two writes; None for none."""

    @property
    def upstream(self) -> str | None:
        """The ``host:port`` of the store: all sinks of one host pause together. None if the store has no host."""

    @property
    def compares(self) -> bool:
        """Whether a write names the state that it replaces, so that two writers notice each other."""

    @property
    def writes_end(self) -> bool:
        """Whether the store gets the end of the token beside the value."""

    async def content(self, runtime: SinkRuntime, lease: Lease, others: Mapping[str, Lease]) -> Content:
        """Make the wanted content from the token and the other tokens (by name). Sends no request."""

    async def put(self, runtime: SinkRuntime, content: Content, known: Mark | None) -> Mark:
        """Make the target hold ``content``, and change nothing else. Returns the mark of the new state.

        ``known`` is the last mark of the target. None means that the state is unknown: at the first write to a store
        that cannot be read, and after a failure, when the store may or may not have stored the values.
        """

    async def remove(self, runtime: SinkRuntime, known: Mark | None) -> Mark:
        """Remove our values and nothing else. Returns a mark without a digest. Not an error if there is no value."""

    async def inspect(self, runtime: SinkRuntime) -> Mark | None:
        """Read the target and return its mark; None if the store cannot be read back. Changes nothing."""


class ListeningSink(Destination, Protocol):
    """A served sink: a `SinkSettings` model with the socket's path and permissions, and the bytes for a client.

    Implementers must not open the socket: the composition root decides which server serves the sink.
    """

    @property
    def path(self) -> Path:
        """The socket's path."""

    @property
    def mode(self) -> str:
        """The socket's mode, octal."""

    @property
    def owner(self) -> str | None:
        """The socket's owner, a name or a number; None for the daemon's user."""

    @property
    def group(self) -> str | None:
        """The socket's group, a name or a number; None for the daemon's group."""

    def offer(self, lease: Lease) -> bytes:
        """Return the bytes to send to a client."""
