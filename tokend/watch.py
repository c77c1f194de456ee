"""Notice that files changed: quickly by inotify, surely by looking at them every few seconds.

Directories are watched, never files: editors rename, Kubernetes swaps a link, sed makes a new inode. Where inotify
cannot be had (no watches left, a network filesystem) the looking alone remains.
"""

import hashlib
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

import anyio
import watchfiles

from tokend.logs import get_logger
from tokend.threads import ThreadPool

# docs/promises.md 85: noticed within 5 s, also without inotify; the rest is for reading and applying.
LOOK_SECONDS = 3.0
# Editors write several times in a row; one look after the last is enough.
DEBOUNCE_MILLISECONDS = 50
# The listening thread cannot be interrupted: so long it may delay our end.
THREAD_MILLISECONDS = 300
# After inotify was refused. There is no hurry: the looking goes on.
LISTEN_AGAIN_SECONDS = 60.0
# A file on a disk that hangs must not hold the loop, nor the look at all the others for ever.
READ_SECONDS = 10.0
LARGEST_FILE_BYTES = 16 * 1024 * 1024

log = get_logger()


class FileWatch:
    """Watch the files that `follow` names; ``changed`` is called with those whose content changed, came or went.

    A directory among them stands for the names in it. ``threads`` should be its own: it reads often, and hangs with
    the disk.
    """

    def __init__(self, changed: Callable[[set[Path]], None], *, threads: ThreadPool) -> None:
        self._changed = changed
        self._seen: dict[Path, bytes | None] = {}
        self._hung: set[Path] = set()
        self._nudge = anyio.Event()
        self._threads = threads

    async def follow(self, paths: Iterable[Path]) -> bool:
        """Watch these from now on, and no others. True if some of them were not watched before."""
        wanted = set(paths)
        new = await self._digests(wanted - self._seen.keys())
        self._seen = {path: digest for path, digest in (self._seen | new).items() if path in wanted}
        return bool(new)

    async def run(self) -> None:
        """Watch until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen)
            while True:
                self._nudge = anyio.Event()
                await self._look()
                with anyio.move_on_after(LOOK_SECONDS):
                    await self._nudge.wait()

    async def _look(self) -> None:
        now = await self._digests(self._seen)
        # What is not watched any more, or only since this look began, is left as `follow` left it.
        changed = {path for path, digest in now.items() if path in self._seen and self._seen[path] != digest}
        self._seen.update((path, now[path]) for path in changed)
        if changed:
            self._changed(changed)

    async def _digests(self, paths: Iterable[Path]) -> dict[Path, bytes | None]:
        """Fingerprint them all; one whose disk hangs is left out, until no thread hangs any more."""
        asked = [path for path in paths if not (path in self._hung and self._threads.stuck)]
        try:
            found = await self._threads.run(lambda: {path: _digest(path) for path in asked}, seconds=READ_SECONDS)
        except TimeoutError as error:
            if len(asked) > 1:  # which of them was it?
                return {path: digest for one in asked for path, digest in (await self._digests([one])).items()}
            self._hung.update(asked)
            log.warning("watch.stuck", path=", ".join(map(str, asked)), detail=str(error) or "the disk hangs")
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

    async def _listen_to(self, directories: frozenset[tuple[Path, int]]) -> None:
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

    async def _stop_when_moved(self, directories: frozenset[tuple[Path, int]], stop: anyio.Event) -> None:
        while await self._directories() == directories:  # noqa: ASYNC110  (no event tells that one was replaced)
            await anyio.sleep(LOOK_SECONDS)
        stop.set()

    async def _directories(self) -> frozenset[tuple[Path, int]]:
        paths = [path for path in self._seen if path not in self._hung]
        return await self._threads.run(lambda: _directories(paths), seconds=READ_SECONDS)


def _directories(paths: Iterable[Path]) -> frozenset[tuple[Path, int]]:
    """The directories that the paths are, or are in, with their inodes: one that was replaced is another."""
    found = set()
    for path in paths:
        for place in (path, path.parent):
            try:
                if place.is_dir():
                    found.add((place, place.stat().st_ino))
                    break
            except OSError:
                continue
    return frozenset(found)


def _digest(path: Path) -> bytes | None:
    """Fingerprint a file's content, or a directory's names; None if there is nothing to read."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            # Temporary files and backups come and go: none of them would be read.
            names = sorted(entry.name for entry in path.iterdir() if entry.name[0] != "." and entry.name[-1] != "~")
            return hashlib.sha256("\0".join(names).encode("utf-8", "surrogateescape")).digest()
        if not stat.S_ISREG(mode):
            return None  # to open a fifo could take for ever
        with path.open("rb") as file:
            return hashlib.sha256(file.read(LARGEST_FILE_BYTES)).digest()
    except OSError:
        return None
