"""Lock of one target: its sinks write one after another, and never while a timed-out thread is still writing."""

from collections.abc import Callable
from typing import TypeVar

from tokend.machine.lock import Lock

T = TypeVar("T")


class TargetLock:
    """The lock of one target, shared by its sinks.

    The sink that is writing holds ``lock``. ``hanging`` is true while a thread is at work on the target, also after the
    thread's time limit.
    """

    __slots__ = ("hanging", "lock")

    def __init__(self) -> None:
        self.lock = Lock()
        self.hanging = False

    def tracked(self, call: Callable[[], T]) -> Callable[[], T]:
        """Return a function that runs ``call`` and sets ``hanging`` while the call runs."""

        def tracked() -> T:
            self.hanging = True
            try:
                return call()
            finally:
                self.hanging = False

        return tracked
