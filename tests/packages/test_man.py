"""The man pages: complete, and readable without a complaint."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tokend.api.routes import PLACES, TOKEN_PLACES
from tokend.cli.commands import COMMANDS
from tokend.values.errors import ReaderError

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs/man").iterdir())


def made(page: Path) -> str:
    """A page as the package installs it."""
    command = [sys.executable, str(ROOT / ".ci/manual.py"), str(page), str(ROOT / "config.toml.example")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout


def plain(page: str) -> str:
    """What roff makes of the marked hyphens."""
    return made(ROOT / "docs/man" / page).replace(r"\-", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_is_shown_without_warnings(page: Path) -> None:
    """man finds nothing to complain about; each page names itself."""
    if shutil.which("man") is None or shutil.which("troff") is None:
        pytest.skip("there is no man")
    text = made(page)
    assert "@" not in "".join(line for line in text.splitlines() if line.startswith('.\\"'))
    done: subprocess.CompletedProcess[str] = subprocess.run(
        ["man", "--warnings=all", "--local-file", "-"],
        input=text,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MANPAGER": "cat"},
    )
    assert done.returncode == 0
    assert done.stderr == ""
    assert page.name.partition(".")[0] in done.stdout


def test_every_command_and_option_is_on_its_page() -> None:
    """They come from the program itself: a new one cannot be forgotten."""
    page = plain("tokend.1")
    for name in COMMANDS:
        assert f".Sy tokend {name} " in page
    assert "--min-ttl" in page


def test_every_key_is_on_its_page() -> None:
    """The example, which another test holds complete, loses no line of settings on the way."""
    page = re.sub(r" +", " ", plain("config.toml.5").replace(r"\(aq", "'").replace(r"\e", "\\"))
    example = (ROOT / "config.toml.example").read_text(encoding="utf-8")
    settings = re.findall(r"^#(\w+ = .*|\[.*\])$", example, flags=re.MULTILINE)
    assert len(settings) > 50
    for setting in settings:
        wanted = re.sub(r" +", " ", setting).replace("~", r"\(ti").replace("`", r"\(ga").replace("^", r"\(ha")
        assert f"\n{wanted}\n" in page


def test_every_request_and_every_error_code_is_on_its_page() -> None:
    """What the server routes and refuses, and nothing by another name."""
    page = plain("tokend-api.7")
    for path, methods in PLACES.items():
        for method in methods:
            assert f".It Li {method} /{path}\n" in page
    for path, methods in TOKEN_PLACES.items():
        for method in methods:
            item = f".It Li {method} /v1/tokens/ Ns Ar name"
            assert f"{item} Ns Li /{path}\n" in page if path else f"{item}\n" in page
    sources = "".join(path.read_text() for room in ("api", "httpd") for path in (ROOT / "tokend" / room).glob("*.py"))
    codes = {kind.code for kind in ReaderError.__subclasses__()} | set(re.findall(r'\b\d{3}, "(\w+)"', sources))
    assert len(codes) > 10
    for code in codes:
        assert f".It Li {code}\n" in page
