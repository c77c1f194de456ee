"""The interface between the engine and the servers that answer readers."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from tokend.machine.clock import Clock
from tokend.plugin.settings import ProviderSettings
from tokend.plugin.sink import ListeningSink
from tokend.values.status import ProviderStatus, SinkStatus
from tokend.values.tokens import Lease, Token


class Serve(Protocol):
    """Serve a `ListeningSink`."""

    async def __call__(self, name: str, sink: ListeningSink, listening: Callable[[], None], /) -> None:
        """Serve the token ``name`` until cancelled; ``listening`` is called as soon as clients can connect.

        Raises `SinkError` where that cannot be done, now or not any longer; never returns otherwise.
        """


class SinkReport(Protocol):
    """The sinks of one provider, as the provider sees them."""

    def statuses(self) -> tuple[SinkStatus, ...]:
        """Return the status of each sink, in the order of the configuration."""

    def hold(self, lease: Lease | None) -> bool:
        """Return whether every required sink holds this lease."""


class Entry(Protocol):
    """One provider as the servers see it. The engine's objects; the servers never change them."""

    @property
    def name(self) -> str:
        """The token's name."""

    @property
    def settings(self) -> ProviderSettings:
        """Its settings now: headers and access are taken from here at each answer."""

    @property
    def is_on_demand(self) -> bool:
        """Whether tokens are issued per query, and none is held."""

    @property
    def lease(self) -> Lease | None:
        """The token now held, valid or not. Always None for on-demand kinds. A new object for a new generation."""

    def status(self) -> ProviderStatus:
        """Return its status now."""


class Engine(Protocol):
    """The engine as the servers see it.

    Every method that takes a name raises `UnknownTokenError`; access is checked by the caller *before*. All raise
    `ReaderError` subclasses, which carry code, status and retry_at.
    """

    @property
    def clock(self) -> Clock:
        """The time."""

    @property
    def entries(self) -> Mapping[str, Entry]:
        """All providers now, by name. A reload changes the mapping: take a copy before awaiting anything."""

    async def fresh(self, name: str, min_ttl: float, *, admin: bool) -> Lease:
        """Return a lease valid for at least ``min_ttl`` more seconds, refreshing first if need be.

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
        """Make a request id; raises `NotSupportedError` for kinds that need none."""

    async def forget(self, name: str) -> None:
        """Drop the token everywhere (memory, state, files), then make an attempt in the background."""

    async def reload(self, *, dry_run: bool) -> Sequence[Mapping[str, str]]:
        """Read the configuration again and apply it; return the plan. Raises `ConfigError`; nothing changed then."""

    def subscribe(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call ``callback(name)`` at each change of a lease or a state; return a function that stops that."""

    @property
    def ready(self) -> bool:
        """Every required token valid and in every required sink."""


Reload = Callable[[bool], Awaitable[Sequence[Mapping[str, str]]]]
