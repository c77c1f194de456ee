"""Log lines for a terminal, by the real configuration, in a real process on a real terminal."""

import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest

from tokend.machine.console_log import COLUMNS, FEWEST_COLUMNS, ConsoleRenderer, columns_of

SCRIPT = """
import sys
from tokend.machine import logs
logs.configure(level="debug", form="auto")
log = logs.get_logger()
log.info("token.refreshed", token="topstepx", generation=17, advice=None, detail="", fingerprint="0123456789ab")
log.warning("sink.failed", token="tt", sink="json-1", detail="x" * 250)
log.error("config.refused", detail="/etc/tokend/config.toml:3:1: unknown key\\n  socke = 1\\n  ^^^^^\\x1b[2J")
try:
    {}["fake-secret"]
except KeyError:
    log.exception("worker.crashed", token="tt")
"""


def on_a_terminal(script: str, *, columns: int = 0, **environ: str) -> list[str]:
    """Run a program whose stderr is a terminal; returns its lines. 0 columns: the terminal does not know its width."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, columns))
    process = subprocess.Popen(
        [sys.executable, "-c", script], stderr=slave, env={"PATH": os.environ["PATH"], "TZ": "UTC", **environ}
    )
    os.close(slave)
    data = b""
    while True:
        try:
            data += os.read(master, 65536)
        except OSError:
            break  # EIO: the other side is closed
    os.close(master)
    assert process.wait(30) == 0
    return data.decode().replace("\r\n", "\n").splitlines()


def rendered(**event: Any) -> list[str]:
    """The lines of one event, without colours."""
    return ConsoleRenderer(colors=False)(None, "", {"timestamp": "12:00:00", "level": "info", **event}).split("\n")


def test_a_line_is_time_mark_token_and_sentence() -> None:
    """In local time, without fractions; keys without a value are left out."""
    first = on_a_terminal(SCRIPT, NO_COLOR="1")[0]
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d - topstepx     refreshed \(generation 17, fingerprint 0123456789ab\)", first
    ), first


def test_no_line_but_a_traceback_is_wider_than_a_hundred_columns() -> None:
    """A long word is broken, too; what follows is indented."""
    lines = on_a_terminal(SCRIPT, NO_COLOR="1")
    long = [line for line in lines if "xxx" in line]
    assert len(long) > 1
    assert all(len(line) <= COLUMNS for line in lines if not line.startswith(("Traceback", "  File")))
    assert all(line.startswith("    ") for line in long[1:])
    assert "".join(line.strip() for line in long).count("x") == 250


@pytest.mark.parametrize(("columns", "widest"), [(80, 80), (200, COLUMNS), (0, COLUMNS), (3, FEWEST_COLUMNS)])
def test_lines_are_as_wide_as_the_terminal(columns: int, widest: int) -> None:
    """At most a hundred columns, and forty where a terminal says something absurd."""
    lines = on_a_terminal(SCRIPT, columns=columns, NO_COLOR="1")
    assert max(len(line) for line in lines if "xxx" in line) == widest


def test_line_breaks_are_line_breaks_and_nothing_drives_the_terminal() -> None:
    """An excerpt stays aligned with its caret."""
    lines = on_a_terminal(SCRIPT, NO_COLOR="1")
    place = lines.index(next(line for line in lines if "config refused" in line))
    assert lines[place].endswith("x tokend       config refused: /etc/tokend/config.toml:3:1: unknown key")
    assert lines[place + 1 : place + 3] == ["      socke = 1", "      ^^^^^\\x1b[2J"]
    assert "\x1b" not in "".join(lines)


def test_a_traceback_shows_no_message_that_may_quote_a_secret() -> None:
    """As in every form of the log."""
    lines = on_a_terminal(SCRIPT, NO_COLOR="1")
    assert any(line.startswith("Traceback") for line in lines)
    assert "fake-secret" not in "".join(line for line in lines if "[" not in line or "KeyError" in line)


@pytest.mark.parametrize(("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_mark_and_name_are_coloured_on_a_terminal(environ: dict[str, Any], coloured: bool) -> None:
    """Unless NO_COLOR is set."""
    assert ("\x1b[32m- topstepx    \x1b[0m" in on_a_terminal(SCRIPT, **environ)[0]) is coloured


def test_each_level_has_a_mark() -> None:
    """ASCII, as any terminal can show it."""
    marks = [rendered(level=level, event="a.b")[0].split()[1] for level in ("debug", "info", "warning", "error")]
    assert marks == [".", "-", "!", "x"]


def test_what_concerns_no_token_is_said_by_tokend() -> None:
    """And keeps the whole name of the event; further keys and the advice follow."""
    assert rendered(event="socket.listening", path="/run/a", tokens=None) == [
        "12:00:00 - tokend       socket listening (path /run/a)"
    ]
    assert rendered(event="token.rejected", token="tt", detail="HTTP 401", advice="Check the key.") == [
        "12:00:00 - tt           rejected: HTTP 401. Check the key."
    ]
    assert rendered(event="token", token="tt") == ["12:00:00 - tt           token"]


def test_what_is_no_terminal_has_the_usual_width() -> None:
    """A file in the form "console", for example."""
    with Path(os.devnull).open() as file:
        assert columns_of(file.fileno()) == COLUMNS
