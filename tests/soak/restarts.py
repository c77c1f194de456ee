"""The daemon is ended and started again while everybody goes on: by SIGTERM and by SIGKILL in turn.

Each time what it held before is compared with what it serves as soon as it is READY. What is seen goes to
``restarts.json``, after each one.
"""

import json
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from tests.soak.changes import EventBus
from tests.soak.oracle import Absence
from tests.soak.plan import Plan
from tests.soak.stage import SoakError, Stage

# At these shares of the time. They come early: slopes need one daemon that lives for long.
LONG_SECONDS = 20 * 60.0
IN_A_LONG_RUN, IN_A_SHORT_RUN = (1 / 12, 2 / 12, 3 / 12, 4 / 12), (0.25, 0.45)
SIGNALS = (signal.SIGTERM, signal.SIGKILL)
CODES = {signal.SIGTERM: 0, signal.SIGKILL: -signal.SIGKILL}
# A problem is reported with so many names.
NAMES = 5


@dataclass(frozen=True, slots=True)
class Restart:
    """One of them; ``absence`` is the time without a daemon. ``problems`` are sentences."""

    how: str
    absence: Absence
    held: int
    problems: Sequence[str]


class Restarts:
    """Restart the daemon when it is time to. ``done`` are those that were made."""

    def __init__(self, stage: Stage, changes: EventBus) -> None:
        self._stage, self._changes = stage, changes
        seconds = stage.soak.seconds
        shares = IN_A_LONG_RUN if seconds >= LONG_SECONDS else IN_A_SHORT_RUN
        self._due = [share * seconds for share in shares]
        self.done: list[Restart] = []

    def look(self, elapsed: float) -> None:
        """Make the next restart where it is due. While a change is being made, or the configuration is broken (a daemon
        refuses to start with that), it waits. Raises `SoakError` where the daemon does not come back."""
        due = len(self.done) < len(self._due) and elapsed >= self._due[len(self.done)]
        if due and self._changes.undisturbed.acquire(blocking=False):
            try:
                if not self._changes.is_broken:
                    self._restart(SIGNALS[len(self.done) % len(SIGNALS)])
            finally:
                self._changes.undisturbed.release()

    def _restart(self, how: signal.Signals) -> None:
        problems: list[str] = []
        held = 0
        before = self._rows(problems)
        began = time.time()
        code = self._stage.end(how)
        gone = ended = time.time()
        if code != CODES[how]:
            problems.append(f"{how.name}: exit code {code}")
        try:
            self._stage.start()
            ended = time.time()
            after = self._rows(problems)
            held, lost = compare(before, after, time.time())
            if lost:
                problems.append(f"{how.name}: {len(lost)} lost, {', '.join(lost[:NAMES])}")
        except SoakError as error:
            problems.append(str(error))
            raise
        finally:
            self.done.append(Restart(how.name, Absence(began, gone, ended), held, problems))
            text = json.dumps([asdict(restart) for restart in self.done])
            (self._stage.home / "restarts.json").write_text(text)

    def _rows(self, problems: list[str]) -> Mapping[str, Mapping[str, object]]:
        """Those that are configured all the time, and were listed."""
        try:
            rows = self._stage.rows()
        except (OSError, ValueError, KeyError) as error:
            problems.append(f"no list: {error!r}")
            return {}
        names = {provider.name for provider in self._stage.soak.providers()}
        return {name: row for name, row in rows.items() if name in names}


def compare(
    before: Mapping[str, Mapping[str, object]], after: Mapping[str, Mapping[str, object]], now: float
) -> tuple[int, Sequence[str]]:
    """How many tokens had to be there after a restart, for they were valid before and have not run out ``now``; and the
    names of those that were not, or in an older generation."""
    due = {name: row for name, row in before.items() if row["valid"] and _unix(row["expires_at"]) > now}
    lost = [name for name, row in due.items() if not _is_held(row, after.get(name))]
    return len(due), lost


def load(soak: Plan) -> Sequence[Restart]:
    """All restarts of a soak."""
    path = soak.home / "restarts.json"
    rows = json.loads(path.read_text()) if path.exists() else []
    return [Restart(**{**row, "absence": Absence(**row["absence"])}) for row in rows]


def _is_held(before: Mapping[str, object], after: Mapping[str, object] | None) -> bool:
    return (
        after is not None and bool(after["valid"]) and int(str(after["generation"])) >= int(str(before["generation"]))
    )


def _unix(text: object) -> float:
    return datetime.fromisoformat(str(text)).timestamp()
