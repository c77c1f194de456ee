"""The daemon's own listeners: tokend.sock, credentials.sock, the loopback port. None of them ends the daemon.

A listener that cannot be made is an error in the status and in the log, and is tried again: the path or the port may be
another user's for now, a group may not be known yet. Everything else goes on.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import anyio
import structlog
from anyio.abc import TaskStatus

# After this time a listener that could not be made is tried again.
RETRY_SECONDS = 5.0


class Server(Protocol):
    """A server of the daemon."""

    async def start(self) -> None:
        """Listen. Raises OSError, with a text for the operator; nothing is left behind then."""

    async def close(self) -> None:
        """Close every connection, after due answers."""


class OwnListener:
    """One listener. ``error`` is why nobody can connect, for the operator; ``state`` is pending before the first try.

    ``make`` returns a new server for each try; None for a listener that is made elsewhere and only reported here.
    """

    def __init__(self, name: str, address: str, make: Callable[[], Server] | None) -> None:
        self.name, self.address, self.make = name, address, make
        self.state = "pending"
        self.error: str | None = None
        self.server: Server | None = None

    def report(self, error: OSError | None) -> bool:
        """Record the outcome of a try, and log it if it is new. Returns whether it is."""
        before = self.state, self.error
        self.state, self.error = ("ok", None) if error is None else ("failing", reason_of(error))
        if (self.state, self.error) == before:
            return False
        log = structlog.get_logger("tokend.api")
        if error is not None:
            log.error("listener.failed", listener=self.name, address=self.address, detail=self.error)
        elif before[0] == "failing":
            log.info("listener.recovered", listener=self.name, address=self.address)
        return True

    async def start(self) -> OSError | None:
        """Make the server. Returns the error if it cannot be made."""
        if self.make is None or self.server is not None:
            return None
        server = self.make()
        try:
            await server.start()
        except OSError as error:
            return error
        self.server = server
        return None

    def row(self) -> dict[str, object]:
        """Serialize the listener for `GET /v1/status`."""
        return {"name": self.name, "address": self.address, "state": self.state, "error": self.error}


class Listeners:
    """All listeners of a daemon. `serve` makes them and keeps trying; `close` ends their servers."""

    def __init__(self) -> None:
        self._all: list[OwnListener] = []
        self._subscribers: list[Callable[[], None]] = []

    def add(
        self, name: str, address: str, make: Callable[[], Server] | None = None
    ) -> Callable[[OSError | None], None]:
        """Add a listener before `serve`; without ``make``, the returned function is to be called with each outcome."""
        one = OwnListener(name, address, make)
        self._all.append(one)
        return lambda error: self._note(one, error)

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` whenever the state of a listener has changed."""
        self._subscribers.append(callback)

    def rows(self) -> Sequence[dict[str, object]]:
        """Return the state of each listener."""
        return [one.row() for one in self._all]

    def is_made(self, name: str) -> bool:
        """Return whether clients can connect to a listener."""
        return all(one.error is None for one in self._all if one.name == name)

    def troubles(self) -> Sequence[str]:
        """Return a sentence for each listener that nobody can connect to."""
        return [f"{one.name}: {one.error}" for one in self._all if one.error is not None]

    async def serve(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Make each listener; try those again that fail. Reports to ``task_status`` when each was tried once."""
        begun = False
        while True:
            for one in self._all:
                if one.make is not None and one.server is None:
                    # Whole or not at all: a socket that was bound meanwhile would have nobody who accepts.
                    with anyio.CancelScope(shield=True):
                        self._note(one, await one.start())
            if not begun:
                begun = True
                task_status.started()
            if all(one.make is None or one.server is not None for one in self._all):
                await anyio.sleep_forever()
            await anyio.sleep(RETRY_SECONDS)

    async def close(self) -> None:
        """Close the servers, the last one first: due answers are sent, although everything else is cancelled."""
        with anyio.CancelScope(shield=True):
            for one in reversed(self._all):
                if one.server is not None:
                    await one.server.close()

    def _note(self, one: OwnListener, error: OSError | None) -> None:
        if one.report(error):
            for callback in self._subscribers:
                callback()


def reason_of(error: OSError) -> str:
    """Return why a socket cannot be made, for the operator: what is concerned, and the reason."""
    if error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return error.strerror or str(error)
