"""Every file sink, killed and failed at every system call that touches its directory: P1, docs/promises.md 39-61.

strace finds the calls; no list of them is kept here. What a directory holds afterwards is compared whole: content,
other keys, modes, owners, links, ACLs.
"""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.behaviour.files.jobs import NEW, OLD, SinkJob
from tests.behaviour.files.matrix import Tree, by_default, errors, touching, tree, without_temporaries
from tests.behaviour.files.victims import Outcome, Victims, victims
from tests.files.children import STRANGER, acl, supports_acl
from tests.sinks.leases import lease

ENV = b"# mine\nexport OTHER='kept # as it is'\nKEY=before\n\nLAST=\"a\nb\"\n"
CONFIG = b'{\n\t"auths": {\n\t\t"a": {}\n\t},\n\t"other": "kept"\n}'
DOCKER = {"format": "json", "set": (("/auths/a/auth", "{{ access_token }}"),)}
KEY = {"key": "KEY", "expires_key": "KEY_EXPIRES"}


@dataclass(frozen=True)
class Scene:
    """A sink's settings; what stands at its path before the old token is written (None: nothing), and what is done.

    ``old`` False: there never was a token. ``link``: the path is a symbolic link to the file.
    ``thin``: its calls are those of another scene; each of them fails in one way only.
    """

    kind: str
    keys: Any = ()
    action: str = "write"
    found: bytes | None = None
    old: bool = True
    link: bool = False
    mode: int = 0o600
    acl: bool = False
    root: bool = False
    thin: bool = False

    @property
    def in_place(self) -> bool:
        return dict(self.keys).get("write") == "in-place"


def scene(kind: str, keys: dict[str, Any] | None = None, **more: Any) -> Scene:
    return Scene(kind, tuple((keys or {}).items()), **more)


IN_PLACE = {"write": "in-place"}
SCENES = {
    "json": scene("json"),
    "json, tt": scene("json", {"layout": "tt"}, thin=True),
    "json, the first": scene("json", old=False),
    "raw": scene("raw", {"newline": True}),
    "raw, the first": scene("raw", old=False, thin=True),
    "template": scene("template", {"template": "token={{ access_token }}\n"}, thin=True),
    "template of a file": scene("template", {"template_file": "{place}/t.j2"}),
    "dotenv, portable": scene("dotenv", KEY, found=ENV),
    "dotenv, quoted": scene("dotenv", {**KEY, "style": "quoted"}, found=ENV, thin=True),
    "dotenv, posix": scene("dotenv", {**KEY, "style": "posix"}, found=ENV, thin=True),
    "dotenv, raw": scene("dotenv", {**KEY, "style": "raw"}, found=ENV, thin=True),
    "dotenv, another's first": scene("dotenv", KEY, found=ENV, old=False, mode=0o640, thin=True),
    "dotenv, the first": scene("dotenv", KEY, old=False),
    "dotenv, with an ACL": scene("dotenv", KEY, found=ENV, acl=True, thin=True),
    "json, in place": scene("json", IN_PLACE),
    "json, in place, the first": scene("json", IN_PLACE, old=False, thin=True),
    "raw, in place": scene("raw", IN_PLACE, thin=True),
    "template, in place": scene("template", {**IN_PLACE, "template": "{{ access_token }}\n"}, thin=True),
    "dotenv, in place": scene("dotenv", {**KEY, **IN_PLACE}, found=ENV),
    "json, link followed": scene("json", {"symlink": "follow"}, link=True),
    "dotenv, link followed": scene("dotenv", KEY, found=ENV, link=True, thin=True),
    "json, link replaced": scene("json", {"symlink": "replace"}, found=b"other", old=False, link=True),
    "dotenv, link replaced": scene("dotenv", {**KEY, "symlink": "replace"}, found=ENV, old=False, link=True, thin=True),
    "json, given away": scene(
        "json", {"mode": "0640", "owner": str(STRANGER), "group": "12"}, found=b"{}", old=False, mode=0o644, root=True
    ),
    "json, removed": scene("json", action="remove"),
    "json, in place, removed": scene("json", IN_PLACE, action="remove"),
    "dotenv, removed": scene("dotenv", KEY, found=ENV, action="remove", thin=True),
    "dotenv, in place, removed": scene("dotenv", {**KEY, **IN_PLACE}, found=ENV, action="remove"),
    "patch, json": scene("patch", DOCKER, found=CONFIG),
    "patch, yaml": scene(
        "patch", {"format": "yaml", "set": (("/KEY/b", "{{ access_token }}"),)}, found=b"a: 1 # c\n", thin=True
    ),
    "patch, the first": scene("patch", DOCKER, old=False, thin=True),
    "patch, removed": scene("patch", DOCKER, found=CONFIG, action="remove", thin=True),
    "patch, in place": scene("patch", {**DOCKER, **IN_PLACE}, found=CONFIG, thin=True),
    "json, at start": scene("json", action="probe"),
    "dotenv, at start": scene("dotenv", KEY, found=ENV, action="probe"),
}
# The others are variations; all of them take a minute or two.
KILLED = by_default(SCENES, "dotenv, portable", "json, the first")
FAILED = by_default(SCENES, "raw")


