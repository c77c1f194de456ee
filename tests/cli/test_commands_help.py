"""What a newcomer reads: the overview, each command's help, the version, and what was nearly right."""

import re

import pytest

from tests.cli.running import tokend
from tokend import __version__
from tokend.cli.commands import COMMANDS

# All commands that people were promised.
PROMISED = {
    "run", "get", "header", "issue", "request-id", "list", "status", "refresh", "forget", "verify", "reload", "check",
    "sandbox", "demo", "version", "watch", "exec", "credential", "schema", "completion",
}  # fmt: skip
CODES = (0, 1, 2, 3, 4, 5, 6, 7, 75, 78, 124)


def test_the_overview_lists_every_command_and_every_exit_code() -> None:
    """`tokend --help`: all commands, all exit codes."""
    done = tokend("--help")
    assert (done.code, done.err) == (0, "")
    assert set(COMMANDS) >= PROMISED
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", done.out, re.MULTILINE), name
    codes = done.out.partition("Exit codes:")[2]
    assert all(re.search(rf"\b{code} ", codes) for code in CODES)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(name: str) -> None:
    """`tokend NAME --help`: usage and a sentence, exit code 0, no daemon needed."""
    done = tokend(name, "--help", TOKEND_SOCKET="/nowhere")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"Usage: tokend {name} ")
    assert "-h, --help" in done.out


def test_version_prints_the_version() -> None:
    """`tokend version`, and the option that people try first."""
    assert tokend("version").out == f"tokend {__version__}\n"
    assert tokend("--version").out == f"tokend {__version__}\n"


def test_a_near_miss_is_understood_and_still_wrong() -> None:
    """An unknown command: exit code 2, and what was meant."""
    done = tokend("lst")
    assert (done.code, done.out) == (2, "")
    assert "No such command 'lst'. Did you mean 'list'?" in done.err
    assert tokend("xyzzy").code == 2


def test_without_a_command_there_is_the_overview() -> None:
    """Nothing asked, nothing done: the overview, exit code 2."""
    done = tokend()
    assert done.code == 2
    assert "Commands" not in done.out
    assert "Ask for tokens:" in done.err
