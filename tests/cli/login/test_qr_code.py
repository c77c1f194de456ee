"""A QR code on a terminal."""

import sys

import pytest

from tokend.cli.login.qr_code import qr_lines

ADDRESS = "https://login.example/device?user_code=ABCD-EFGH"


def modules(lines: list[str]) -> list[str]:
    """The rows of modules that the lines show, "#" for a dark one."""
    shown = {"█": "  ", "▀": " #", "▄": "# ", " ": "##"}
    rows: list[str] = []
    for line in lines:
        text = line.removeprefix("\x1b[97;40m").removesuffix("\x1b[0m")
        rows += ["".join(shown[one][half] for one in text) for half in (0, 1)]
    return rows


def test_the_code_has_its_marks_and_a_quiet_zone() -> None:
    """Three finder patterns, and light around everything."""
    lines = qr_lines(ADDRESS, columns=80)
    assert lines is not None
    rows = modules(lines)
    width = len(rows[0])
    assert {len(row) for row in rows} == {width}
    for quiet in (*rows[:2], *rows[width - 2 : width]):
        assert not quiet.strip()
    finder = "#######"
    assert rows[2][2:9] == rows[8][2:9] == rows[2][-9:-2] == rows[width - 3][2:9] == finder
    assert not any(row[:2].strip() or row[-2:].strip() for row in rows)


def test_a_terminal_that_is_too_narrow_gets_none() -> None:
    """A broken code is worse than none."""
    lines = qr_lines(ADDRESS, columns=80)
    assert lines is not None
    width = len(modules(lines)[0])
    assert qr_lines(ADDRESS, columns=width) is not None
    assert qr_lines(ADDRESS, columns=width - 1) is None


def test_without_the_extra_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address and the code are enough."""
    monkeypatch.setitem(sys.modules, "segno", None)
    assert qr_lines(ADDRESS, columns=80) is None
