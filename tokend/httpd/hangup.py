"""Notice that a waiting client has gone, without reading a byte of it and without looking at it time and again."""

import asyncio
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class HangupWatch:
    """Watch connections for their clients' complete departure.

    Who has only ended its own half (`shutdown`, which systemd does at once and `nc -N` at the end of its input) still
    waits for ours. Must be made in the running loop, and closed.
    """

    def __init__(self) -> None:
        # An epoll reports a hang-up also for a descriptor that is watched for nothing else; and it can itself be
        # watched by the loop. So thousands of waiting clients cost nothing until one of them goes.
        self._epoll = select.epoll()
        self._told: dict[int, Callable[[], object]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._epoll.fileno(), self._look)

    def close(self) -> None:
        """Watch no longer."""
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    @contextmanager
    def watched(self, connection: socket.socket, gone: Callable[[], object]) -> Iterator[None]:
        """Call ``gone`` if the client goes while the block lasts."""
        descriptor = connection.fileno()
        self._told[descriptor] = gone
        self._epoll.register(descriptor, 0)
        try:
            yield
        finally:
            if self._told.pop(descriptor, None) is not None:
                self._epoll.unregister(descriptor)

    def _look(self) -> None:
        for descriptor, _ in self._epoll.poll(0):
            self._epoll.unregister(descriptor)  # it would be reported for ever
            self._told.pop(descriptor)()