@dataclass
class Stage:
    """A directory in which a scene is set again and again."""

    scene: Scene
    place: Path

    @property
    def job(self) -> SinkJob:
        keys = {
            key: value.format(place=self.place) if key == "template_file" else value for key, value in self.scene.keys
        }
        return SinkJob(self.scene.kind, str(self.place / "token"), tuple(keys.items()), self.scene.action)

    def set(self) -> None:
        """As it is before."""
        shutil.rmtree(self.place, ignore_errors=True)
        (self.place / "there").mkdir(parents=True)
        (self.place / "t.j2").write_text("{{ access_token }}\n")
        file = self.place / "token"
        if self.scene.link:
            file.symlink_to("there/file")
            file = self.place / "there" / "file"
        if self.scene.found is not None:
            file.write_bytes(self.scene.found)
            file.chmod(self.scene.mode)
            if self.scene.acl:
                os.setxattr(file, "system.posix_acl_access", acl())
        if self.scene.old:
            self.job.sink().write(lease(OLD))
        if self.scene.action == "probe":
            (self.place / ".token.tokend-0123abcd").write_bytes(b"half of a planted-fake")

    def go_on(self) -> Tree:
        """The next start, and the next attempt; what stands there then."""
        made = self.job.sink()
        made.probe()
        if self.scene.action == "write":
            made.write(lease(NEW))
        elif self.scene.action == "remove":
            made.remove()
        return tree(self.place)


@pytest.fixture
def cast() -> Iterator[Victims]:
    """Victims."""
    with victims() as ready:
        yield ready


def staged(name: str, cast: Victims) -> Stage:
    chosen = SCENES[name]
    if chosen.root and os.geteuid() != 0:
        pytest.skip("giving files to others needs root")
    if chosen.acl and not supports_acl(cast.directory):
        pytest.skip("this filesystem keeps no ACL")
    return Stage(chosen, cast.directory / "place")


@pytest.mark.parametrize("name", KILLED)
def test_killed_at_any_call_a_sink_leaves_the_old_or_the_new(cast: Victims, name: str) -> None:
    """docs/promises.md 55: and the next start sweeps what is left, and the next attempt brings the new one."""
    stage = staged(name, cast)
    stage.set()
    before = without_temporaries(tree(stage.place))
    outcome, points = cast.calls(stage.job)
    assert outcome.raised is None, outcome
    after = without_temporaries(tree(stage.place))
    seen = []
    for point in [*touching(points, stage.place), points[-1]]:  # the last: its end
        stage.set()
        outcome = cast.killed(stage.job, point)
        assert outcome.status == 9, f"{outcome} at {point}"
        held = without_temporaries(tree(stage.place))
        seen.append(held)
        if stage.scene.in_place:  # torn, as was asked for: only what it is of must be right
            held = {
                one: (*entry[:4], before[one][4] if one == "token" and one in before else entry[4])
                for one, entry in held.items()
            }
        assert held in (before, after), f"torn at {point}"
        # Of a torn .env file nothing but the key is known, and a torn one of another format is left alone.
        if not (stage.scene.in_place and stage.scene.kind in {"dotenv", "patch"}):
            assert stage.go_on() == after, f"not made good after {point}"
    assert seen[0] == before
    assert seen[-1] == after


@pytest.mark.parametrize("name", FAILED)
def test_failed_at_any_call_a_sink_leaves_the_old_or_the_new(cast: Victims, name: str) -> None:
    """docs/promises.md 39-44, 52, 60, 61: with every error that the call can meet, once and for good.

    It ends well, or with a `SinkError` that names the path; no temporary is left; the next attempt brings the new one.
    """
    stage = staged(name, cast)
    stage.set()
    before = without_temporaries(tree(stage.place))
    _, points = cast.calls(stage.job)
    after = without_temporaries(tree(stage.place))
    wrong = []
    for point in touching(points, stage.place):
        once = [(error, False) for error in errors(point, thin=stage.scene.thin)]
        for error, again in once if stage.scene.thin else [*once, ("EIO", True)]:
            stage.set()
            outcome = cast.failed(stage.job, point, error, again=again)
            where = f"{error}{' for good' if again else ''} at {point}: {outcome}"
            judged = judge(stage, outcome, error, before, after)
            # What cannot be cut cannot be put back.
            if judged == "torn" and again and point.name == "ftruncate" and stage.scene.in_place:
                continue
            if judged is not None:
                wrong.append(f"{judged}: {where}")
    assert not wrong, "\n".join(wrong)


def judge(stage: Stage, outcome: Outcome, error: str, before: Tree, after: Tree) -> str | None:
    """What is wrong with how it ended; None if nothing."""
    held = tree(stage.place)
    if outcome.status != 0 or outcome.raised not in (None, "SinkError"):
        return "it died, or of an error that nobody expects"
    if stage.scene.action == "probe":
        held = without_temporaries(held)
    if held not in (before, after):
        return "a temporary is left" if without_temporaries(held) in (before, after) else "torn"
    # There is nothing to remove, as the call said.
    told_so = error == "ENOENT" and outcome.returned is False
    if outcome.raised is None and held != after and not told_so:
        return "it says that all is well"
    if outcome.raised is not None and (fault := misworded(stage.place, outcome, error)):
        return fault
    return None if stage.go_on() == after else "not made good by the next attempt"


def misworded(place: Path, outcome: Outcome, error: str) -> str | None:
    """What the message lacks; None if nothing."""
    if error in {"EMFILE", "ENFILE"}:
        return "the reserve was not used"
    # Of an error that went on, a directory above may have been the first to report it.
    if not any(outcome.words.startswith(str(path)) for path in (place, *list(place.parents)[:-1])):
        return "the path is not named"
    if os.strerror(getattr(errno, error)) in outcome.words and not re.search(r"\([a-z]", outcome.words):
        return "the call is not named"
    return None
