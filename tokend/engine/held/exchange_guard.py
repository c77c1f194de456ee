"""`ExchangeGuard`: lets nothing cut an exchange of a login, and lets none begin while a person ends the login."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import anyio

from tokend.machine.event import Event
from tokend.values.errors import StoreError, TransientError

LOGGED_OUT = "somebody has logged out meanwhile"


@dataclass(frozen=True, slots=True)
class ExchangeUnderWay:
    """An exchange that must not be cut: whom it asks (``host:port``), its longest time, and how it is cut after all."""

    host: str | None
    timeout_seconds: float
    break_off: Callable[[], None]


class ExchangeGuard:
    """Guard the exchanges of one provider's login."""

    __slots__ = ("_bars", "_ended", "_shield", "logouts")

    def __init__(self) -> None:
        self._shield: anyio.CancelScope | None = None
        # Set when no exchange is under way any more; another one may have begun since.
        self._ended = Event()
        self._bars = 0  # the logouts under way
        self.logouts = 0  # all that have begun

    @property
    def is_under_way(self) -> bool:
        """Whether a byte may have left, and what came of it is not saved."""
        return self._shield is not None

    @contextmanager
    def uncut(self) -> Iterator[None]:
        """Let nothing but `break_off` cancel the block, which is an exchange."""
        try:
            with anyio.CancelScope(shield=True) as self._shield:
                yield
        finally:
            self._shield = None
            ended, self._ended = self._ended, Event()
            ended.set()

    def break_off(self) -> None:
        """Cut the exchange: its answer counts as lost."""
        if self._shield is not None:
            self._shield.cancel()

    async def wait(self) -> None:
        """Return when no exchange is under way."""
        while self.is_under_way:
            await self._ended.wait()

    @asynccontextmanager
    async def barred(self) -> AsyncIterator[None]:
        """Wait for the exchange under way, and let none begin during the block, which ends the login."""
        self._bars += 1
        self.logouts += 1
        try:
            await self.wait()
            yield
        finally:
            self._bars -= 1

    def require_unbarred(self) -> None:
        """Raise `TransientError` while a person ends the login."""
        if self._bars:
            raise TransientError("nothing was sent: a person ends the login", is_sent=False)

    def require_no_logout_since(self, logouts: int) -> None:
        """Raise `StoreError` where somebody logs out, or has done so since `logouts` had this value."""
        if self._bars or logouts != self.logouts:
            raise StoreError(f"{LOGGED_OUT}: log in again")
