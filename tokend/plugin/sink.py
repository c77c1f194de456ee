"""The interfaces of the three families of sinks, and the runtime that a sink is given for one call.

A *pushed* sink is written to (files), a *remote* sink is a key in somebody else's store, a *served* sink is asked (a
socket). A sink makes one attempt. Retries, backoff, order, logs and status belong to `engine.publishing`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol, TypeAlias, TypeVar

from tokend.machine.clock import Clock
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.secret_source import SecretSource
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.tokens import Lease

T = TypeVar("T")

Values: TypeAlias = Secret | Mapping[str, Secret]
"""One value, or several by key for a store that keeps several keys in one object."""


@dataclass(frozen=True, slots=True)
class Content:
    """The wanted content of a remote target. Its repr shows no secret.

    ``generation`` is that of the sink's own token. ``expires_at`` is the earliest end of the tokens in it, None if
    none of them ends.
    """

    values: Values
    generation: int
    expires_at: Instant | None


@dataclass(frozen=True, slots=True)
class Mark:
    """What may be remembered of a remote target: no secret, and nothing that a secret could be guessed from.

    ``digest`` is keyed with the salt of the state directory, over target and values; None means that the target holds
    nothing of ours. ``version`` is the store's own name for that state, None where the store has none.
    """

    digest: str | None
    version: str | None = None


class SinkRuntime(Protocol):
    """What a sink may use during one call. Its methods raise only `SinkError`, besides what a given call raises."""

    @property
    def clock(self) -> Clock:
        """The time of this machine."""

    async def reveal(self, source: SecretSource) -> Secret:
        """Read a secret now. Raises `SinkError` naming the secret's place."""

    async def exchange(self, request: UpstreamRequest) -> UpstreamReply:
        """Send one HTTP request and return its complete reply, whatever its status; redirects are not followed.

        Raises `SinkError` where no complete, acceptable reply arrived. The request may have had its effect then.
        """

    async def run_in_thread(self, call: Callable[[], T]) -> T:
        """Run a blocking call in a thread and return its result; what ``call`` raises is raised here.

        Raises `SinkError` where the call does not end in time. Its thread may still be at work then: later calls for
        the same target raise `SinkError` until that thread has ended.
        """

    def lease_of(self, name: str) -> Lease | None:
        """Return another provider's valid lease; None if there is none now."""

    def mark(self, values: Values | None, *, version: str | None = None) -> Mark:
        """Make the mark of these values in the sink's own target; None stands for a target without our values."""


class Destination(Protocol):
    """What every sink says about itself."""

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
        """Whether the sink counts for readiness."""

    def other_tokens(self) -> tuple[str, ...]:
        """The names of the other tokens that the content is made of."""


class Sink(Destination, Protocol):
    """A pushed sink: a `SinkSettings` model with these methods. Each is all or nothing.

    The engine makes one call at a time per target. Implementers must not block the loop (`SinkRuntime.run_in_thread`),
    retry, sleep or log. They raise only `SinkError`, and the target is unchanged then.
    """

    async def write(self, runtime: SinkRuntime, lease: Lease) -> bool:
        """Make the target hold this token. True if the target changed, False if it held the token already."""

    async def remove(self, runtime: SinkRuntime) -> bool:
        """Take the token away, as ``on_expiry = "remove"`` asks. True if there was something to take away."""

    async def probe(self, runtime: SinkRuntime) -> None:
        """Raise `SinkError` where a write would fail for a reason that can be seen now (missing directory, …)."""

    async def announce(self, runtime: SinkRuntime) -> None:
        """Do what the settings ask after a successful change (run a command, send a signal, reload a unit).

        Runs apart from the writes: a call that takes half a minute delays no sink.
        """


class CombiningSink(Sink, Protocol):
    """A pushed sink with `Destination.other_tokens`: it is written when any of them changes, while all are valid."""

    async def write_all(self, runtime: SinkRuntime, lease: Lease, others: Mapping[str, Lease]) -> bool:
        """Do what `write` does, with the other tokens by name."""


class RemoteSink(Destination, Protocol):
    """A key, or several, in a store: a `RemoteSinkSettings` model with these methods. One attempt each.

    The engine awaits each under ``timeout`` and remembers the marks. Implementers must not block the loop, retry,
    sleep, cache or log. They raise only `SinkError`; its message holds neither a secret nor the store's answer.
    """

    @property
    def timeout(self) -> timedelta:
        """The longest time that one write or removal may take, with all its requests."""

    async def content(self, runtime: SinkRuntime, lease: Lease, others: Mapping[str, Lease]) -> Content:
        """Make the wanted content of the token and of the other tokens, by name. Sends no request."""

    async def put(self, runtime: SinkRuntime, content: Content, known: Mark | None) -> Mark:
        """Make the target hold ``content``, and nothing else change. Returns the mark of the new state.

        ``known`` is the last mark of the target, None where nothing is known: at the first write to a store that
        cannot be read, and after a failure, when the store may or may not hold what was sent.
        """

    async def remove(self, runtime: SinkRuntime, known: Mark | None) -> Mark:
        """Take our values away, and nobody else's. Returns a mark without a digest. No error where nothing is there."""

    async def inspect(self, runtime: SinkRuntime) -> Mark | None:
        """Read the target and return its mark; None where the store cannot be read back. Changes nothing."""


class ListeningSink(Destination, Protocol):
    """A served sink: a `SinkSettings` model that says where clients connect, and what a client is sent.

    It opens nothing itself: the composition root decides which server serves it.
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
        """Return what a client is sent."""
