"""Watch of files: fast with inotify, reliable with a look at each file every few seconds.

inotify watches directories, never files: editors rename, Kubernetes replaces a link, sed creates a new inode. Without
inotify (no watches left, a network filesystem) only the regular looks remain.
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

# docs/promises.md 85: a change is noticed within 5 s, also without inotify. Two seconds remain to read and apply it.
LOOK_SECONDS = 3.0
# Editors write several times in a row: one look after the last write.
DEBOUNCE_MILLISECONDS = 50
# The listening thread cannot be interrupted: it delays the end of the daemon by this much at most.
THREAD_MILLISECONDS = 300
# Retry interval after inotify was refused. The looks go on meanwhile.
LISTEN_AGAIN_SECONDS = 60.0
# watchfiles starts one thread that reads inotify's descriptor and one that waits for the first. Where the first cannot
# be started, watchfiles aborts the whole process.
LISTENING_THREADS = 2
# A file on a disk that hangs must block neither the loop nor the look at the other files.
READ_SECONDS = 10.0
LARGEST_FILE_BYTES = 16 * 1024 * 1024
# Of a file that neither root nor this process owns. A secret is smaller.
LARGEST_STRANGERS_BYTES = 1024 * 1024
# Each look reads this many files whatever stat(2) says: some filesystems answer from a cache, and two writes fit into
# one tick of the timestamp. All other files are read when stat(2) shows a change, or at a later look: reading ten
# thousand files every three seconds takes a tenth of a core.
READS = 200
# Share of a core that looks may take. With more than about ten thousand files, looks become rarer than every 3 s.
LOOK_SHARE = 0.005

log = get_logger()


@dataclass(frozen=True, slots=True)
class _Seen:
    """State of a file at a look: the stamp from stat(2) (None: no file) and the digest of the content.

    ``access`` is the mode and the owners: they decide who else could read or change the file.
    """

    stamp: tuple[int, ...] | None
    digest: bytes | None
    is_directory: bool
    access: tuple[int, ...] = ()


_ABSENT = _Seen(None, None, False)


class FileWatch:
    """Watch the files that `follow` names. ``changed`` is called with the files whose content changed, came or went.

    Another mode or owner counts as a change. Of a directory the names in it are watched. ``threads`` should not be
    shared: they read often, and hang with the disk.
    """

    def __init__(self, changed: Callable[[set[Path]], None], *, threads: ThreadPool) -> None:
        self._changed = changed
        self._seen: dict[str, _Seen] = {}
        self._places: frozenset[str] | None = None  # the directories to watch; None: not computed yet
        self._took_seconds = 0.0  # processor time of the last look
        self._hung: set[str] = set()
        self._nudge = anyio.Event()
        self._threads = threads

    async def follow(self, paths: Iterable[Path]) -> bool:
        """Watch ``paths`` from now on, and no others. Returns whether one of them was not watched before."""
        wanted = set(map(str, paths))
        new = await self._differing(wanted - self._seen.keys(), {}, frozenset())
        self._seen = {path: seen for path, seen in (self._seen | new).items() if path in wanted}
        self._places = None
        return bool(new)

    async def run(self) -> None:
        """Watch. Runs until cancelled."""
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
        # `follow` may have run during this look: what it removed or added stays as it is.
        now = {path: seen for path, seen in now.items() if path in self._seen}
        changed = {Path(path) for path, seen in now.items() if _differ(self._seen[path], seen)}
        self._seen.update(now)
        if now:
            self._places = None
        for path in read & self._seen.keys():
            self._seen[path] = self._seen.pop(path)  # to the end of the order
        if changed:
            self._changed(changed)

    async def _differing(
        self, paths: Iterable[str], known: Mapping[str, _Seen], read: Collection[str]
    ) -> dict[str, _Seen]:
        """Return the files that differ from ``known``. Reads those in ``read``, and those with another stamp.

        A file whose disk hangs is left out until no thread hangs.
        """
        asked = [path for path in paths if not (self._hung and path in self._hung and self._threads.stuck)]
        try:
            found, self._took_seconds = await self._threads.run(
                lambda: _differing(asked, known, read), seconds=READ_SECONDS
            )
        except TimeoutError as error:
            if len(asked) > 1:  # find the one that hangs
                each = [await self._differing([path], known, read) for path in asked]
                return {path: seen for one in each for path, seen in one.items()}
            self._hung.update(asked)
            log.warning("watch.stuck", path=", ".join(asked), detail=str(error) or "the disk hangs")
            return {}
        self._hung.difference_update(asked)
        return found

    async def _listen(self) -> None:
        """Look after each inotify event. Restarts when the set of directories changes."""
        while True:
            try:
                await self._listen_to(await self._directories())
            except* (OSError, RuntimeError) as errors:
                names = ", ".join(sorted({type(error).__name__ for error in errors.exceptions}))
                log.debug("watch.polling", detail=f"inotify is not available: {names}")
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
                # Look after the first timeout, too: a file may have changed before inotify was ready.
                if changes or first:
                    self._nudge.set()
                first = False
            tasks.cancel_scope.cancel()

    async def _stop_when_moved(self, directories: frozenset[tuple[str, int]], stop: anyio.Event) -> None:
        while await self._directories() == directories:  # noqa: ASYNC110  (no event says that one was replaced)
            await anyio.sleep(LOOK_SECONDS)
        stop.set()

    async def _directories(self) -> frozenset[tuple[str, int]]:
        if self._places is None:
            every = [(path, seen.is_directory) for path, seen in self._seen.items() if path not in self._hung]
            self._places = frozenset(path if is_directory else os.path.dirname(path) for path, is_directory in every)
        places = self._places
        return await self._threads.run(lambda: _with_inodes(places), seconds=READ_SECONDS)


def _require_threads(count: int) -> None:
    """Raise RuntimeError where ``count`` threads cannot be started now."""
    end = threading.Event()
    try:
        for _ in range(count):
            threading.Thread(target=end.wait, daemon=True).start()
    finally:
        end.set()


def _with_inodes(places: Iterable[str]) -> frozenset[tuple[str, int]]:
    """Return the existing directories with their inodes: a replaced directory has another inode."""
    found = set()
    for place in places:
        with suppress(OSError):
            if stat.S_ISDIR((status := os.stat(place)).st_mode):
                found.add((place, status.st_ino))
    return frozenset(found)


def _differing(
    paths: Iterable[str], known: Mapping[str, _Seen], read: Collection[str]
) -> tuple[dict[str, _Seen], float]:
    """Return the files that differ, and the processor time that this took."""
    found, started = {}, time.thread_time()
    for path in paths:
        before = known.get(path)
        seen = _look_at(path, None if path in read else before)
        if seen is not before and seen != before:
            found[path] = seen
    return found, time.thread_time() - started


def _look_at(path: str, before: _Seen | None) -> _Seen:
    """Read a file, unless its stamp is that of ``before``."""
    try:
        status = os.stat(path)
    except OSError:
        return _ABSENT
    # Another file or another content changes at least one of these. A writer can set mtime back, but not ctime.
    stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    if before is not None and before.stamp == stamp:
        return before
    access = (status.st_mode, status.st_uid, status.st_gid)
    if status.st_size > LARGEST_STRANGERS_BYTES and status.st_uid not in {0, os.geteuid()}:
        # Its owner must not have us read it all at each look: its stamp stands for its content.
        return _Seen(stamp, repr(stamp).encode(), False, access)
    return _Seen(stamp, _digest(path, status.st_mode), stat.S_ISDIR(status.st_mode), access)


def _differ(before: _Seen, now: _Seen) -> bool:
    """Return whether the content changed, or who may read or change it."""
    return (before.digest, before.access) != (now.digest, now.access)


def _digest(path: str, mode: int) -> bytes | None:
    """Return the digest of a file's content or of a directory's names; None if there is nothing to read."""
    try:
        if stat.S_ISDIR(mode):
            names = sorted(filter(_may_be_configuration, os.listdir(path)))
            return hashlib.sha256("\0".join(names).encode("utf-8", "surrogateescape")).digest()
        if not stat.S_ISREG(mode):
            return None  # opening a fifo could block for ever
        with open(path, "rb") as file:
            return hashlib.sha256(file.read(LARGEST_FILE_BYTES)).digest()
    except OSError:
        return None


def _may_be_configuration(name: str) -> bool:
    """Return False for temporary files, backups and locks. A pattern may spell the dot of ``.name.toml``."""
    hidden = name[0] == "." and (name[:2] == ".#" or not name.endswith(".toml"))
    return not hidden and name[-1] != "~"
