"""The played API server owns fields as Kubernetes does: it is compared with the library that the real one uses.

No package brings a whole kube-apiserver. Debian has the library, golang-k8s-sigs-structured-merge-diff-dev.
"""

import json
import os
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.counterparts.programs import lack, program
from tests.sinks.stores.played_kubernetes import Ownership, leaves

SOURCE = Path(__file__).parent / "server_side_apply/main.go"
LIBRARIES = Path("/usr/share/gocode")
MANAGERS = ("tokend.a", "tokend.b", "kubectl-edit", "argocd")
FIELDS = [("data", "a"), ("data", "b"), ("data", "c"), ("metadata", "annotations", "tokend/writer.a"), ("type",)]
VALUES = ("1", "2")
BUILD_SECONDS = 300
LIVES, STEPS = 300, 12


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, built from the library."""
    go = program("go", package="apt-get install golang-go")
    if not (LIBRARIES / "src/sigs.k8s.io/structured-merge-diff").is_dir():
        lack("structured-merge-diff is not installed: apt-get install golang-k8s-sigs-structured-merge-diff-dev")
    path = tmp_path_factory.mktemp("go")
    place = path / "src/apply"
    place.mkdir(parents=True)
    shutil.copy(SOURCE, place)
    # It makes Go find the library, whose import path has a version, in a directory without one.
    (place / "go.mod").write_text("module apply\n")
    environ = {
        "PATH": os.environ["PATH"], "HOME": str(path), "GO111MODULE": "off", "GOPATH": f"{path}:{LIBRARIES}",
        "GOCACHE": str(path / "cache"), "CGO_ENABLED": "0",
    }  # fmt: skip
    subprocess.run([go, "build", "-o", str(path / "program"), "."], cwd=place, env=environ, check=True,
                   timeout=BUILD_SECONDS)  # fmt: skip
    return path / "program"


def tree(fields: dict[tuple[str, ...], str]) -> dict[str, Any]:
    """An object with these fields."""
    owner = Ownership()
    owner.fields = dict(fields)
    return owner.tree()


def life(draw: random.Random) -> list[dict[str, Any]]:
    """Steps of several managers. An update begins with what is there, as ``kubectl edit`` does."""
    owner, steps = Ownership(), []
    for _ in range(STEPS):
        manager, force = draw.choice(MANAGERS), draw.random() < 0.3
        operation = "Update" if manager == "kubectl-edit" else "Apply"
        if operation == "Update":
            fields = dict(owner.fields)
            for path in draw.sample(FIELDS, 2):
                fields[path] = draw.choice(VALUES)
            if draw.random() < 0.4:
                fields.pop(draw.choice(FIELDS), None)
            owner.update(manager, fields)
        else:
            fields = {path: draw.choice(VALUES) for path in draw.sample(FIELDS, draw.randint(0, 3))}
            owner.apply(manager, fields, force=force)
        steps.append({"operation": operation, "manager": manager, "force": force, "object": tree(fields)})
    return steps


def played(steps: list[dict[str, Any]]) -> list[Any]:
    """The states after each step, by the played server."""
    owner, states = Ownership(), []
    for step in steps:
        conflicts: list[tuple[str, tuple[str, ...]]] = []
        if step["operation"] == "Update":
            owner.update(step["manager"], leaves(step["object"]))
        else:
            conflicts = owner.apply(step["manager"], leaves(step["object"]), force=step["force"])
        owned = {
            f"{name}/{operation}": {shown(one) for one in paths} for (name, operation), paths in owner.managers.items()
        }
        states.append(({(name, shown(path)) for name, path in conflicts}, dict(owner.fields), owned))
    return states


def real(states: list[dict[str, Any]]) -> list[Any]:
    """The same by the library. It also says who owns the maps, of which nothing else takes notice."""
    known = {shown(path) for path in FIELDS}
    return [
        (
            {(one.split("/")[0], one.split(" ", 1)[1]) for one in state["Conflicts"]},
            {path: value for path, value in leaves(state["Object"] or {}).items() if value is not None},
            {name: owned for name, paths in state["Managers"].items() if (owned := known & set(paths))},
        )
        for state in states
    ]


def shown(path: tuple[str, ...]) -> str:
    """A path as the library writes it."""
    return "." + ".".join(path)


def test_the_played_server_owns_fields_as_kubernetes_does(library: Path) -> None:
    """Conflicts, values and owners after each step of random lives: the same."""
    draw = random.Random(20261130)
    lives = [life(draw) for _ in range(LIVES)]
    done = subprocess.run(
        [str(library)], input=json.dumps(lives), capture_output=True, text=True, check=True, timeout=60
    )
    met = set()
    for steps, states in zip(lives, json.loads(done.stdout), strict=True):
        for number, (ours, theirs) in enumerate(zip(played(steps), real(states), strict=True), 1):
            assert ours == theirs, json.dumps(steps[:number])
            met |= {(bool(ours[0]), steps[number - 1]["operation"], steps[number - 1]["force"])}
    assert {(True, "Apply", False), (False, "Apply", True), (False, "Update", False)} <= met
