"""The person's browser."""

from pathlib import Path

from tests.cli.running import eventually
from tokend.cli.login.open_browser import open_browser

ADDRESS = "https://login.example/authorize?state=fake"


def program(directory: Path, name: str, log: Path) -> Path:
    made = directory / name
    made.write_text(f'#!/bin/sh\necho "$0 $*" >> {log}\necho noise; echo noise >&2\n')
    made.chmod(0o755)
    return made


def opened(log: Path) -> str:
    assert eventually(lambda: log.exists() and log.read_text().endswith("\n"))
    return log.read_text()


def test_the_browser_of_the_environment_comes_first(tmp_path: Path) -> None:
    """With its own arguments."""
    log = tmp_path / "log"
    mine = program(tmp_path, "my-browser", log)
    program(tmp_path, "xdg-open", log)
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    assert open_browser(ADDRESS, {**environ, "BROWSER": f"{mine} --new %s:other"})
    assert opened(log) == f"{mine} --new {ADDRESS}\n"


def test_the_desktops_opener_is_used_where_there_is_no_other(tmp_path: Path) -> None:
    """Also where $BROWSER names a program that is not there, or cannot be read."""
    log = tmp_path / "log"
    xdg = program(tmp_path, "xdg-open", log)
    for browser in ("", "no-such-browser", "'"):
        log.unlink(missing_ok=True)
        assert open_browser(ADDRESS, {"PATH": str(tmp_path), "BROWSER": browser})
        assert opened(log) == f"{xdg} {ADDRESS}\n"


def test_gio_has_a_word_for_it_and_without_any_nothing_is_opened(tmp_path: Path) -> None:
    """The person opens the address then."""
    log = tmp_path / "log"
    assert not open_browser(ADDRESS, {"PATH": str(tmp_path)})
    gio = program(tmp_path, "gio", log)
    assert open_browser(ADDRESS, {"PATH": str(tmp_path)})
    assert opened(log) == f"{gio} open {ADDRESS}\n"
    gio.write_text("no program")
    assert not open_browser(ADDRESS, {"PATH": str(tmp_path)})
