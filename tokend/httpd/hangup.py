"""Detection of disconnected clients, without reading from them and without polling."""

import asyncio
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class HangupWatch:
    """Watch connections for a complete disconnect.

    A client that only ended its own half (`shutdown`; systemd does so at once, `nc -N` at the end of its input) still
    waits for the answer. Must be made in the running loop, and closed.
    """

    def __init__(self) -> None:
        # An epoll reports a hang-up also for a descriptor that is watched for nothing else, and the loop can watch the
        # epoll. So thousands of waiting clients cost nothing until one of them disconnects.
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], object]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._epoll.fileno(), self._look)

    def close(self) -> None:
        """Stop watching."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    @contextmanager
    def watched(self, connection: socket.socket, gone: Callable[[], object]) -> Iterator[None]:
        """Call ``gone`` if the client disconnects during the block."""
        descriptor = connection.fileno()
        self._callbacks[descriptor] = gone
        self._epoll.register(descriptor, 0)
        try:
            yield
        finally:
            if self._callbacks.pop(descriptor, None) is not None:
                self._epoll.unregister(descriptor)

    def _look(self) -> None:
        for descriptor, _ in self._epoll.poll(0):
            self._epoll.unregister(descriptor)  # it would be reported for ever
            self._callbacks.pop(descriptor)()
