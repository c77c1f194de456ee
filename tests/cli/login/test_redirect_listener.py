"""The listener for a browser at the end of a login: what it takes, what it refuses, what it says."""

import hashlib
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import pytest

from tests.daemon.harness import loopback_address
from tokend.cli.login.certificate import server_context
from tokend.cli.login.redirect_listener import LARGEST_REQUEST_BYTES, MOST_CONNECTIONS, RedirectListener

PATIENCE_SECONDS = 10.0
QUERY = "?code=fake-code&state=fake-state"


@contextmanager
def listening(
    path: str = "/", host: str = "127.0.0.1", context: ssl.SSLContext | None = None
) -> Iterator[RedirectListener]:
    listener = RedirectListener()
    try:
        scheme = "http" if context is None else "https"
        listener.serve(f"{scheme}://{host}:{listener.port}{path}", context)
        yield listener
    finally:
        listener.close()


def ask(
    listener: RedirectListener,
    target: str = "/" + QUERY,
    *,
    method: str = "GET",
    host: str | None = None,
    address: str = "127.0.0.1",
) -> str:
    """Send one request as a browser, and return the whole answer."""
    named = f"{address}:{listener.port}" if host is None else host
    return say(listener, f"{method} {target} HTTP/1.1\r\nHost: {named}\r\n\r\n".encode(), address=address)


