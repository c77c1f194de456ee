"""A login file, killed and failed at every system call of a shared exchange that touches it.

The content is the old or the new; another daemon can take the lock afterwards, and reads the file; no secret is left.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.behaviour.files.jobs import GOOD, NEWER, LoginFileJob
from tests.behaviour.files.matrix import by_default, errors, touching
from tests.behaviour.files.victims import Outcome, Point, Victims, victims
from tokend.state.login_file import LoginLock

OLD = b'{"old": "planted-fake"}'
STEPS = ["lock", "first lock", "journal", "first journal", "answer", "read"]
# The others take a while.
KILLED = by_default(STEPS, "answer")
FAILED = by_default(STEPS, "answer")


@pytest.fixture
def cast() -> Iterator[Victims]:
    """Victims."""
    with victims() as ready:
        yield ready


class Stage:
    """A login file, set again and again."""

    def __init__(self, step: str, place: Path) -> None:
        self.step = step
        self.place = place
        self.job = LoginFileJob(str(place / "login"), step.removeprefix("first "))

    def set(self) -> None:
        """As it is before the step. Before the answer stands the journal, with its reserve."""
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir(mode=0o700)
        if not self.step.startswith("first"):
            self.job.file.write(7, OLD)
            (self.place / "login.lock").touch(mode=0o600)
        if self.step == "answer":
            self.job.file.write(8, GOOD, reserve=70_000)

    @property
    def allowed(self) -> list[bytes | None]:
        """The contents before the step and after it."""
        before = GOOD if self.step == "answer" else None if self.step.startswith("first") else OLD
        after = {"journal": GOOD, "answer": NEWER}.get(self.job.action, before)
        return [before, after]

    def fault(self) -> str | None:
        """What the next daemon finds wrong; None if nothing."""
        lock = LoginLock(self.job.file)
        if not lock.take():
            return "the lock is held"
        lock.release()
        found = self.job.file.read()
        if (None if found is None else found.content) not in self.allowed:
            return "another content"
        for path in self.place.iterdir():
            if path.stat().st_mode & 0o77:
                return f"others may read {path.name}"
            if b"planted" in path.read_bytes():
                return f"{path.name} is in clear"
        # The next exchange works, whatever was left.
        self.job.file.write(8, GOOD, reserve=70_000)
        self.job.file.write(9, NEWER)
        left = {path.name for path in self.place.iterdir()} - {"login", "login.lock"}
        left = {name for name in left if name.endswith("tokend-00000000")}
        return f"left: {left}" if left else None


def staged(step: str, cast: Victims) -> tuple[Stage, list[Point]]:
    stage = Stage(step, cast.directory / "place")
    stage.set()
    outcome, points = cast.calls(stage.job)
    assert outcome.raised is None, outcome
    return stage, [*touching(points, stage.place), points[-1]]


@pytest.mark.parametrize("step", KILLED)
def test_killed_at_any_call_the_file_is_the_old_or_the_new_and_the_lock_is_free(cast: Victims, step: str) -> None:
    """A lock ends with its process."""
    stage, points = staged(step, cast)
    for point in points:
        stage.set()
        outcome = cast.killed(stage.job, point)
        assert outcome.status == 9, f"{outcome} at {point}"
        assert (fault := stage.fault()) is None, f"{fault}: killed at {point}"


@pytest.mark.parametrize("step", FAILED)
def test_failed_at_any_call_it_is_said_and_nothing_is_lost(cast: Victims, step: str) -> None:
    """It ends well, or with a `StoreError` that names the file; then no request follows a journal."""
    stage, points = staged(step, cast)
    wrong = []
    for point in points[:-1]:
        for error in errors(point, thin=True):
            stage.set()
            outcome = cast.failed(stage.job, point, error)
            if (judged := judge(stage, outcome)) is not None:
                wrong.append(f"{judged}: {error} at {point}: {outcome}")
    assert not wrong, "\n".join(wrong)


def judge(stage: Stage, outcome: Outcome) -> str | None:
    """What is wrong with how it ended; None if nothing."""
    if outcome.status != 0 or outcome.raised not in (None, "StoreError", "UnopenedError"):
        return "it died, or of an error that nobody expects"
    if outcome.raised is not None and str(stage.place) not in outcome.words:
        return "the file is not named"
    if outcome.raised is None and stage.job.action in {"journal", "answer"}:
        found = stage.job.file.read()
        if found is None or found.content != stage.allowed[1]:
            return "it says that all is well"
    return stage.fault()


def test_the_journal_keeps_space_for_the_answer(tmp_path: Path) -> None:
    """The reserve is for the answer."""
    tmp_path.chmod(0o700)
    job = LoginFileJob(str(tmp_path / "login"), "journal")
    job.file.write(8, GOOD, reserve=70_000)
    assert (tmp_path / ".login.tokend-00000000").stat().st_blocks * 512 >= 70_000
