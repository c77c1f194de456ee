"""`tokend sandbox`: options, announcement, errors."""

import http.client
import json
import os
import re
import select
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from tests.sandbox.test_server import DEADLINE_SECONDS
from tokend.sandbox.command import command


def test_the_help_is_grouped_by_vendor_and_shows_the_accounts():
    """The defaults are documented there."""
    text = CliRunner().invoke(command, ["--help"], terminal_width=200).output
    sections = re.findall(r"^(\w[^\n]*):$", text, re.MULTILINE)
    assert [section.split()[0].rstrip(":,") for section in sections] == [
        "Server", "ProjectX", "Partner", "Trading", "Wallet", "Xerve",
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
def test_wrong_arguments_are_usage_errors(arguments):
    """Exit code 2, before anything listens."""
    assert CliRunner().invoke(command, arguments).exit_code == 2


@pytest.fixture
def process(tmp_path):
    """Run the command as a process; ended with the test whatever happens."""
    running = []

    def run(*arguments, env=None):
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


def first_line(child):
    """Wait for the line that says where it listens."""
    assert select.select([child.stdout], [], [], DEADLINE_SECONDS)[0], "nothing was printed"
    return child.stdout.readline().decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_announces_itself_serves_and_ends_gracefully(process, tmp_path, number):
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
    told, errors = child.stdout.read().decode(), child.stderr.read()
    assert (child.wait(timeout=DEADLINE_SECONDS), errors) == (0, b"")
    assert 'username = (as given), api_key = "sandbox-projectx-key"' in told
    assert 'client_secret = "sandbox-xerve-secret"' in told
    assert f'base_url = "http://127.0.0.1:{match[1]}"' in told
    assert "somebody" not in told
    assert not port_file.exists()


def test_a_process_says_why_it_cannot_listen(process, play):
    """One line on stderr and exit code 1."""
    child = process("--port", str(play().sandbox.port))
    output, errors = child.communicate(timeout=DEADLINE_SECONDS)
    assert (child.returncode, output) == (1, b"")
    assert b"in use" in errors
    assert b"Traceback" not in errors
