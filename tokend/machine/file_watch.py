"""Notice that files changed: quickly by inotify, surely by looking at them every few seconds.

Directories are watched, never files: editors rename, Kubernetes swaps a link, sed makes a new inode. Where inotify
cannot be had (no watches left, a network filesystem) the looking alone remains.
"""

import hashlib
import os
import stat
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import anyio
import watchfiles

from tokend.machine.logs import get_logger
from tokend.machine.thread_pool import ThreadPool

# docs/promises.md 85: noticed within 5 s, also without inotify; the rest is for reading and applying.
LOOK_SECONDS = 3.0
# Editors write several times in a row; one look after the last is enough.
DEBOUNCE_MILLISECONDS = 50
# The listening thread cannot be interrupted: so long it may delay our end.
THREAD_MILLISECONDS = 300
# After inotify was refused. There is no hurry: the looking goes on.
LISTEN_AGAIN_SECONDS = 60.0
# One that reads inotify's descriptor and one that waits for the first. Where the first cannot be started, watchfiles
# does not say so: it aborts the whole process.
LISTENING_THREADS = 2
# A file on a disk that hangs must not hold the loop, nor the look at all the others for ever.
READ_SECONDS = 10.0
LARGEST_FILE_BYTES = 16 * 1024 * 1024
# So many files are read at each look, whatever stat(2) says of them: some filesystems answer from a cache, and a clock
# tick has room for two writes. Of ten thousand the others are read when it says that they changed, or when it is their
# turn: to read them all every three seconds takes a tenth of a core.
READS = 200
# What looking may take of a core: of more than some ten thousand files it is done less often than every few seconds.
LOOK_SHARE = 0.005

log = get_logger()


@dataclass(frozen=True, slots=True)
class _Seen:
    """A file as it was: what stat(2) said of it (None: it was not there), and its content's fingerprint."""

    stamp: tuple[int, ...] | None
    digest: bytes | None
    is_directory: bool


_ABSENT = _Seen(None, None, False)


