"""`tokend check` and the start of `tokend run`, as an operator meets them: text, JSON, exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.config.written import KEY, PARTNER, PROJECTX, TT, written


def tokend(*arguments: str, environ: dict[str, str] | None = None, cwd: Path | None = None) -> Any:
    """Run the command as a process of its own, with next to no environment."""
    return subprocess.run(
        [sys.executable, "-m", "tokend", *arguments],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "KEY": KEY, "PYTHONUTF8": "1", **(environ or {})},
        cwd=cwd,
        timeout=60,
        check=False,
    )


def test_a_good_file_is_one_line_and_exit_code_0(tmp_path: Path) -> None:
    """On standard output; nothing else anywhere."""
    done = tokend("check", str(written(tmp_path, PARTNER + TT)))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{tmp_path}/config.toml: ok, 2 providers, 0 warnings\n"


def test_warnings_are_printed_and_are_no_errors(tmp_path: Path) -> None:
    """On standard error, with place, line and caret."""
    done = tokend("check", str(written(tmp_path, PARTNER.replace('{ env = "KEY" }', f'"{KEY}"'))))
    assert done.returncode == 0
    assert done.stdout.endswith("ok, 1 provider, 1 warning\n")
    assert done.stderr == (
        f"warning: {tmp_path}/config.toml:3:1: a secret stands in the file itself: use {{ file = }}, {{ env = }}, "
        '{ credential = } or { command = }\n    secret = "…"\n    ^\n'
    )


def test_errors_are_exit_code_2_and_a_page_that_can_be_read(tmp_path: Path) -> None:
    """Place, sentence, line, caret; the number at the end; nothing on standard output."""
    done = tokend("check", str(written(tmp_path, PARTNER + 'timout = "5m"\nttl = 5\n')))
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr
        == f"""\
{tmp_path}/config.toml:4:1: unknown key "timout"; known are access, algorithm, backdate, claims, header, headers, jti, \
kind, max_age, nonce, on_expiry, refresh_before, required, secret, sinks, time_unit, timeout, ttl; \
did you mean "timeout"?
    timout = "5m"
    ^
{tmp_path}/config.toml:5:1: ttl: a duration is a string with a unit: "500ms", "30s", "15m", "12h", "1d"
    ttl = 5
    ^
2 errors
"""
    )


def test_json_shows_the_same_to_programs(tmp_path: Path) -> None:
    """On standard output, an object with version 1; warnings have places too."""
    path = str(written(tmp_path, PARTNER + 'timout = "5m"\nttl = 5\n'))
    done = tokend("check", "-o", "json", path)
    answer = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (2, "")
    assert (answer["version"], answer["ok"], answer["warnings"]) == (1, False, [])
    assert [(e["file"], e["line"], e["column"]) for e in answer["errors"]] == [(path, 4, 1), (path, 5, 1)]
    assert 'did you mean "timeout"?' in answer["errors"][0]["message"]

    written(tmp_path, PARTNER.replace('{ env = "KEY" }', f'"{KEY}"'))
    done = tokend("check", "-o", "json", path)
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["ok"], answer["errors"]) == (0, True, [])
    assert [(w["file"], w["line"], w["column"]) for w in answer["warnings"]] == [(path, 3, 1)]
    assert KEY not in done.stdout


@pytest.mark.parametrize("output", ["text", "json"])
def test_a_file_that_is_not_there_is_exit_code_2_and_one_sentence(tmp_path: Path, output: str) -> None:
    """Which one, why that one, what to do."""
    done = tokend("check", "-o", output, environ={"TOKEND_CONFIG": f"{tmp_path}/none.toml"})
    assert done.returncode == 2
    said = json.loads(done.stdout)["errors"][0]["message"] if output == "json" else done.stderr.rstrip("\n")
    assert said.startswith(f"tokend: no configuration at {tmp_path}/none.toml (named by $TOKEND_CONFIG): there is none")
    assert "\n" not in said


def test_the_file_is_found_as_the_daemon_finds_it(tmp_path: Path) -> None:
    """Without an argument, by the environment; a relative argument from where one stands."""
    written(tmp_path, PARTNER)
    done = tokend("check", environ={"CONFIGURATION_DIRECTORY": f"{tmp_path}:/elsewhere"})
    assert done.stdout == f"{tmp_path}/config.toml: ok, 1 provider, 0 warnings\n"
    assert tokend("check", "config.toml", cwd=tmp_path).stdout.startswith(f"{tmp_path}/config.toml: ok")


@pytest.mark.parametrize(("environ", "code"), [({}, 2), ({"NOTIFY_SOCKET": "/nonexistent"}, 78)])
def test_run_refuses_a_wrong_configuration_as_systemd_expects(
    tmp_path: Path, environ: dict[str, str], code: int
) -> None:
    """2, or EX_CONFIG under systemd; all errors on standard error; nothing is started, no state made."""
    state = tmp_path / "state"
    text = f'[daemon]\nstate_directory = "{state}"\nsocket = "s"\n' + PROJECTX + "tmeout = 1\nttl = 1\n"
    done = tokend("run", "--config", str(written(tmp_path, text)), environ=environ)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.count("config.toml:") == 2
    assert 'did you mean "timeout"?' in done.stderr
    assert not state.exists()
    assert not (tmp_path / "s").exists()
