"""Imports that wait for their first use, away from the event loop: reading modules may wait for a disk."""

import sys
import threading
from collections.abc import Callable
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Generic, TypeVar

from tokend.machine.thread_pool import ThreadPool

T = TypeVar("T")

# Larger than any import takes on a slow machine.
IMPORT_SECONDS = 60.0

_importing = threading.RLock()
_this_thread = threading.local()


async def import_away(name: str) -> None:
    """Import a module in a thread of its own, unless it is imported already."""
    if name not in sys.modules:
        await run_away(partial(import_alone, name))


def import_alone(name: str) -> ModuleType:
    """Import a module while no other thread imports one by this function. Blocks.

    An import that a thread beside the loop's may be the first to make goes through here. Otherwise Python raises
    `_DeadlockError` in one of two threads of which one imports a package and the other a module in it, as happens with
    `importlib.resources`, which many libraries use.
    """
    if getattr(_this_thread, "is_limited", False):
        return import_module(name)  # the thread that waits for this one has the lock
    with _importing:
        return import_module(name)


class NotImportedError(Exception):
    """An import has not ended in time, and goes on; or it could not begin."""


class LimitedImport(threading.Thread, Generic[T]):
    """A call that imports modules of others, in a thread of its own, which nobody waits for without a limit.

    The thread ends with the process. A call that does not end in time goes on: ``is_late`` then. `wait` may be called
    again.
    """

    def __init__(self, call: Callable[[], T]) -> None:
        super().__init__(name="tokend import", daemon=True)
        self._call = call
        self._result: T
        self._error: BaseException | None = None
        self._limit = 0.0
        self.is_late = False

    def run(self) -> None:
        """Run the call, in the thread."""
        _this_thread.is_limited = True
        try:
            self._result = self._call()
        except BaseException as error:
            self._error = error

    def wait(self, seconds: float) -> T:
        """Start the call unless it runs, and return its result, or raise its error. Blocks.

        No other thread imports by `import_alone` meanwhile; after that time others do beside it. Raises
        `NotImportedError` after ``seconds``, and where the machine has no thread.
        """
        with _importing:
            if self.ident is None:
                try:
                    self.start()
                except RuntimeError as error:
                    raise NotImportedError(f"no thread can be started: {error}") from None
            self.join(seconds)
        if self.is_alive():
            self.is_late, self._limit = True, max(seconds, self._limit)
            raise NotImportedError(f"its import has not ended after {self._limit:g} s")
        if self._error is not None:
            raise self._error
        return self._result


async def run_away(call: Callable[[], T]) -> T:
    """Run a call that imports modules in a thread of its own."""
    return await ThreadPool(1).run(call, seconds=IMPORT_SECONDS)
