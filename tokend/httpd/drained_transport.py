"""A stream transport for connections on which descriptors may be passed.

The loop's own transports read with read(2), which closes passed descriptors in the loop's thread. This one reads with
`DrainedSocket.recv`.
"""

import asyncio
import socket
from typing import Any

from tokend.httpd.passed_descriptors import DrainedSocket

_PIECE_BYTES = 65536
# Above the first number of unsent bytes the protocol is asked to pause, below the second to go on; as in asyncio.
_HIGH_BYTES, _LOW_BYTES = 64 * 1024, 16 * 1024


class DrainedTransport(asyncio.Transport):
    """The transport of one accepted connection. Calls `connection_made` at once."""

    def __init__(self, sock: DrainedSocket, protocol: asyncio.Protocol) -> None:
        super().__init__({"socket": sock})
        self._loop = asyncio.get_running_loop()
        self._sock, self._protocol = sock, protocol
        self._unsent = bytearray()
        self._closing = self._aborted = self._lost = False
        self._paused = self._reading = self._client_ended = self._ends = False
        self.resume_reading()
        protocol.connection_made(self)

    # -------------------------------------------------------------- what the protocol calls

    def is_closing(self) -> bool:
        """Return whether `close` or `abort` was called, or the connection is lost."""
        return self._closing

    def pause_reading(self) -> None:
        """Call `data_received` no more."""
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._sock)

    def resume_reading(self) -> None:
        """Call `data_received` again."""
        if not (self._reading or self._closing or self._client_ended):
            self._reading = True
            self._loop.add_reader(self._sock, self._read)

    def write(self, data: Any) -> None:
        """Send, or keep what cannot be sent now."""
        if self._aborted or not data:
            return
        rest = memoryview(data)
        if not self._unsent:
            rest = rest[self._send(rest) :]
            if self._aborted or not rest:
                return
            self._loop.add_writer(self._sock, self._write_on)
        self._unsent += rest
        if len(self._unsent) > _HIGH_BYTES and not self._paused:
            self._paused = True
            self._protocol.pause_writing()

    def can_write_eof(self) -> bool:
        """Return True: a Unix socket has two halves."""
        return True

    def write_eof(self) -> None:
        """End our half as soon as everything is sent."""
        self._ends = True
        if not self._unsent:
            self._end_half()

    def close(self) -> None:
        """Close as soon as everything is sent."""
        if not self._closing:
            self._closing = True
            self.pause_reading()
            if not self._unsent:
                self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        """Close now."""
        self._abort(None)

    # -------------------------------------------------------------- what the loop calls

    def _read(self) -> None:
        try:
            data = self._sock.recv(_PIECE_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._abort(error)
            return
        if data:
            self._protocol.data_received(data)
            return
        self._client_ended = True
        self.pause_reading()
        if not self._protocol.eof_received():
            self.close()

    def _write_on(self) -> None:
        del self._unsent[: self._send(self._unsent)]
        if self._aborted:
            return
        if self._paused and len(self._unsent) <= _LOW_BYTES:
            self._paused = False
            self._protocol.resume_writing()
        if not self._unsent:
            self._loop.remove_writer(self._sock)
            if self._closing:
                self._lose(None)
            elif self._ends:
                self._end_half()

    # -------------------------------------------------------------- parts

    def _send(self, data: "memoryview | bytearray") -> int:
        try:
            return self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            self._abort(error)
            return 0

    def _end_half(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._abort(error)

    def _abort(self, error: OSError | None) -> None:
        if not (self._aborted or self._lost):
            self._closing = self._aborted = True
            self.pause_reading()
            if self._unsent:
                self._unsent.clear()
                self._loop.remove_writer(self._sock)
            self._loop.call_soon(self._lose, error)

    def _lose(self, error: OSError | None) -> None:
        if self._lost:
            return
        self._lost = self._aborted = True
        try:
            self._protocol.connection_lost(error)
        finally:
            self._sock.close()
