"""The Debian package, built by one command and lived through in a booted systemd.

It takes a minute, root, and a package index, so it runs only when asked for: ``TOKEND_PACKAGE_TESTS=1`` skips where
systemd cannot be booted, ``TOKEND_REQUIRE_SYSTEMD=1`` fails there.
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CANNOT_BOOT = 77
REQUIRED = os.environ.get("TOKEND_REQUIRE_SYSTEMD") == "1"

pytestmark = [
    pytest.mark.skipif(
        not REQUIRED and os.environ.get("TOKEND_PACKAGE_TESTS") != "1",
        reason="builds a package and boots a systemd: set TOKEND_PACKAGE_TESTS=1 (or TOKEND_REQUIRE_SYSTEMD=1)",
    ),
    pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="there is no dpkg-deb"),
    pytest.mark.xdist_group("packages"),
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project as it is now, also if it is edited meanwhile."""
    copy = tmp_path / "project"
    leave = shutil.ignore_patterns("__pycache__", ".*_cache", ".git", "tests", "*.egg-info")
    shutil.copytree(ROOT, copy, ignore=leave, symlinks=True)
    return copy


def _build(project: Path, directory: Path, revision: str) -> Path:
    command = [str(project / ".ci/package"), "--revision", revision, "--output", str(directory)]
    environ = os.environ | {"SOURCE_DATE_EPOCH": "1700000000"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def _content(package: Path) -> str:
    done = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], capture_output=True, check=True)
    return hashlib.sha256(done.stdout).hexdigest()


def test_a_package_serves_survives_its_upgrade_and_leaves_nothing_after_a_purge(tmp_path: Path, project: Path) -> None:
    """Built twice from the same sources the content is the same; the rest is in ``inside.sh``."""
    made = tmp_path / "made"
    packages = [_build(project, made, "1"), _build(project, made, "2")]
    assert _content(packages[0]) == _content(packages[1])
    command = [
        str(ROOT / "tests/systemd/boot"),
        *(["--require"] if REQUIRED else []),
        "--bind",
        f"{made}:/mnt/packages",
    ]
    done = subprocess.run(
        [*command, str(ROOT / "tests/packages/inside.sh"), *(f"/mnt/packages/{package.name}" for package in packages)],
        env=os.environ | {"BOOT_SECONDS": "120"},
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode == CANNOT_BOOT:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
