"""The sockets of ``[[sockets]]``: added, changed and removed as the configuration in force has them.

Each is a server of its own in front of the same API. A socket that cannot be made ends nothing: it is tried again.
"""

from collections.abc import Callable, Sequence

import anyio
from anyio.abc import TaskStatus

from tokend.access.socket_scope import SocketScope
from tokend.config import SocketSettings
from tokend.daemon.listeners import reason_of
from tokend.httpd.unix_server import SocketServer
from tokend.httpd.unix_socket import SocketFile
from tokend.machine import logs
from tokend.plugin.kind_bugs import bug_behind

# After this time a socket that could not be made is tried again.
RETRY_SECONDS = 10.0
# A reload waits this long for its sockets.
APPLY_SECONDS = 10.0

# Makes the server of a socket. `SocketFile` is where the socket is, `SocketScope` what it serves.
MakeServer = Callable[[SocketFile, SocketScope], SocketServer]

log = logs.get_logger()


class TokenSocket:
    """One table and its server. ``error`` is why there is no server, for the operator."""

    def __init__(self, settings: SocketSettings) -> None:
        self.settings = settings
        self.server: SocketServer | None = None
        self.error: str | None = None
        self._scope = SocketScope(settings.tokens, settings.admin)

    def is_at(self, settings: SocketSettings) -> bool:
        """Return whether a table is for this socket file, whatever it serves."""
        return _file(settings) == _file(self.settings)

    def follow(self, settings: SocketSettings | None) -> None:
        """Serve what another table of the same file says, also on open connections; None: nothing."""
        if settings is None:
            self._scope.change((), admin=False)
        else:
            self.settings = settings
            self._scope.change(settings.tokens, admin=settings.admin)

    async def start(self, make: MakeServer) -> None:
        """Make the socket and its server, or set ``error``."""
        settings = self.settings
        place = SocketFile(settings.path, mode=int(settings.mode, 8), owner=settings.owner, group=settings.group)
        try:
            server = make(place, self._scope)
            # Whole or not at all: a socket that was bound meanwhile would have nobody who accepts.
            with anyio.CancelScope(shield=True):
                await server.start()
        except Exception as error:
            reason = reason_of(error) if isinstance(error, OSError) else f"a bug: {bug_behind(error)}"
            if reason != self.error:
                log.error("socket.failed", path=str(settings.path), detail=reason)
            self.error = reason
        else:
            self.server, self.error = server, None
            log.info("socket.listening", path=str(settings.path), tokens=", ".join(settings.tokens))

    async def stop_accepting(self) -> None:
        """Remove the socket's file; open connections stay."""
        if self.server is not None:
            await self.server.listener.stop_accepting()

    async def close(self) -> None:
        """Close every connection, after due answers."""
        if self.server is not None:
            await self.server.close()
            log.info("socket.closed", path=str(self.settings.path))

    def row(self) -> dict[str, object]:
        """Serialize the socket for `GET /v1/status`."""
        state = "ok" if self.server is not None else "pending" if self.error is None else "failing"
        one = self.settings
        return {
            "path": str(one.path),
            "tokens": list(one.tokens),
            "admin": one.admin,
            "state": state,
            "error": self.error,
        }


class TokenSockets:
    """All sockets of ``[[sockets]]``. `serve` runs them; `apply` has them follow a configuration."""

    def __init__(self) -> None:
        self._sockets: list[TokenSocket] = []
        self._wanted: tuple[SocketSettings, ...] = ()
        self._news = anyio.Event()
        self._done = anyio.Event()

    async def serve(
        self,
        make: MakeServer,
        wanted: Sequence[SocketSettings],
        *,
        task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until cancelled. Reports to ``task_status`` when each socket was tried once."""
        self._wanted, begun = tuple(wanted), False
        try:
            while True:
                self._news = anyio.Event()
                await self._reconcile(make, self._wanted)
                if not self._news.is_set():
                    self._done.set()
                if not begun:
                    begun = True
                    task_status.started()
                failing = any(one.server is None for one in self._sockets)
                with anyio.move_on_after(RETRY_SECONDS if failing else None):
                    await self._news.wait()
        finally:
            with anyio.CancelScope(shield=True):
                await _close(self._sockets)

    async def apply(self, wanted: Sequence[SocketSettings]) -> None:
        """Serve the sockets of a new configuration; returns when they listen, or were tried for `APPLY_SECONDS`.

        What a socket serves changes before anything is awaited, also for its open connections.
        """
        if tuple(wanted) == self._wanted:
            return
        self._wanted = tuple(wanted)
        for one in self._sockets:
            one.follow(next((settings for settings in wanted if one.is_at(settings)), None))
        self._done = anyio.Event()
        self._news.set()
        with anyio.move_on_after(APPLY_SECONDS):
            await self._done.wait()

    def rows(self) -> list[dict[str, object]]:
        """Return the status of each socket, in the order of the configuration."""
        return [one.row() for one in self._sockets]

    async def _reconcile(self, make: MakeServer, wanted: Sequence[SocketSettings]) -> None:
        """Remove the sockets that are not wanted, and make those that are missing."""
        gone = [one for one in self._sockets if not any(one.is_at(settings) for settings in wanted)]
        for one in gone:
            await one.stop_accepting()
        known = {_file(one.settings): one for one in self._sockets if one not in gone}
        self._sockets = [known.get(_file(settings)) or TokenSocket(settings) for settings in wanted]
        for one in self._sockets:
            if one.server is None:
                await one.start(make)
        await _close(gone)


async def _close(sockets: Sequence[TokenSocket]) -> None:
    async with anyio.create_task_group() as tasks:
        for one in sockets:
            tasks.start_soon(one.close)


def _file(settings: SocketSettings) -> tuple[object, ...]:
    return settings.path, settings.mode, settings.owner, settings.group
