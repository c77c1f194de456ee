"""The sandbox as a server and as a process: connections, hosts, options, signals."""

import http.client
import socket
import threading
import time
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import pytest

from tests.daemon.harness import loopback_address
from tests.sandbox.player import Play, Player
from tokend.sandbox import Options, start

DEADLINE_SECONDS = 20


def raw(player: Player, data: bytes) -> bytes:
    """Send bytes and give all that comes back until the connection ends."""
    with socket.create_connection(("127.0.0.1", player.sandbox.port), timeout=DEADLINE_SECONDS) as connection:
        connection.sendall(data)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_connection_serves_many_requests(play: Play) -> None:
    """HTTP/1.1 keep-alive, with a Date that is right."""
    address = urlsplit(play().sandbox.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=DEADLINE_SECONDS)
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
def test_a_foreign_host_name_is_misdirected(play: Play, host: str) -> None:
    """Loopback only, also by name: a web page cannot reach the sandbox under a name of its own."""
    player = play()
    assert player.call("GET", "/portfolio", headers={"Host": host}).status == 421
    assert player.control("requests").json["counts"] == {}


def test_browsers_may_not_steer(play: Play) -> None:
    """An Origin header on a control request is refused."""
    answer = play().call("POST", "/_sandbox/clock", {"skew": 1}, headers={"Origin": "http://localhost"})
    assert answer.status == 403


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Content-Length: 65537", 413),
        (b"Content-Length: 99999999999999999999", 413),
        (b"Content-Length: x", 411),
        (b"Content-Length: -1", 411),
        (b"Transfer-Encoding: gzip, chunked", 411),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 5", 411),
    ],
)
def test_a_body_of_unknown_or_huge_length_is_refused_and_the_connection_ends(
    play: Play, head: bytes, status: int
) -> None:
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
def test_another_method_is_refused_in_the_vendors_way(play: Play, method: str, path: str, status: int) -> None:
    """Each endpoint has one method."""
    assert play().call(method, path).status == status


def test_what_is_not_http_is_refused_without_an_echo(play: Play) -> None:
    """The error page of the standard library would repeat the line."""
    answer = raw(play(), b"secret-in-a-line\r\n\r\n")
    assert b"400" in answer
    assert b"secret" not in answer


def test_closing_cuts_waits_short_and_ends_idle_connections_and_threads() -> None:
    """Neither a slow answer nor a client that keeps its connection holds a test up."""
    before = set(threading.enumerate())
    host = loopback_address().partition(":")[0]  # no other program takes the port when it is closed
    sandbox = start(Options(host=host, latency=3600.0))
    with socket.create_connection((host, sandbox.port), timeout=DEADLINE_SECONDS) as waiting:
        waiting.sendall(b"GET /portfolio HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with socket.create_connection((host, sandbox.port), timeout=DEADLINE_SECONDS):
            began = time.monotonic()
            sandbox.close()
            sandbox.close()
            assert time.monotonic() - began < DEADLINE_SECONDS
    assert set(threading.enumerate()) <= before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, sandbox.port), timeout=DEADLINE_SECONDS)


def test_a_taken_port_is_an_error_that_leaves_nothing_behind(play: Play) -> None:
    """start raises OSError."""
    port = play().sandbox.port
    with pytest.raises(OSError, match="in use"):
        start(Options(port=port))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])  # noqa: S104 - refused
def test_only_loopback_can_be_listened_on(host: str) -> None:
    """Anything else is an error before a socket exists."""
    with pytest.raises(ValueError, match="loopback"):
        Options(host=host)


def test_ipv6_loopback_has_brackets_in_its_url() -> None:
    """--host ::1."""
    try:
        sandbox = start(Options(host="::1"))
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with sandbox:
        address = urlsplit(sandbox.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=DEADLINE_SECONDS)
        connection.request("GET", "/portfolio")
        assert connection.getresponse().status == 401
        connection.close()


def test_a_port_can_be_taken_again_at_once_although_connections_were_open() -> None:
    """The end of a connection that the server closed is kept by the kernel for a minute (TIME_WAIT)."""
    with start(Options()) as sandbox:
        port = sandbox.port
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(b"GET /_sandbox HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(1)
    with connection:
        assert b"".join(iter(lambda: connection.recv(65536), b""))  # the server closed first
    with start(Options(port=port)) as again:
        assert again.port == port
