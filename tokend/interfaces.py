"""The seams: what a provider, an issuer and a sink promise the engine, and what the engine promises the socket.

A plugin implements one of the first three on its settings model. The engine does everything that is the same for
all: waiting, retrying, limits, storing, publishing, logging.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeGuard, runtime_checkable

from tokend.machine.clock import Clock
from tokend.machine.thread_pool import Threads
from tokend.plugin.http_exchange import Reply, Request
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.settings import HeldSettings, OnDemandSettings, ProviderSettings
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.status import ProviderStatus
from tokend.values.tokens import Lease, Token


class Runtime(Protocol):
    """What one provider may use during an attempt. Made by the engine, one per provider."""

    @property
    def clock(self) -> Clock:
        """The time as this machine tells it."""

    @property
    def requests(self) -> int:
        """How many requests were sent so far."""

    def upstream_now(self) -> datetime:
        """Aware UTC as the upstream sees it: wall time plus the offset learned from its `Date` headers.

        Sign with this time. It equals the wall clock until an offset of more than a few seconds was seen.
        """

    async def reveal(self, source: SecretSource) -> Secret:
        """Read a secret now; raises `SecretError`."""

    async def exchange(self, request: Request) -> Reply:
        """Send one HTTP request, return its complete reply whatever its status (redirects are not followed).

        Learns the clock offset from the reply's `Date`. Raises `TransientError` (``repeatable`` for timeouts) where
        no complete, acceptable reply arrived.
        """


@runtime_checkable
class Provider(Protocol):
    """A held kind: a `HeldSettings` model with this method."""

    async def fetch(self, runtime: Runtime, previous: Token | None) -> Token:
        """Make ONE attempt at a fresh token.

        ``previous`` is the token now held for the same account, or None. Implementers must not retry, sleep, cache
        or log. Raises an `AttemptError`; anything else is a bug.
        """


@runtime_checkable
class Inheriting(Protocol):
    """A held kind that may be given a token to begin with (projectx: ``initial_token``)."""

    @property
    def can_renew(self) -> bool:
        """Whether there are credentials at all; without them the token is served until it ends."""

    async def initial(self, runtime: Runtime) -> Token | None:
        """The token given at start, None if there is none or it cannot be used. Makes no request."""


@runtime_checkable
class Issuer(Protocol):
    """An on-demand kind: an `OnDemandSettings` model with these methods."""

    def check(self, parameters: Mapping[str, str]) -> None:
        """Raise `InvalidParametersError` naming every field that can be known to be wrong without a request."""

    async def issue(self, runtime: Runtime, parameters: Mapping[str, str]) -> Token:
        """Make ONE call for ONE token; ``parameters`` have passed `check`. The rules of `Provider.fetch` hold."""


@runtime_checkable
class CallNumbering(Protocol):
    """A kind whose upstream wants a unique id with each call (tt)."""

    def request_id(self) -> str:
        """Make a new id."""


class Destination(Protocol):
    """Where a sink's token goes, whichever way."""

    @property
    def kind(self) -> str:
        """The sink's kind."""

    @property
    def target(self) -> str:
        """Its name for status and messages: a path."""

    @property
    def required(self) -> bool:
        """Whether it counts for readiness."""


class Sink(Destination, Protocol):
    """A place that a token is pushed to: a `SinkSettings` model with these methods. They block; all or nothing.

    They run in a thread, one at a time per target. They must not retry or log, and must leave the target as it was
    when they raise `SinkError`.
    """

    def write(self, lease: Lease) -> bool:
        """Make the target hold this token. True if it changed, False if it held it already."""

    def remove(self) -> bool:
        """Take the token away, as ``on_expiry = "remove"`` asks. True if there was something to take away."""

    def probe(self) -> None:
        """Raise `SinkError` where a write would fail for a reason that can be seen now (missing directory, …)."""

    def announce(self) -> None:
        """Do what the settings ask after a successful change (run a command, send a signal, reload a unit)."""


@runtime_checkable
class CombiningSink(Sink, Protocol):
    """A sink whose content is made of several tokens: it is written when any of them changes, while all are valid."""

    @property
    def tokens(self) -> Sequence[str]:
        """The names of the others."""

    def write_all(self, lease: Lease, others: Mapping[str, Lease]) -> bool:
        """`write` with the others' tokens, by name."""


