"""Programs that read `.env` files themselves, where they are installed: they read what was written."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.behaviour.readers.programs import needs_npm_package
from tests.sinks.files.dotenv_values import values
from tests.sinks.leases import PLANTED
from tokend.sinks.files.dotenv_format import Style, UnencodableError, edit, encode

SYSTEMD = Path("/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator")
VALUES = [
    *(PLANTED, "", "a=b==", "a:b", "~a", "=a", "a b", "  a  ", "a\tb", 'a"b', 'say "x" # y', "a#b", " #a", "a`b"),
    *("a\\b", "\\n", "é😀", "it's", "it's #1", "a$b", "$HOME", "$(x)", "${HOME}", "!x", "%s", "*", "a;b", "a&b", "a|b"),
    *("(a)", "{a}", "[a]", "<a>", "'", '"'),
]


def written(style: Style) -> tuple[dict[str, str], bytes]:
    """All values that can be written in a style, and the file, with another program's lines around them."""
    wanted, content = {}, b"# theirs\nA='1 2'\n"
    for index, value in enumerate(VALUES):
        try:
            content = edit(content, {f"K{index}": encode(value, style)})
        except UnencodableError:
            continue
        wanted[f"K{index}"] = value
    return wanted, content


def read_by_shell(shell: str, path: Path) -> dict[str, str]:
    done = subprocess.run(
        [shell, "-c", 'set -a; . "$1"; exec env -0', "sh", path],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        check=True,
    )
    assert done.stderr == b""
    return dict(pair.split("=", 1) for pair in done.stdout.decode().split("\0") if pair)


def file_of(values: list[str], style: Style) -> tuple[dict[str, str], bytes]:
    """Values that can be written, and the file of all of them as K0, K1, …"""
    writable, content = {}, b""
    for index, value in enumerate(values):
        try:
            written = encode(value, style)
        except UnencodableError:
            continue
        writable[f"K{index}"] = value
        content = edit(content, {f"K{index}": written})
    return writable, content


@pytest.mark.parametrize("shell", ["bash", "dash"])
@pytest.mark.parametrize("style", ["portable", "quoted", "posix"])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(values, min_size=30, max_size=30))
def test_what_is_written_is_read_back_by_shells(tmp_path: Path, shell: str, style: Style, values: list[str]) -> None:
    """``set -a; . ./.env``: nothing is expanded, nothing is run (docs/promises.md 115)."""
    written, content = file_of(values, style)
    (tmp_path / ".env").write_bytes(content)
    try:
        read_back = read_by_shell(shell, tmp_path / ".env")
    except FileNotFoundError:
        pytest.skip(f"{shell} is not installed")
    assert {key: read_back.get(key) for key in written} == written


def test_what_is_written_runs_nothing(tmp_path: Path) -> None:
    """docs/promises.md 115: the usual injections, in the style that is for shells."""
    for attack in ("$(touch pwned)", "`touch pwned`", '"; touch pwned; "', "'; touch pwned; '", "a; touch pwned", "\\"):
        (tmp_path / ".env").write_bytes(edit(b"", {"KEY": encode(attack, "posix")}))
        assert read_by_shell("sh", tmp_path / ".env")["KEY"] == attack
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("style", ["portable", "quoted"])
def test_node_reads_what_was_written(tmp_path: Path, style: Style) -> None:
    """``node --env-file`` (20.6 and later)."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < (20, 6):
        pytest.skip(f"node {version.strip()} knows no --env-file")
    wanted, content = written(style)
    (tmp_path / ".env").write_bytes(content)
    argv = [node, f"--env-file={tmp_path / '.env'}", "-e", "console.log(JSON.stringify(process.env))"]
    done = subprocess.run(argv, env={"PATH": os.environ["PATH"]}, capture_output=True, check=True)
    read = json.loads(done.stdout)
    assert {key: read.get(key) for key in wanted} == wanted
    assert read["A"] == "1 2"


@pytest.mark.parametrize("style", ["portable", "quoted"])
def test_the_dotenv_package_of_npm_reads_what_was_written(tmp_path: Path, style: Style) -> None:
    """``require('dotenv').config()``, with the package where $NODE_PATH says."""
    needs_npm_package("dotenv")
    wanted, content = written(style)
    (tmp_path / ".env").write_bytes(content)
    program = "console.log(JSON.stringify(require('dotenv').config({ path: '.env', quiet: true }).parsed))"
    done = subprocess.run(["node", "-e", program], cwd=tmp_path, capture_output=True, check=True)
    read = json.loads(done.stdout)
    assert {key: read.get(key) for key in wanted} == wanted
    assert read["A"] == "1 2"


def test_systemd_reads_what_was_written(tmp_path: Path) -> None:
    """By its own parser of environment files, in the one program that runs it without a service manager."""
    if not SYSTEMD.exists():
        pytest.skip("systemd's environment generator is not installed")
    wanted, content = written("portable")
    # The generator itself leaves out empty variables and spells a tab in its output.
    wanted = {key: value for key, value in wanted.items() if value and "\t" not in value}
    place = tmp_path / "environment.d"
    place.mkdir()
    (place / "tokend.conf").write_bytes(content)
    environ = {"PATH": os.environ["PATH"], "XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run([SYSTEMD], env=environ, capture_output=True, text=True, check=True)
    # Its output is quoted for shells.
    (tmp_path / "output").write_text(done.stdout)
    read = read_by_shell("bash", tmp_path / "output")
    assert read["A"] == "1 2"
    assert {key: read.get(key) for key in wanted} == wanted


def test_a_bare_value_is_read_by_readers_that_know_no_quotes() -> None:
    """docker and podman take the line behind the first ``=`` as it is: every JWT must be written so."""
    for value in (PLANTED, "a=b==", "x/y+z@h%2C,^-._0"):
        line = edit(b"", {"KEY": encode(value, "portable")}).decode().rstrip("\n")
        assert line.partition("=") == ("KEY", "=", value)
