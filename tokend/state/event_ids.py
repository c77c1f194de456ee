"""Where the ids of events begin: above all that were ever given, whatever the clock says by now.

A client that comes back with an id of an earlier run must not meet that id again, for another event. Each run takes
more ids than it can use, on disk, before it gives the first; so there is nothing to be written while it runs.
"""

from datetime import datetime
from pathlib import Path

from tokend.files import read_whole, replace_private
from tokend.machine.logs import get_logger

# Below the state directory: the last id that is taken, in decimal.
NAME = "events"
# A year of 300 events a second.
IDS_PER_RUN = 10**10
# What `Last-Event-ID` may have, 18 digits: enough for a hundred million runs.
MOST = 10**18

log = get_logger()


def take(directory: Path, now: datetime) -> int:
    """Take the ids of a run, and return the last one that is not its own. Blocks.

    Without the file they begin at the clock's milliseconds, so that they rise even where the state was lost. What goes
    wrong is logged: ids that are given twice are no reason not to start.
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