def say(listener: RedirectListener, text: bytes, *, address: str = "127.0.0.1") -> str:
    with socket.create_connection((address, listener.port), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(text)
        received = b""
        while chunk := connection.recv(4096):
            received += chunk
    return received.decode()


def answered(listener: RedirectListener, page: str = "done", target: str = "/" + QUERY, **more: str) -> tuple[str, str]:
    """A browser arrives and is shown a page; returns the address and the answer."""
    answers: list[str] = []
    browser = threading.Thread(target=lambda: answers.append(ask(listener, target, **more)))
    browser.start()
    assert select.select([listener], [], [], PATIENCE_SECONDS)[0]
    arrival = listener.take()
    assert arrival is not None
    arrival.answer(page)  # type: ignore[arg-type]
    browser.join()
    return arrival.address, answers[0]


@pytest.mark.parametrize(
    ("page", "status", "text"),
    [
        ("done", 200, "You are logged in"),
        ("failed", 400, "The login has failed"),
        ("later", 202, "not finished yet"),
        ("refused", 400, "no address of the login under way"),
    ],
)
def test_a_browser_arrives_and_is_shown_a_page_that_repeats_nothing(page: str, status: int, text: str) -> None:
    """Not cached, not framed, and without a referrer."""
    with listening() as listener:
        address, answer = answered(listener, page)
        assert address == f"http://127.0.0.1:{listener.port}/{QUERY}"
    head, _, body = answer.partition("\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ")
    assert text in body
    for header in (
        "Cache-Control: no-store",
        "Referrer-Policy: no-referrer",
        "Content-Security-Policy: default-src 'none'",
    ):
        assert header in head
    assert "fake-code" not in answer
    assert "fake-state" not in answer


@pytest.mark.parametrize(
    ("request_line", "host", "status"),
    [
        (f"POST /{QUERY} HTTP/1.1", None, 405),
        (f"HEAD /{QUERY} HTTP/1.1", None, 405),
        (f"GET /other{QUERY} HTTP/1.1", None, 404),
        ("GET /favicon.ico HTTP/1.1", None, 404),
        ("GET / HTTP/1.1", None, 400),
        (f"GET /{QUERY} HTTP/1.1", "evil.example", 421),
        (f"GET /{QUERY} HTTP/1.1", "127.0.0.1", 421),
        (f"GET /{QUERY} HTTP/1.1", "localhost:{port}", 421),
        (f"GET /{QUERY} HTTP/2", None, 400),
        (f"GET http://127.0.0.1/{QUERY} HTTP/1.1", None, 400),
        (f"GET /{QUERY}\x7f HTTP/1.1", None, 400),
        ("nonsense", None, 400),
    ],
)
def test_everything_else_is_refused_and_listening_goes_on(request_line: str, host: str | None, status: int) -> None:
    """Path, method and Host are exact: a page that resolves its own name to this machine gets nothing."""
    with listening() as listener:
        named = (host or "127.0.0.1:{port}").replace("{port}", str(listener.port))
        answer = say(listener, f"{request_line}\r\nHost: {named}\r\n\r\n".encode())
        assert answer.startswith(f"HTTP/1.1 {status} ")
        assert "fake-code" not in answer
        assert listener.take() is None
        assert answered(listener)[1].startswith("HTTP/1.1 200 ")


def test_a_request_without_host_with_two_or_too_long_is_refused() -> None:
    """8 KiB are enough for a code."""
    with listening() as listener:
        host = f"Host: 127.0.0.1:{listener.port}\r\n"
        assert say(listener, f"GET /{QUERY} HTTP/1.1\r\n\r\n".encode()).startswith("HTTP/1.1 421 ")
        assert say(listener, f"GET /{QUERY} HTTP/1.1\r\n{host}{host}\r\n".encode()).startswith("HTTP/1.1 421 ")
        long = f"GET /{QUERY} HTTP/1.1\r\n{host}X: {'x' * LARGEST_REQUEST_BYTES}\r\n\r\n"
        assert say(listener, long.encode()).startswith("HTTP/1.1 431 ")
        endless = b"GET /?" + b"x" * (LARGEST_REQUEST_BYTES + 5000)
        assert say(listener, endless).startswith("HTTP/1.1 431 ")
        assert listener.take() is None


def test_a_path_of_the_redirect_is_the_only_one() -> None:
    """As the configuration says it."""
    with listening("/callback") as listener:
        assert ask(listener).startswith("HTTP/1.1 404 ")
        assert answered(listener, target="/callback" + QUERY)[0].endswith("/callback" + QUERY)


def test_strangers_who_say_nothing_do_not_keep_a_browser_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their connections have a few seconds; so many at most are served at once."""
    monkeypatch.setattr("tokend.cli.login.redirect_listener.CONNECTION_SECONDS", 0.3)
    with listening() as listener:
        silent = [
            socket.create_connection(("127.0.0.1", listener.port), timeout=PATIENCE_SECONDS)
            for _ in range(MOST_CONNECTIONS + 2)
        ]
        try:
            assert answered(listener)[1].startswith("HTTP/1.1 200 ")
        finally:
            for one in silent:
                one.close()


def test_a_browser_that_goes_away_before_its_page_is_no_error() -> None:
    """The address counts all the same."""
    with listening() as listener:
        with socket.create_connection(("127.0.0.1", listener.port)) as connection:
            connection.sendall(f"GET /{QUERY} HTTP/1.1\r\nHost: 127.0.0.1:{listener.port}\r\n\r\n".encode())
            assert select.select([listener], [], [], PATIENCE_SECONDS)[0]
        arrival = listener.take()
        assert arrival is not None
        arrival.answer("done")
        assert answered(listener)[1].startswith("HTTP/1.1 200 ")


def test_localhost_is_both_addresses() -> None:
    """A browser may try ::1 first."""

    def answers(address: str) -> bool:
        with listening(host="localhost") as listener:
            request = f"GET / HTTP/1.1\r\nHost: localhost:{listener.port}\r\n\r\n".encode()
            try:
                return say(listener, request, address=address).startswith("HTTP/1.1 400 ")
            except OSError:
                return False

    def has_ipv6() -> bool:
        with suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
        return False

    assert answers("127.0.0.1")
    assert not has_ipv6() or any(answers("::1") for _ in range(3))  # another program may have that port there


def test_another_port_than_the_proposed_one_is_listened_at() -> None:
    """A configured redirect has its own; one that is taken is an error."""
    host, _, port = loopback_address().partition(":")
    with socket.socket() as other:
        other.bind((host, int(port)))
        listener = RedirectListener()
        with pytest.raises(OSError, match="in use"):
            listener.serve(f"http://{host}:{port}/")
        listener.close()
    listener = RedirectListener()
    try:
        assert listener.proposal == f"http://127.0.0.1:{listener.port}/"
        listener.serve(f"http://{host}:{port}/callback")
        assert listener.port == int(port)
        assert urlsplit(answered(listener, target="/callback" + QUERY, address=host)[0]).port == int(port)
    finally:
        listener.close()


def test_another_machine_is_not_listened_at() -> None:
    """Loopback only."""
    listener = RedirectListener()
    for address in ("http://0.0.0.0:8400/", "https://app.example/", "http://[2001:db8::1]/"):
        with pytest.raises(ValueError, match="another machine"):
            listener.serve(address)
    listener.close()


def test_a_port_that_was_closed_takes_no_connection() -> None:
    """After the end of the login."""
    host, _, port = loopback_address().partition(":")  # no other program takes the port when it is closed
    listener = RedirectListener()
    listener.serve(f"http://{host}:{port}/")
    say(listener, b"nonsense\r\n\r\n", address=host)
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS)


def test_https_on_this_machine_has_a_certificate_of_its_own() -> None:
    """Made in memory, for localhost and both addresses; who does not speak TLS gets nothing."""
    context, fingerprint = server_context()
    with listening(host="localhost", context=context) as listener:
        answers: list[bytes] = []

        def browse() -> None:
            trusting = ssl.create_default_context()
            trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
            with (
                socket.create_connection(("127.0.0.1", listener.port), timeout=PATIENCE_SECONDS) as raw,
                trusting.wrap_socket(raw, server_hostname="localhost") as connection,
            ):
                certificate = connection.getpeercert(binary_form=True)
                assert certificate is not None
                answers.append(certificate)
                connection.sendall(f"GET /{QUERY} HTTP/1.1\r\nHost: localhost:{listener.port}\r\n\r\n".encode())
                answers.append(connection.recv(4096))

        with socket.create_connection(("127.0.0.1", listener.port), timeout=PATIENCE_SECONDS) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            with suppress(ConnectionResetError):
                assert b"HTTP" not in stranger.recv(4096)
        browser = threading.Thread(target=browse)
        browser.start()
        assert select.select([listener], [], [], PATIENCE_SECONDS)[0]
        arrival = listener.take()
        assert arrival is not None
        assert arrival.address == f"https://localhost:{listener.port}/{QUERY}"
        arrival.answer("done")
        browser.join()
    assert hashlib.sha256(answers[0]).hexdigest() == fingerprint
    assert answers[1].startswith(b"HTTP/1.1 200 ")


def test_the_usual_port_may_be_left_out_of_host() -> None:
    """Browsers do that."""
    listener = RedirectListener()
    try:
        listener.serve(f"http://127.0.0.1:{listener.port}/")
        assert listener._hosts == {f"127.0.0.1:{listener.port}"}
        listener._rebind = lambda host, port: None  # type: ignore[method-assign]  # port 80 needs root
        listener._sockets = []
        for written in ("http://127.0.0.1/", "http://127.0.0.1:80/"):
            listener.serve(written)
            assert listener._hosts == {"127.0.0.1", "127.0.0.1:80"}
    finally:
        listener.close()
