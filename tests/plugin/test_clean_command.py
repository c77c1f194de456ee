"""Programs of kinds: their environment, their limits, and programs that somebody else could change."""

from pathlib import Path

import pytest

from tokend.plugin.clean_command import run_clean
from tokend.values.errors import UnsafePathError
from tokend.values.secret import Secret

ENVIRON = {"PATH": "/usr/bin:/bin", "HOME": "/home/fake", "PLANTED": "obviously-fake"}


def test_a_program_gets_what_it_needs_to_run_and_what_is_added_and_nothing_else() -> None:
    """Variables of the daemon may hold secrets of other providers."""
    added = {"HOME": Secret("/home/other"), "KEY": Secret(b"fake-\xff")}
    ended = run_clean(["env", "-0"], added, seconds=10, output_limit=4096, environ=ENVIRON)
    assert ended.status == 0
    assert set(ended.output.split(b"\0")) == {b"PATH=/usr/bin:/bin", b"HOME=/home/other", b"KEY=fake-\xff", b""}


def test_no_shell_reads_the_words() -> None:
    """A word is an argument, whatever is in it."""
    ended = run_clean(["printf", "%s|%s", "$HOME; id", "*"], {}, seconds=10, output_limit=4096, environ=ENVIRON)
    assert ended.output == b"$HOME; id|*"


def test_a_program_that_everybody_may_change_is_not_run(tmp_path: Path) -> None:
    """It is looked for in the PATH that the program gets."""
    program, mark = tmp_path / "mint", tmp_path / "ran"
    program.write_text(f"#!/bin/sh\n: > {mark}\n")
    program.chmod(0o777)
    with pytest.raises(UnsafePathError, match="unsafe path"):
        run_clean(["mint"], {"PATH": Secret(str(tmp_path))}, seconds=10, output_limit=10, environ=ENVIRON)
    assert not mark.exists()
    program.chmod(0o755)
    added = {"PATH": Secret(f"{tmp_path}:/bin")}
    assert run_clean(["mint"], added, seconds=10, output_limit=10, environ=ENVIRON).status == 0
    assert mark.exists()