@runtime_checkable
class ListeningSink(Destination, Protocol):
    """A sink that is asked instead of written to: a `SinkSettings` model that says where, and what a client is sent.

    It opens nothing itself: who serves it is decided by the composition root.
    """

    @property
    def path(self) -> Path:
        """The socket's path."""

    @property
    def mode(self) -> str:
        """Its mode, octal."""

    @property
    def owner(self) -> str | None:
        """Its owner, a name or a number; None for the daemon's user."""

    @property
    def group(self) -> str | None:
        """Its group, a name or a number; None for the daemon's."""

    def offer(self, lease: Lease) -> bytes:
        """What a client is sent."""


class Serve(Protocol):
    """Serve a `ListeningSink`."""

    async def __call__(self, name: str, sink: ListeningSink, listening: Callable[[], None], /) -> None:
        """Serve the token ``name`` until cancelled; ``listening`` is called as soon as clients can connect.

        Raises `SinkError` where that cannot be done, now or not any longer; never returns otherwise.
        """


class Entry(Protocol):
    """One provider as the socket server sees it. The engine's objects; the server never changes them."""

    @property
    def name(self) -> str:
        """The token's name."""

    @property
    def settings(self) -> ProviderSettings:
        """Its settings now: headers and access are taken from here at each answer."""

    @property
    def lease(self) -> Lease | None:
        """The token now held, valid or not. Always None for on-demand kinds. A new object for a new generation."""

    def status(self) -> ProviderStatus:
        """Its status now."""


class Engine(Protocol):
    """What the socket server may ask of the engine.

    Every method that takes a name raises `UnknownTokenError`; access is checked by the caller *before*. All raise
    `ReaderError` subclasses, which carry code, status and retry_at.
    """

    @property
    def clock(self) -> Clock:
        """The time."""

    @property
    def entries(self) -> Mapping[str, Entry]:
        """All providers now, by name. A reload changes the mapping: who waits while reading it takes a copy."""

    async def fresh(self, name: str, min_ttl: float, *, admin: bool) -> Lease:
        """A lease valid for at least ``min_ttl`` more seconds, refreshing first if need be.

        Raises `ThrottledError`, `TokenUnavailableError`, `LoginRequiredError`, `WaitTimeoutError`.
        """

    async def refresh(self, name: str, *, if_generation: int | None, reason: str, admin: bool) -> Lease:
        """Make one attempt now (single flight) and return the lease after it.

        With ``if_generation`` below the current generation: the current lease, without a request; above it:
        `GenerationConflictError`. A failed attempt: `TokenUnavailableError` or `LoginRequiredError`.
        """

    async def issue(self, name: str, parameters: Mapping[str, str]) -> Token:
        """Issue one on-demand token. Raises `InvalidParametersError` and the above."""

    async def request_id(self, name: str) -> str:
        """A new request id; `NotSupportedError` for kinds that need none."""

    async def forget(self, name: str) -> None:
        """Drop the token everywhere (memory, state, files), then log in anew in the background."""

    async def reload(self, *, dry_run: bool) -> Sequence[Mapping[str, str]]:
        """Read the configuration again and apply it; returns the plan. Raises `ConfigError`, nothing changed."""

    def subscribe(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call ``callback(name)`` at each change of a lease or a state; returns how to stop it."""

    @property
    def ready(self) -> bool:
        """Every required token valid and in every required sink."""


Reload = Callable[[bool], Awaitable[Sequence[Mapping[str, str]]]]

_known: dict[tuple[type, type], bool] = {}


def is_inheriting(settings: object) -> TypeGuard[Inheriting]:
    """Tell whether a kind may be given a token to begin with."""
    return _implements(settings, Inheriting)


def is_combining(sink: object) -> TypeGuard[CombiningSink]:
    """Tell whether a sink's content is made of several tokens."""
    return _implements(sink, CombiningSink)


def is_listening(sink: object) -> TypeGuard[ListeningSink]:
    """Tell whether a sink is asked instead of written to."""
    return _implements(sink, ListeningSink)


def _implements(thing: object, protocol: type) -> bool:
    """`isinstance`, once for each class: to ask a protocol takes longer than all else that starting a provider does."""
    known = _known.get((type(thing), protocol))
    if known is None:
        known = _known[type(thing), protocol] = isinstance(thing, protocol)
    return known


__all__ = [
    "CallNumbering",
    "CombiningSink",
    "Destination",
    "Engine",
    "Entry",
    "HeldSettings",
    "Instant",
    "Issuer",
    "ListeningSink",
    "OnDemandSettings",
    "Provider",
    "Runtime",
    "Serve",
    "Sink",
    "Threads",
    "is_combining",
    "is_inheriting",
    "is_listening",
]
