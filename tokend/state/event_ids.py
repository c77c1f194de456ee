"""Reservation of event ids: each run begins above all ids of earlier runs, whatever the clock says.

A client that reconnects with an id of an earlier run must not find that id on another event. Each run reserves more ids
than it can use, on disk, before it gives the first one, and writes nothing while it runs.
"""

from datetime import datetime
from pathlib import Path

from tokend.files import read_whole, replace_private
from tokend.machine.logs import get_logger

# File in the state directory: the last reserved id in decimal.
NAME = "events"
# A year of 300 events a second.
IDS_PER_RUN = 10**10
# `Last-Event-ID` may have 18 digits: enough for a hundred million runs.
MOST = 10**18

log = get_logger()


def take(directory: Path, now: datetime) -> int:
    """Reserve the ids of a run; returns the last id before them. Blocks.

    Without the file the ids begin at the clock's milliseconds, so that they rise even where the state was lost. Errors
    are logged only: an id that is used twice is no reason to refuse the start.
    """
    last = max(int(now.timestamp() * 1000), _taken(directory / NAME))
    try:
        replace_private(directory / NAME, b"%d\n" % (last + IDS_PER_RUN))
    except OSError as error:
        log.warning("state.write_failed", path=str(directory / NAME), detail=error.strerror)
    return last


def _taken(path: Path) -> int:
    try:
        content = read_whole(path, at_most=len(str(MOST)))
        if content.strip().isdigit() and int(content) < MOST - IDS_PER_RUN:
            return int(content)
        log.warning("state.damaged", path=str(path), detail="this is no number of an event")
    except FileNotFoundError:
        pass
    except OSError as error:
        log.warning("state.unreadable", path=str(path), detail=error.strerror)
    return 0
