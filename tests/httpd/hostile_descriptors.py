"""Descriptors whose close waits, as a hostile client passes them along."""

import select
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

# Longer than any test waits for an answer; a close that waits ends at the latest when the block of `lingering` does.
LINGER_SECONDS = 60
# A socket that takes nothing for so long takes nothing more.
SETTLED_SECONDS = 0.02
# What honest clients may have to wait for each answer meanwhile on a busy machine: much less than a close takes.
PROMPT_SECONDS = 15.0


@contextmanager
def lingering(number: int = 1) -> Iterator[Sequence[socket.socket]]:
    """Yield TCP sockets with SO_LINGER and unsent data. The last close of each waits until the block ends."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # or it would take all that is sent
        server.bind(("127.0.0.1", 0))
        server.listen(number)
        kept, near = [], []
        for _ in range(number):
            one = socket.create_connection(server.getsockname())
            kept.append(server.accept()[0])
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            one.setblocking(False)
            while select.select([], [one], [], SETTLED_SECONDS)[1]:
                with suppress(BlockingIOError):
                    one.send(bytes(65536))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, LINGER_SECONDS))
            near.append(one)
        try:
            yield near
        finally:
            for one in kept:  # with data unread: a reset ends every wait
                one.close()
            for one in near:
                one.close()


@contextmanager
def slow_parcel() -> Iterator[socket.socket]:
    """Yield a Unix socket that holds a lingering socket unread: who closes it last cannot disarm what it holds."""
    with lingering() as (slow,):
        near, far = socket.socketpair()
        socket.send_fds(near, [b"x"], [slow.fileno()])
        slow.close()
        near.close()
        try:
            yield far
        finally:
            far.close()


def pass_along(path: str, data: bytes, passed: Sequence[socket.socket], *, flags: int = 0) -> socket.socket:
    """Connect and send ``data`` with sockets; our own copies are closed. Returns the connection."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    try:
        client.connect(path)
        socket.send_fds(client, [data], [one.fileno() for one in passed], flags)
    except OSError:
        client.close()
        raise
    for one in passed:
        one.close()
    return client
