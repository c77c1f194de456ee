"""Event ids across restarts: each run begins above all ids of earlier runs, whatever the clock says.

An id is the clock's microseconds, or one more than the id before if that is not below. A client that reconnects with an
id of an earlier run must not find that id on another event, also where the clock was set back. So ids are reserved on
disk a little ahead of the clock; after a crash ids count events until the clock has passed what was reserved.
"""

from datetime import datetime
from functools import partial
from pathlib import Path

import anyio

from tokend.files import read_private, replace_private
from tokend.machine.logs import get_logger
from tokend.machine.thread_pool import Threads

# File in the state directory: the last reserved id in decimal.
NAME = "events"
# A minute of the clock: at most two writes a minute, and none while nothing happens.
AHEAD = 60_000_000
# `Last-Event-ID` may have 18 digits: microseconds until the year 33658.
MOST = 10**18
WRITE_SECONDS = 10.0
LAST_WRITE_SECONDS = 1.0

log = get_logger()


def microseconds(now: datetime) -> int:
    """Return the Unix time in microseconds."""
    return int(now.timestamp() * 1_000_000)


def take(directory: Path, now: datetime) -> int:
    """Reserve the first ids of a run; returns the last id before them. Blocks.

    Without the file they begin at the clock, so that they rise even where the state was lost. Errors are logged only:
    an id that is used twice is no reason to refuse the start.
    """
    last = max(microseconds(now), _taken(directory / NAME))
    _reserve(directory / NAME, last + AHEAD)
    return last


class EventIds:
    """The ids of this run: ``last_before`` is what `take` returned. Run `keep` as a task."""

    def __init__(self, directory: Path, last_before: int, *, threads: Threads) -> None:
        self.last_before = last_before
        self._path = directory / NAME
        self._threads = threads
        self._last = last_before
        self._reserved = last_before + AHEAD
        self._needed = anyio.Event()

    def used(self, number: int) -> None:
        """Record that an event has this id. Must not block."""
        self._last = number
        if number > self._reserved - AHEAD // 2:
            self._needed.set()

    async def keep(self) -> None:
        """Reserve more ids whenever half of them are used. Runs until cancelled; then it gives back unused ids."""
        try:
            while True:
                await self._needed.wait()
                self._needed = anyio.Event()
                reserved = self._last + AHEAD
                if await self._write(reserved, WRITE_SECONDS):
                    self._reserved = reserved
        finally:
            with anyio.CancelScope(shield=True):
                await self._write(self._last, LAST_WRITE_SECONDS)

    async def _write(self, last: int, seconds: float) -> bool:
        try:
            await self._threads.run(partial(_reserve, self._path, last), seconds=seconds)
        except TimeoutError:  # a disk that hangs: the next event tries again
            return False
        return True


def _reserve(path: Path, last: int) -> None:
    try:
        replace_private(path, b"%d\n" % last)
    except OSError as error:
        log.warning("state.write_failed", path=str(path), detail=error.strerror)


def _taken(path: Path) -> int:
    try:
        content = read_private(path, at_most=len(str(MOST)))
        if content.strip().isdigit() and int(content) < MOST - AHEAD:
            return int(content)
        log.warning("state.damaged", path=str(path), detail="this is no number of an event")
    except FileNotFoundError:
        pass
    except OSError as error:
        log.warning("state.unreadable", path=str(path), detail=error.strerror)
    return 0
