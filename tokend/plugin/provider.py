"""Interfaces of provider kinds, and of the runtime that a provider gets for its attempts."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol, TypeGuard, TypeVar, runtime_checkable

from tokend.machine.clock import Clock
from tokend.machine.command import EndedCommand
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.protocol_check import implements
from tokend.plugin.secret_source import SecretSource
from tokend.values.secret import Secret
from tokend.values.tokens import Token

T = TypeVar("T")


class Runtime(Protocol):
    """The services that a provider may use during an attempt. The engine makes one runtime per provider."""

    @property
    def clock(self) -> Clock:
        """The clock of this machine."""

    @property
    def requests(self) -> int:
        """The number of requests sent so far."""

    def upstream_now(self) -> datetime:
        """Return the upstream's time in aware UTC: wall time plus the offset learned from its `Date` headers.

        Use this time for signatures. It equals the wall clock until an offset of more than a few seconds was seen.
        """

    async def reveal(self, source: SecretSource) -> Secret:
        """Read a secret now. Raises `SecretError`, which names the secret's place."""

    async def exchange(self, request: UpstreamRequest) -> UpstreamReply:
        """Send one HTTP request and return its complete reply, whatever its status. Redirects are not followed.

        Learns the clock offset from the reply's `Date`. Raises `TransientError` (``repeatable`` for timeouts) if no
        complete, acceptable reply arrived.
        """

    async def run_in_thread(self, call: Callable[[], T], *, seconds: float) -> T:
        """Run a short blocking call, such as the reading of a file, in a thread. Raises what the call raises.

        After ``seconds``, and where no thread can be had, raises TimeoutError, perhaps with a message; a call that runs
        then is abandoned.
        """

    async def run_command(
        self, argv: Sequence[str], added: Mapping[str, Secret], *, seconds: float, output_limit: int
    ) -> EndedCommand:
        """Run a program without a shell; its environment is a clean one (`secret_reading.PASSED_ON`) and ``added``.

        Its output has at most one byte more than ``output_limit``. A program that is out of time, or that prints more,
        is killed with its process group. Raises `UnsafePathError` for a program that somebody else could change,
        TimeoutError, and OSError or ValueError for one that cannot be started.
        """


class ConnectedRuntime(Runtime, Protocol):
    """The runtime of what makes several exchanges in a row."""

    def connected(self) -> AbstractAsyncContextManager[None]:
        """Keep the connection between the exchanges of the block, which are made one after another."""


@runtime_checkable
class Provider(Protocol):
    """A held kind: a `HeldSettings` model with this method."""

    async def fetch(self, runtime: Runtime, previous: Token | None) -> Token:
        """Make ONE attempt to get a fresh token.

        ``previous`` is the token now held for the same account, or None. Implementers must not retry, sleep, cache
        or log. Raises an `AttemptError`; any other exception is a bug.
        """


@runtime_checkable
class WithInitialToken(Protocol):
    """A held kind that may be configured with an initial token."""

    @property
    def can_renew(self) -> bool:
        """Whether credentials are configured. Without credentials the initial token is served until it ends.

        `fetch` is called without credentials, too, once no valid token is held: it raises `RejectedError` and says why.
        """

    async def initial(self, runtime: Runtime) -> Token | None:
        """Return the initial token, None if there is none. Raises `SecretError` if it cannot be used. No request."""


@runtime_checkable
class WithServerCheck(Protocol):
    """A held kind whose server says what it is, without credentials."""

    async def check_server(self, runtime: Runtime) -> str | None:
        """Compare what the server says of itself with the settings, for ``tokend check --probe``.

        Sends no secret. Returns what agrees, None if there is nothing to ask. Raises an `AttemptError`.
        """


@runtime_checkable
class Issuer(Protocol):
    """An on-demand kind: an `OnDemandSettings` model with these methods."""

    def check(self, parameters: Mapping[str, str]) -> None:
        """Check the parameters without a request. Raises `InvalidParametersError`, which names every wrong field."""

    async def issue(self, runtime: Runtime, parameters: Mapping[str, str]) -> Token:
        """Make ONE attempt to get ONE token. ``parameters`` have passed `check`. The rules of `Provider.fetch` hold."""


@runtime_checkable
class RequestIdMaker(Protocol):
    """A kind whose upstream requires a unique id in each request (tt).

    Its class attribute ``request_id_parameter`` names the query parameter: `TokendAuth` sets it.
    """

    def request_id(self) -> str:
        """Make a new id."""


def checks_server(settings: object) -> TypeGuard[WithServerCheck]:
    """Return whether the server of these settings says what it is."""
    return implements(settings, WithServerCheck)


def takes_initial_token(settings: object) -> TypeGuard[WithInitialToken]:
    """Return whether the kind of these settings may be configured with an initial token."""
    return implements(settings, WithInitialToken)
