"""A lock for those of which there are thousands, and which hardly ever meet two at a time."""

from types import TracebackType

import anyio


class Lock:
    """`anyio.Lock` in the order of arrival, but there is one only while somebody holds it: each takes 700 bytes."""

    __slots__ = ("_lock", "_users")

    def __init__(self) -> None:
        self._lock: anyio.Lock | None = None
        self._users = 0

    async def acquire(self) -> None:
        """Wait until nobody holds it, and hold it."""
        lock = self._lock = self._lock or anyio.Lock()
        self._users += 1
        try:
            await lock.acquire()
        except BaseException:
            self._leave()
            raise

    def release(self) -> None:
        """Let the next one have it; must be called by the task that holds it."""
        assert self._lock is not None  # noqa: S101  (somebody holds it)
        self._lock.release()
        self._leave()

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def _leave(self) -> None:
        self._users -= 1
        if not self._users:
            self._lock = None
