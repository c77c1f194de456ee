"""A search through what a run of the tests leaves: switched on by ``TOKEND_SEARCH_SECRETS=1`` (tests/conftest.py).

Every fake secret of the tests holds one of a few words, and every minted token is a JWT. A test fails by which, in its
captured output or in a log of a process that it started, one is found in any disguise; or after which a core dump, a
temporary file of tokend or a state file lies about that others can read. Directories are looked through as they are
removed: Python announces that beforehand.
"""

import stat
import sys
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.tables import SECRETS
from tests.secrets.search import JWT, forms
from tokend.files.temporaries import MARK

# What a test calls secret holds one of these; what is only a name does not.
WORDS = ("planted-fake", "obviously-fake", "fake-secret", "fake-token", "hunter2-")
MARKERS = [*WORDS, *(value for name, value in SECRETS.items() if name not in ("px-user",))]
NEEDLES = [(marker, form, needle) for marker in MARKERS for form, needle in forms(marker) if len(needle) >= len(marker)]
LARGEST_BYTES = 32 * 1024 * 1024


class Search:
    """The plugin."""

    def __init__(self) -> None:
        self.findings: list[str] = []
        sys.addaudithook(self._hear)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, Any, pytest.TestReport]:
        """Fail the test whose output, or whose directory, holds what it should not."""
        report: pytest.TestReport = yield
        for title, text in report.sections:
            self.findings += [f"{title}: {found}" for found in secrets_in(text.encode("utf-8", "replace"))]
        directory = getattr(item, "funcargs", {}).get("tmp_path")
        if report.when == "teardown" and directory is not None:
            self.findings += astray(directory)
        if self.findings and report.passed:
            report.outcome = "failed"
            report.longrepr = "\n".join(["secrets where none should be:", *self.findings])
        self.findings.clear()
        return report

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "shutil.rmtree":
            directory = Path(arguments[0])
            if directory.is_relative_to(tempfile.gettempdir()):
                self.findings += astray(directory)


def astray(directory: Path) -> Iterator[str]:
    """The files of a test's directory that show a secret to a wrong reader."""
    for path in sorted(directory.rglob("*")):
        try:
            found = path.lstat()
            if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST_BYTES:
                continue
            if path.name.startswith("core") and path.read_bytes()[:4] == b"\x7fELF":
                yield f"{path}: a core dump"
            elif path.name == "log" or path.suffix == ".log":
                yield from (f"{path}: {one}" for one in secrets_in(path.read_bytes()))
            elif (MARK in path.name or path.parent.name == "tokens") and found.st_mode & 0o077:
                yield from (f"{path}, mode {found.st_mode & 0o777:o}: {one}" for one in secrets_in(path.read_bytes()))
        except OSError:
            continue  # gone, or not for us


def secrets_in(data: bytes) -> list[str]:
    """Which words of secrets are in it, and in which disguise."""
    jwt = ["a JWT"] if JWT.search(data) else []
    return jwt + [f"{marker} ({form})" for marker, form, needle in NEEDLES if needle in data]
