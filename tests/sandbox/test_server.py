"""The sandbox as a server and as a process: connections, hosts, options, signals."""

import http.client
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from tokend.sandbox import Options, start
from tokend.sandbox.command import command
from tokend.sandbox.options import parse_duration

DEADLINE_SECONDS = 20


def raw(player, data):
    """Send bytes and give all that comes back until the connection ends."""
    with socket.create_connection(("127.0.0.1", player.sandbox.port), timeout=DEADLINE_SECONDS) as connection:
        connection.sendall(data)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_connection_serves_many_requests(play):
    """HTTP/1.1 keep-alive, with a Date that is right."""
    address = urlsplit(play().sandbox.url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=DEADLINE_SECONDS)
    sockets = set()
    for _ in range(3):
        connection.request("GET", "/portfolio")
        reply = connection.getresponse()
        reply.read()
        assert parsedate_to_datetime(reply.headers["date"]).timestamp() == pytest.approx(time.time(), abs=20)
        sockets.add(connection.sock)
    connection.close()
    assert len(sockets) == 1
    assert None not in sockets


@pytest.mark.parametrize("host", ["example.com", "127.0.0.1.example.com", "[", ""])
def test_a_foreign_host_name_is_misdirected(play, host):
    """Loopback only, also by name: a web page cannot reach the sandbox under a name of its own."""
    player = play()
    assert player.call("GET", "/portfolio", headers={"Host": host}).status == 421
    assert player.control("requests").json["counts"] == {}


def test_browsers_may_not_steer(play):
    """An Origin header on a control request is refused."""
    answer = play().call("POST", "/_sandbox/clock", {"skew": 1}, headers={"Origin": "http://localhost"})
    assert answer.status == 403


@pytest.mark.parametrize("path", ["/", "/nowhere", "/api/auth/loginkey", "/_sandbox/nowhere", "/_sandboxed"])
def test_an_unknown_path_is_a_404(play, path):
    """Paths are exact."""
    assert play().call("GET", path).status == 404


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Content-Length: 65537", 413),
        (b"Content-Length: 99999999999999999999", 413),
        (b"Content-Length: x", 411),
        (b"Content-Length: -1", 411),
        (b"Transfer-Encoding: chunked", 411),
    ],
)
def test_a_body_of_unknown_or_huge_length_is_refused_and_the_connection_ends(play, head, status):
    """64 KiB at most, with a length."""
    answer = raw(play(), b"POST /portfolio HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/Auth/loginKey", 405),
        ("POST", "/portfolio", 405),
        ("GET", "/ttid/ext_uat_cert/token", 403),
        ("GET", "/api/wallet/transfer", 405),
        ("GET", "/api/v1/generate-auth-token", 405),
        ("HEAD", "/portfolio", 405),
        ("POST", "/_sandbox/requests", 404),
    ],
)
def test_another_method_is_refused_in_the_vendors_way(play, method, path, status):
    """Each endpoint has one method."""
    assert play().call(method, path).status == status


def test_what_is_not_http_is_refused_without_an_echo(play):
    """The error page of the standard library would repeat the line."""
    answer = raw(play(), b"secret-in-a-line\r\n\r\n")
    assert b"400" in answer
    assert b"secret" not in answer


def test_closing_cuts_waits_short_and_ends_idle_connections_and_threads():
    """Neither a slow answer nor a client that keeps its connection holds a test up."""
    before = set(threading.enumerate())
    sandbox = start(Options(latency=3600.0))
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=DEADLINE_SECONDS) as waiting:
        waiting.sendall(b"GET /portfolio HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with socket.create_connection(("127.0.0.1", sandbox.port), timeout=DEADLINE_SECONDS):
            began = time.monotonic()
            sandbox.close()
            sandbox.close()
            assert time.monotonic() - began < DEADLINE_SECONDS
    assert set(threading.enumerate()) <= before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", sandbox.port), timeout=DEADLINE_SECONDS)


def test_a_taken_port_is_an_error_that_leaves_nothing_behind(play):
    """start raises OSError."""
    port = play().sandbox.port
    with pytest.raises(OSError, match="in use"):
        start(Options(port=port))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])  # noqa: S104 - refused
def test_only_loopback_can_be_listened_on(host):
    """Anything else is an error before a socket exists."""
    with pytest.raises(ValueError, match="loopback"):
        Options(host=host)


@pytest.mark.parametrize(
    "options",
    [
        {"fail_rate": 1.5},
        {"fail_rate": float("nan")},
        {"clock_skew": float("inf")},
        {"no_projectx_exp": True, "projectx_expires_in_field": True, "ttl": 30.0},
    ],
)
def test_options_that_contradict_are_refused(options):
    """The last would promise a minute and keep half of it."""
    with pytest.raises(ValueError, match=r"fail rate|clock skew|whole minutes"):
        Options(**options)


@pytest.mark.parametrize(
    ("text", "seconds"), [("1ms", 0.001), ("30s", 30), ("15m", 900), ("12h", 43200), ("1d", 86400)]
)
def test_durations_have_units(text, seconds):
    """[1-9][0-9]*(ms|s|m|h|d)."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "30", "0s", "1.5s", "-1s", "1 s", "01s", "1w", "999999999d", "٣s"])
def test_other_durations_are_errors(text):
    """A bare number is an error, like all else."""
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


def test_the_options_show_nothing_of_themselves():
    """Somebody may give a real secret."""
    assert "planted" not in repr(Options(tt_api_secret="planted"))


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


def test_ipv6_loopback_has_brackets_in_its_url():
    """--host ::1."""
    try:
        sandbox = start(Options(host="::1"))
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with sandbox:
        address = urlsplit(sandbox.url)
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=DEADLINE_SECONDS)
        connection.request("GET", "/portfolio")
        assert connection.getresponse().status == 401
        connection.close()
