"""The interface of a provider kind, and the runtime that it is given for one attempt."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol, TypeGuard, runtime_checkable

from tokend.machine.clock import Clock
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.protocol_check import implements
from tokend.plugin.secret_source import SecretSource
from tokend.values.secret import Secret
from tokend.values.tokens import Token


class Runtime(Protocol):
    """What one provider may use during an attempt. Made by the engine, one per provider."""

    @property
    def clock(self) -> Clock:
        """The time of this machine."""

    @property
    def requests(self) -> int:
        """How many requests were sent so far."""

    def upstream_now(self) -> datetime:
        """Aware UTC as the upstream sees it: wall time plus the offset learned from its `Date` headers.

        Sign with this time. It equals the wall clock until an offset of more than a few seconds was seen.
        """

    async def reveal(self, source: SecretSource) -> Secret:
        """Read a secret now; raises `SecretError`."""

    async def exchange(self, request: UpstreamRequest) -> UpstreamReply:
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
    """A held kind that may be given a token to begin with."""

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
class RequestNumbering(Protocol):
    """A kind whose upstream wants a unique id with each call (tt)."""

    def request_id(self) -> str:
        """Make a new id."""


def is_inheriting(settings: object) -> TypeGuard[Inheriting]:
    """Return whether a kind may be given a token to begin with."""
    return implements(settings, Inheriting)
