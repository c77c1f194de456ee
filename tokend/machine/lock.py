"""Memory-lean lock, for thousands of objects whose users hardly ever meet."""

from types import TracebackType

import anyio


class Lock:
    """Lock in the order of arrival. Its `anyio.Lock` of 700 bytes exists only while a task holds it or waits for it."""

    __slots__ = ("_lock", "_users")

    def __init__(self) -> None:
        self._lock: anyio.Lock | None = None
        self._users = 0

    async def acquire(self) -> None:
        """Acquire the lock."""
        lock = self._lock = self._lock or anyio.Lock()
        self._users += 1
        try:
            await lock.acquire()
        except BaseException:
            self._leave()
            raise

    def release(self) -> None:
        """Release the lock. Only the task that holds the lock may call this."""
        assert self._lock is not None  # noqa: S101  (the caller holds it)
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
