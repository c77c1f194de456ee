"""The state, on a disk and in systemd's memory, killed and failed at every system call that touches it: P1, P2.

Of each step: what was saved is there, the old or the new; nobody else's record is touched; the next start works.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.behaviour.files.jobs import GOOD, NEWER, TORN, MemoryJob, SealedJob, StateJob
from tests.behaviour.files.matrix import TEMPORARY, by_default, errors, touching
from tests.behaviour.files.victims import Outcome, Point, Victims, victims
from tokend.state.directory import StateDirectory
from tokend.state.sealing import MAGIC

STEPS = ["disk: first", "disk: open", "disk: torn salt", "disk: save", "disk: first save", "disk: load"]
STEPS += ["disk: save journal", "disk: save grant"]
STEPS += ["memory: first", "memory: open", "memory: save", "memory: first save", "memory: set aside"]
STEPS += ["sealed: first", "sealed: open", "sealed: save", "sealed: first save", "sealed: index", "sealed: first key"]
STEPS += ["sealed: save after first key", "sealed: save journal", "sealed: save grant"]
# The others take a while.
KILLED = by_default(STEPS, "disk: save", "disk: save grant", "memory: save", "sealed: save")
FAILED = by_default(STEPS, "disk: load", "sealed: index")


@dataclass
class Stage:
    """A state, set again and again. ``px`` is what the step is about; ``other`` must stay as it is."""

    step: str
    place: Path

    @property
    def name(self) -> str:
        return "new" if "first save" in self.step else "px"

    @property
    def job(self) -> StateJob | MemoryJob:
        where, _, what = self.step.partition(": ")
        action = {"first": "open", "torn salt": "open", "first save": "save", "first key": "open"}.get(what, what)
        action = {"save after first key": "save"}.get(action, action)
        kinds: dict[str, type[StateJob | MemoryJob]] = {"disk": StateJob, "sealed": SealedJob, "memory": MemoryJob}
        return kinds[where](str(self.place), action, self.name)

    def set(self) -> None:
        """As it is before."""
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir()
        if self.step.endswith(": first"):
            return
        if isinstance(self.job, MemoryJob):
            self.job.begin("px", "other")
            return
        job = self.job
        before_key = "first key" in self.step
        state = job.open() if isinstance(job, SealedJob) and not before_key else StateDirectory(self.place)
        for name in ("px", "other"):
            state.save(name, GOOD)
        state.close()
        if self.step == "disk: torn salt":
            (self.place / "salt").write_bytes(b"torn")
        if self.step.endswith(": open"):
            (self.place / "tokens" / ".px.json.tokend-0123abcd").write_bytes(b"half of a planted-fake")
        if self.step == "disk: load":
            (self.place / "tokens" / "px.json").write_bytes(TORN)

    def may_hold(self, found: dict[str, bytes]) -> bool:
        """Return whether these are the records before the step, or after it."""
        if self.step.endswith(": first"):
            return found == {}
        if self.step in {"sealed: index", "sealed: first key"}:
            return found == {"px": GOOD, "other": GOOD}
        gone = {"other": GOOD} if "first save" not in self.step else {"other": GOOD, "px": GOOD}
        before = {"px": GOOD, "other": GOOD}
        if self.step == "disk: load":
            return found == gone
        if "save" in self.step:
            return found in (before, {**before, self.name: NEWER})
        return found == before or ("set aside" in self.step and found == gone)

    def sealed_files(self) -> list[bytes]:
        """What has to be sealed at the next start, which seals the salt."""
        tokens = [] if "first key" in self.step else (self.place / "tokens").glob("*.json")
        return [path.read_bytes() for path in (self.place / "salt", self.place / "index", *tokens)]

    def salt(self) -> bytes | None:
        if isinstance(self.job, SealedJob):
            return self.job.salt()
        try:
            return (self.place / "salt").read_bytes()
        except FileNotFoundError:
            return None

    def fault(self, salt: bytes | None) -> str | None:
        """What is wrong at the next start; None if nothing."""
        found = self.job.records()
        if not self.may_hold(found):
            return f"its records are {found}"
        if isinstance(self.job, SealedJob):
            if salt is not None and self.salt() != salt:
                return "another salt"
            if not all(content.startswith(MAGIC) for content in self.sealed_files()):
                return "one is not sealed"
        elif isinstance(self.job, StateJob):
            if salt is not None and len(salt) == 32 and self.salt() != salt:
                return "another salt"
            if len(self.salt() or b"") != 32:
                return "no salt"
            tokens = self.place / "tokens"
            if self.step == "disk: load" and TORN not in [path.read_bytes() for path in tokens.glob("px*.damaged")]:
                return "the torn record is lost"
            if any(path.stat().st_mode & 0o77 for path in (tokens, *tokens.iterdir(), self.place / "salt")):
                return "others may read it"
        if any(TEMPORARY.fullmatch(path.name) for path in self.place.rglob("*")):
            return "a temporary is left"
        return None


@pytest.fixture
def cast() -> Iterator[Victims]:
    """Victims."""
    with victims() as ready:
        yield ready


def staged(step: str, cast: Victims) -> tuple[Stage, list[Point]]:
    stage = Stage(step, cast.directory / "place")
    stage.set()
    outcome, points = cast.calls(stage.job)
    assert outcome.raised is None, outcome
    assert stage.fault(None) is None
    return stage, [*touching(points, stage.place), points[-1]]


@pytest.mark.parametrize("step", KILLED)
def test_killed_at_any_call_the_state_is_the_old_or_the_new(cast: Victims, step: str) -> None:
    """docs/promises.md 55, 64, 69: and the next start works, with the salt there was."""
    stage, points = staged(step, cast)
    for point in points:
        stage.set()
        salt = stage.salt()
        outcome = cast.killed(stage.job, point)
        assert outcome.status == 9, f"{outcome} at {point}"
        assert (fault := stage.fault(salt)) is None, f"{fault}: killed at {point}"


@pytest.mark.parametrize("step", FAILED)
def test_failed_at_any_call_the_state_is_the_old_or_the_new(cast: Victims, step: str) -> None:
    """docs/promises.md 39-44, 64: it ends well, or with a `StoreError` that names the place."""
    stage, points = staged(step, cast)
    wrong = []
    for point in points[:-1]:
        for error in errors(point):
            if '/salt"' in point.line and error == "ENOENT":
                continue  # no disk says of a file that is there that it is not
            stage.set()
            salt = stage.salt()
            outcome = cast.failed(stage.job, point, error)
            if (judged := judge(stage, outcome, error, salt)) is not None:
                wrong.append(f"{judged}: {error} at {point}: {outcome}")
    assert not wrong, "\n".join(wrong)


def judge(stage: Stage, outcome: Outcome, error: str, salt: bytes | None) -> str | None:
    """What is wrong with how it ended; None if nothing."""
    if outcome.status != 0 or outcome.raised not in (None, "StoreError", "StateLockedError"):
        return "it died, or of an error that nobody expects"
    if outcome.raised == "StateLockedError" and error != "EAGAIN":
        return "who holds it?"
    if outcome.raised is not None and not any(word in outcome.words for word in (str(stage.place), "memory", "store")):
        return "the place is not named"
    reason = os.strerror(getattr(errno, error))
    reasons = (reason, "does not exist", "moved away", "is held by", "File exists", "it is a link")
    if outcome.raised is not None and not any(reason in outcome.words for reason in reasons):
        return "the reason is not named"
    if error in {"EMFILE", "ENFILE"} and outcome.raised is not None and "save" in stage.step:
        return "the reserve was not used"
    if outcome.raised is None and "save" in stage.step and stage.job.records()[stage.name] != NEWER:
        return "it says that all is well"
    return stage.fault(salt)
