"""Reserved descriptors: a process without free descriptors can still write a token to a file."""

import errno
import functools
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# The most that a function of `files` holds open at a time: a directory, and two while it walks there once more.
KEPT_BACK = 3
# A thread that holds the reserve for longer hangs in a filesystem; other threads must not hang with it.
WAIT_SECONDS = 1.0

_lock = threading.RLock()
_kept: list[int] = []


def with_reserve(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function that may be run again after EMFILE: the second time it gets the reserve.

    The reserve is filled at the first call, when descriptors are free.
    """

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        if not _kept and _lock.acquire(blocking=False):
            try:
                _fill()
            finally:
                _lock.release()
        try:
            return function(*args, **kwargs)
        except OSError as error:
            if error.errno not in {errno.EMFILE, errno.ENFILE} or not _lock.acquire(timeout=WAIT_SECONDS):
                raise
        try:
            while _kept:
                os.close(_kept.pop())
            return function(*args, **kwargs)
        finally:
            _fill()
            _lock.release()

    return wrapped


def _fill() -> None:
    with suppress(OSError):
        while len(_kept) < KEPT_BACK:
            _kept.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
