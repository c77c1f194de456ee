"""Notice that files changed: quickly by inotify, surely by looking at them every few seconds.

Directories are watched, never files: editors rename, Kubernetes swaps a link, sed makes a new inode. Where inotify
cannot be had (no watches left, a network filesystem) the looking alone remains.
"""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

import anyio
import watchfiles

from tokend.logs import get_logger

# docs/promises.md 85: noticed within 5 s, also without inotify.
LOOK_SECONDS = 4.0
# Editors write several times in a row; one look after the last is enough.
DEBOUNCE_MILLISECONDS = 50
# The listening thread cannot be interrupted: so long it may delay our end.
THREAD_MILLISECONDS = 300
LARGEST_FILE_BYTES = 16 * 1024 * 1024

log = get_logger()


class FileWatch:
    """Watch the files that ``paths()`` names, asked anew at each look.

    A directory among them stands for the names in it.
    """

    def __init__(self, paths: Callable[[], Iterable[Path]]) -> None:
        self._paths = paths
        self._seen = {path: _digest(path) for path in paths()}
        self._nudge = anyio.Event()

    async def changes(self) -> AsyncIterator[set[Path]]:
        """Give each set of paths whose content changed, appeared or vanished. Runs until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen)
            while True:
                self._nudge = anyio.Event()
                if changed := self._look():
                    yield changed
                with anyio.move_on_after(LOOK_SECONDS):
                    await self._nudge.wait()

    def _look(self) -> set[Path]:
        now = {path: _digest(path) for path in self._paths()}
        changed = {path for path, digest in now.items() if path in self._seen and self._seen[path] != digest}
        self._seen = now
        return changed

    async def _listen(self) -> None:
        """Turn inotify events into looks. Listens anew when the set of directories changes."""
        while True:
            directories = self._directories()
            stop = anyio.Event()
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._end_when_moved, directories, stop)
                    since_begin = 0
                    async for changes in watchfiles.awatch(
                        *directories,
                        recursive=False,
                        debounce=DEBOUNCE_MILLISECONDS,
                        step=DEBOUNCE_MILLISECONDS // 2,
                        rust_timeout=THREAD_MILLISECONDS,
                        yield_on_timeout=True,
                        stop_event=stop,
                        watch_filter=None,
                    ):
                        # The first silence is looked at too: something may have changed before listening began.
                        if changes or not since_begin:
                            self._nudge.set()
                        since_begin += 1
                    tasks.cancel_scope.cancel()
            except (OSError, RuntimeError) as error:
                log.debug("watch.polling", detail=f"inotify is not to be had: {type(error).__name__}")
                await anyio.sleep(60)

    async def _end_when_moved(self, directories: set[Path], stop: anyio.Event) -> None:
        while self._directories() == directories:  # noqa: ASYNC110  (no event tells that a directory was replaced)
            await anyio.sleep(LOOK_SECONDS)
        stop.set()

    def _directories(self) -> set[Path]:
        return {parent for path in self._paths() if (parent := path if path.is_dir() else path.parent).is_dir()}


def _digest(path: Path) -> bytes | None:
    """Fingerprint a file's content, or a directory's names; None if it is not there."""
    try:
        if path.is_dir():
            return hashlib.sha256("\0".join(sorted(entry.name for entry in path.iterdir())).encode()).digest()
        with path.open("rb") as file:
            return hashlib.sha256(file.read(LARGEST_FILE_BYTES)).digest()
    except OSError:
        return None
