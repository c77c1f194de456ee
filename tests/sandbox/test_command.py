"""`tokend sandbox`: options, announcement, errors."""

import http.client
import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from click.testing import CliRunner

from tests.sandbox.player import Play
from tests.sandbox.test_server import DEADLINE_SECONDS
from tokend.sandbox.command import command

Process: TypeAlias = "subprocess.Popen[bytes]"
Start: TypeAlias = Callable[..., Process]


def test_the_help_is_grouped_by_vendor_and_shows_the_accounts() -> None:
    """The defaults are documented there."""
    text = CliRunner().invoke(command, ["--help"], terminal_width=200).output
    sections = re.findall(r"^(\w[^\n]*):$", text, re.MULTILINE)
    assert [section.split()[0].rstrip(":,") for section in sections] == [
        "Server", "ProjectX", "Partner", "Trading", "Wallet", "Xerve", "Railway", "OAuth", "Vault", "GitHub", "Google",
    ]  # fmt: skip
    for account in ("sandbox-user", "sandbox-client", "sandbox-tt-key", "sandbox-wallet-key", "sandbox-xerve-secret"):
        assert account in text


@pytest.mark.parametrize(
    "arguments",
    [
        ["--ttl", "30"],
        ["--host", "0.0.0.0"],  # noqa: S104 - refused
        ["--fail-rate", "2"],
        ["--projectx-error-code", "11"],
        ["--tt-status", "Ok"],
        ["--port", "65536"],
        ["--unknown"],
    ],
)
def test_wrong_arguments_are_usage_errors(arguments: Any) -> None:
    """Exit code 2, before anything listens."""
    assert CliRunner().invoke(command, arguments).exit_code == 2


@pytest.fixture
def process() -> Iterator[Start]:
    """Start the command as a process, which ends with the test."""
    running: list[Process] = []

    def run(*arguments: str, env: Mapping[str, str] | None = None) -> Process:
        running.append(
            subprocess.Popen(
                [sys.executable, "-m", "tokend.sandbox", *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, **(env or {})},
            )
        )
        return running[-1]

    yield run
    for child in running:
        child.kill()
        child.communicate()


def first_line(child: Process) -> str:
    """Wait for the line with the URL."""
    assert child.stdout is not None
    assert select.select([child.stdout], [], [], DEADLINE_SECONDS)[0], "nothing was printed"
    return child.stdout.readline().decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_announces_itself_serves_and_ends_gracefully(process: Start, tmp_path: Path, number: int) -> None:
    """Where it listens and what it accepts on stdout, the port in the file; after a signal exit code 0 and no file."""
    port_file = tmp_path / "port"
    child = process(
        "--port-file", str(port_file), "--database", str(tmp_path / "db"), "--ttl", "30s", "--xerve-status", "500",
        env={"TOKEND_SANDBOX_PROJECTX_USERNAME": "somebody"},
    )  # fmt: skip
    match = re.fullmatch(r"listening on http://127\.0\.0\.1:(\d+)\n", first_line(child))
    assert match is not None
    assert port_file.read_text() == match[1] + "\n"
    connection = http.client.HTTPConnection("127.0.0.1", int(match[1]), timeout=DEADLINE_SECONDS)
    body = json.dumps({"userName": "somebody", "apiKey": "sandbox-projectx-key"})
    connection.request("POST", "/api/Auth/loginKey", body, {"Content-Type": "application/json"})
    assert json.loads(connection.getresponse().read())["success"] is True
    connection.request("POST", "/api/v1/generate-auth-token", b"{}")
    assert connection.getresponse().status == 500
    connection.close()
    child.send_signal(number)
    assert child.stdout is not None  # whose buffer holds the lines after the first: communicate() would lose them
    assert child.stderr is not None
    printed, errors = child.stdout.read().decode(), child.stderr.read()
    assert (child.wait(timeout=DEADLINE_SECONDS), errors) == (0, b"")
    assert 'username = (as given), api_key = "sandbox-projectx-key"' in printed
    assert 'client_secret = "sandbox-xerve-secret"' in printed
    assert f'base_url = "http://127.0.0.1:{match[1]}"' in printed
    assert "somebody" not in printed
    assert not port_file.exists()


def test_a_process_says_why_it_cannot_listen(process: Start, play: Play) -> None:
    """One line on stderr and exit code 1."""
    child = process("--port", str(play().sandbox.port))
    output, errors = child.communicate(timeout=DEADLINE_SECONDS)
    assert (child.returncode, output) == (1, b"")
    assert b"in use" in errors
    assert b"Traceback" not in errors
