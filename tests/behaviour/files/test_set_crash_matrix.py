"""The sink ``directory``, killed and failed at every system call that touches it: P1, for files that change together.

What counts is what a reader sees through the links: all files of the old set, or all of the new one. Of the first set
some names may be missing. Half-written sets may stay until the next write, which removes them.
"""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.behaviour.files.jobs import NEW, OLD, SinkJob
from tests.behaviour.files.matrix import by_default, errors, touching
from tests.behaviour.files.test_sink_crash_matrix import misworded
from tests.behaviour.files.victims import Outcome, Victims, victims
from tests.sinks.leases import lease

TEMPLATES = {"token": "{{ access_token }}", "header": "Bearer {{ access_token }}"}
SET = re.compile(r"\.\.\d{4}(_\d\d){5}\.[0-9a-f]{8}")
STEPS = ("replaced", "the first", "removed")
KILLED = by_default(STEPS, "replaced")
FAILED = by_default(STEPS)

View = dict[str, tuple[str, bytes]]


def view_of(token: str) -> View:
    return {name: ("0o600", text.replace("{{ access_token }}", token).encode()) for name, text in TEMPLATES.items()}


@dataclass
class Stage:
    """A directory in which a step is set again and again."""

    step: str
    place: Path

    @property
    def job(self) -> SinkJob:
        action = "remove" if self.step == "removed" else "write"
        return SinkJob("directory", str(self.place / "set"), (("files", tuple(TEMPLATES.items())),), action)

    @property
    def before(self) -> View:
        return {} if self.step == "the first" else view_of(OLD)

    @property
    def after(self) -> View:
        return {} if self.step == "removed" else view_of(NEW)

    def set(self) -> None:
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir(parents=True)
        if self.step != "the first":
            self.job.sink().write(lease(OLD))

    def seen(self) -> View:
        """What a reader sees: mode and content by name."""
        found = {}
        for name in TEMPLATES:
            path = self.place / "set" / name
            if path.exists():
                found[name] = (oct(path.stat().st_mode & 0o777), path.read_bytes())
        return found

    def fault(self) -> str | None:
        """What is wrong with what a reader sees."""
        seen = self.seen()
        whole = [self.before, self.after]
        if "replaced" in self.step:
            return None if seen in whole else "files of two sets, or some"
        return None if any(seen.items() <= one.items() for one in whole) else "something else"

    def go_on(self) -> str | None:
        """Start again and try again; returns what is wrong then."""
        made = self.job.sink()
        if self.step == "removed":
            made.remove()
        else:
            made.probe()
            made.write(lease(NEW))
        if self.seen() != self.after:
            return "not made good by the next attempt"
        directory = self.place / "set"
        names = {path.name for path in directory.iterdir()} if directory.exists() else set()
        expected = set() if self.step == "removed" else {"..data", *TEMPLATES, str((directory / "..data").readlink())}
        return None if names == expected else f"left: {names - expected}"


@pytest.fixture
def cast() -> Iterator[Victims]:
    with victims() as ready:
        yield ready


@pytest.mark.parametrize("step", KILLED)
def test_killed_at_any_call_readers_see_the_old_set_or_the_new(cast: Victims, step: str) -> None:
    """docs/promises.md 55."""
    stage = Stage(step, cast.directory / "place")
    stage.set()
    outcome, points = cast.calls(stage.job)
    assert outcome.raised is None, outcome
    assert stage.seen() == stage.after
    seen = []
    for point in [*touching(points, stage.place), points[-1]]:  # the last: its end
        stage.set()
        outcome = cast.killed(stage.job, point)
        assert outcome.status == 9, f"{outcome} at {point}"
        assert stage.fault() is None, f"{stage.fault()} at {point}"
        seen.append(stage.seen())
        assert stage.go_on() is None, f"after {point}"
    assert seen[0] == stage.before
    assert seen[-1] == stage.after


@pytest.mark.parametrize("step", FAILED)
def test_failed_at_any_call_readers_see_the_old_set_or_the_new(cast: Victims, step: str) -> None:
    """docs/promises.md 39-44, 60, 61: it ends well, or with a `SinkError` that names path and call."""
    stage = Stage(step, cast.directory / "place")
    stage.set()
    _, points = cast.calls(stage.job)
    wrong = []
    for point in touching(points, stage.place):
        for error in errors(point):
            stage.set()
            outcome = cast.failed(stage.job, point, error)
            if (judged := judge(stage, outcome, error)) is not None:
                wrong.append(f"{judged}: {error} at {point}: {outcome}")
    assert not wrong, "\n".join(wrong)


def judge(stage: Stage, outcome: Outcome, error: str) -> str | None:
    """What is wrong with how it ended; None if nothing."""
    if outcome.status != 0 or outcome.raised not in (None, "SinkError"):
        return "it died, or of an error that nobody expects"
    if (fault := stage.fault()) is not None:
        return fault
    # There is nothing to remove, as the call said.
    told_so = error == "ENOENT" and outcome.returned is False
    if outcome.raised is None and stage.seen() != stage.after and not told_so:
        return "it says that all is well"
    if outcome.raised is not None and (fault := misworded(stage.place, outcome, error)):
        return fault
    return stage.go_on()