class FileWatch:
    """Watch the files that `follow` names; ``changed`` is called with those whose content changed, came or went.

    A directory among them stands for the names in it. ``threads`` should be its own: it reads often, and hangs with
    the disk.
    """

    def __init__(self, changed: Callable[[set[Path]], None], *, threads: ThreadPool) -> None:
        self._changed = changed
        self._seen: dict[str, _Seen] = {}
        self._places: frozenset[str] | None = None  # the directories that all these are, or are in, once asked for
        self._took_seconds = 0.0  # of a processor, by the last look
        self._hung: set[str] = set()
        self._nudge = anyio.Event()
        self._threads = threads

    async def follow(self, paths: Iterable[Path]) -> bool:
        """Watch these from now on, and no others. True if some of them were not watched before."""
        wanted = set(map(str, paths))
        new = await self._differing(wanted - self._seen.keys(), {}, frozenset())
        self._seen = {path: seen for path, seen in (self._seen | new).items() if path in wanted}
        self._places = None
        return bool(new)

    async def run(self) -> None:
        """Watch until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen)
            while True:
                self._nudge = anyio.Event()
                await self._look()
                with anyio.move_on_after(max(LOOK_SECONDS, self._took_seconds / LOOK_SHARE)):
                    await self._nudge.wait()

    async def _look(self) -> None:
        read = frozenset(islice(self._seen, READS))
        now = await self._differing(self._seen, self._seen, read)
        # What is not watched any more, or only since this look began, is left as `follow` left it.
        now = {path: seen for path, seen in now.items() if path in self._seen}
        changed = {Path(path) for path, seen in now.items() if self._seen[path].digest != seen.digest}
        self._seen.update(now)
        if now:
            self._places = None
        for path in read & self._seen.keys():
            self._seen[path] = self._seen.pop(path)  # to the end of the line
        if changed:
            self._changed(changed)

    async def _differing(
        self, paths: Iterable[str], known: Mapping[str, _Seen], read: Collection[str]
    ) -> dict[str, _Seen]:
        """Those that are not as they are ``known``; one whose disk hangs is left out, until no thread hangs any more.

        Read are those of which stat(2) says that they changed, and those in ``read``.
        """
        asked = [path for path in paths if not (self._hung and path in self._hung and self._threads.stuck)]
        try:
            found, self._took_seconds = await self._threads.run(
                lambda: _differing(asked, known, read), seconds=READ_SECONDS
            )
        except TimeoutError as error:
            if len(asked) > 1:  # which of them was it?
                each = [await self._differing([path], known, read) for path in asked]
                return {path: seen for one in each for path, seen in one.items()}
            self._hung.update(asked)
            log.warning("watch.stuck", path=", ".join(asked), detail=str(error) or "the disk hangs")
            return {}
        self._hung.difference_update(asked)
        return found

    async def _listen(self) -> None:
        """Turn inotify events into looks. Listens anew when the set of directories changes."""
        while True:
            try:
                await self._listen_to(await self._directories())
            except* (OSError, RuntimeError) as errors:
                names = ", ".join(sorted({type(error).__name__ for error in errors.exceptions}))
                log.debug("watch.polling", detail=f"inotify is not to be had: {names}")
                await anyio.sleep(LISTEN_AGAIN_SECONDS)

    async def _listen_to(self, directories: frozenset[tuple[str, int]]) -> None:
        _require_threads(LISTENING_THREADS)
        stop = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._stop_when_moved, directories, stop)
            first = True
            async for changes in watchfiles.awatch(
                *{path for path, _ in directories},
                recursive=False,
                debounce=DEBOUNCE_MILLISECONDS,
                step=DEBOUNCE_MILLISECONDS // 2,
                rust_timeout=THREAD_MILLISECONDS,
                yield_on_timeout=True,
                stop_event=stop,
                watch_filter=None,
            ):
                # The first silence is looked at too: something may have changed before listening began.
                if changes or first:
                    self._nudge.set()
                first = False
            tasks.cancel_scope.cancel()

    async def _stop_when_moved(self, directories: frozenset[tuple[str, int]], stop: anyio.Event) -> None:
        while await self._directories() == directories:  # noqa: ASYNC110  (no event tells that one was replaced)
            await anyio.sleep(LOOK_SECONDS)
        stop.set()

    async def _directories(self) -> frozenset[tuple[str, int]]:
        if self._places is None:
            every = [(path, seen.is_directory) for path, seen in self._seen.items() if path not in self._hung]
            self._places = frozenset(path if is_directory else os.path.dirname(path) for path, is_directory in every)
        places = self._places
        return await self._threads.run(lambda: _with_inodes(places), seconds=READ_SECONDS)


def _require_threads(count: int) -> None:
    """Raise RuntimeError where so many threads cannot be started now."""
    end = threading.Event()
    try:
        for _ in range(count):
            threading.Thread(target=end.wait, daemon=True).start()
    finally:
        end.set()


def _with_inodes(places: Iterable[str]) -> frozenset[tuple[str, int]]:
    """Those directories that are there, with their inodes: one that was replaced is another."""
    found = set()
    for place in places:
        with suppress(OSError):
            if stat.S_ISDIR((status := os.stat(place)).st_mode):
                found.add((place, status.st_ino))
    return frozenset(found)


def _differing(
    paths: Iterable[str], known: Mapping[str, _Seen], read: Collection[str]
) -> tuple[dict[str, _Seen], float]:
    """Those that differ, and the processor time that it took."""
    found, started = {}, time.thread_time()
    for path in paths:
        before = known.get(path)
        seen = _look_at(path, None if path in read else before)
        if seen is not before and seen != before:
            found[path] = seen
    return found, time.thread_time() - started


def _look_at(path: str, before: _Seen | None) -> _Seen:
    """Read it, unless it is as it was ``before``."""
    try:
        status = os.stat(path)
    except OSError:
        return _ABSENT
    # What another file, or another content, makes different. Who writes may set mtime back, but not ctime.
    stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    if before is not None and before.stamp == stamp:
        return before
    return _Seen(stamp, _digest(path, status.st_mode), stat.S_ISDIR(status.st_mode))


def _digest(path: str, mode: int) -> bytes | None:
    """Fingerprint a file's content, or a directory's names; None if there is nothing to read."""
    try:
        if stat.S_ISDIR(mode):
            # Temporary files and backups come and go: none of them would be read.
            names = sorted(name for name in os.listdir(path) if name[0] != "." and name[-1] != "~")
            return hashlib.sha256("\0".join(names).encode("utf-8", "surrogateescape")).digest()
        if not stat.S_ISREG(mode):
            return None  # to open a fifo could take for ever
        with open(path, "rb") as file:
            return hashlib.sha256(file.read(LARGEST_FILE_BYTES)).digest()
    except OSError:
        return None
