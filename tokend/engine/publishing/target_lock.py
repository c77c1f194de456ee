"""The lock of one target: sinks on one target write one after another, and not beside a thread that was given up."""

from collections.abc import Callable
from typing import TypeVar

from tokend.machine.lock import Lock

T = TypeVar("T")


class TargetLock:
    """``lock`` is held by the sink that is writing; ``hanging`` is true while a thread is at work in the target."""

    __slots__ = ("hanging", "lock")

    def __init__(self) -> None:
        self.lock = Lock()
        self.hanging = False

    def tracked(self, call: Callable[[], T]) -> Callable[[], T]:
        """Wrap ``call`` so that the target counts as hanging for as long as the call's thread is in it."""

        def tracked() -> T:
            self.hanging = True
            try:
                return call()
            finally:
                self.hanging = False

        return tracked
