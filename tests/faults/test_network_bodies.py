"""Answers that no vendor would give, from real servers to the real daemon: each is refused, in words of its own, and
that is all that happens."""

import gzip
import json
import threading
from contextlib import ExitStack
from functools import partial

from tests.daemon.harness import Daemon, Home, until
from tests.faults.process_usage import descriptors, has_descriptors, megabytes
from tests.faults.upstream import Behaviour, Talk, kind, provider, response, saying, upstream
from tokend.plugin.connection_settings import LARGEST_BODY_BYTES

MEBIBYTE = b" " * (1 << 20)
# What thirty refused answers may cost beside the libraries that the first one loads (some 12 MB).
MOST_MEGABYTES = 45.0


def token(**fields: object) -> bytes:
    """The body of a login that succeeded."""
    return json.dumps({"token": "obviously-fake", "success": True, "errorCode": 0, **fields}).encode()


def flood(start: bytes, again: bytes, *, pause: float = 0.0) -> Behaviour:
    """Read the request, and say something again and again until the client has had enough."""

    def behave(talk: Talk) -> None:
        talk.request()
        talk.say(start)
        while True:
            talk.say(again)
            threading.Event().wait(pause)

    return behave


def reset_in_the_body(talk: Talk) -> None:
    talk.request()
    talk.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b" " * 500)
    threading.Event().wait(0.2)  # a RST that overtakes the bytes is another fault, and has its line
    talk.reset()


def reset_after_the_request(talk: Talk) -> None:
    talk.request()
    talk.reset()


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
NOT_JSON = "answered with something that is not acceptable JSON"
NOT_HTTP = "its answer cannot be read as HTTP"
TOO_MUCH = "its answer has more than 384 KiB: not a token"
LONG_HEAD = "its answer has more than 128 KiB: not a token"
TOO_LATE = "did not answer completely within 3 s"
HALF = "it closed the connection in the middle of its answer"
REDIRECTED = "redirects are refused, they would carry secrets elsewhere"
# The number in docs/promises.md, the fault's name as a provider's, what is said, what status says.
ANSWERS: list[tuple[int, str, Behaviour, str]] = [
    (3, "dripping-body", flood(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n{", b" ", pause=0.1), TOO_LATE),
    (3, "dripping-head", flood(b"HTTP/1.1 200 OK\r\nX: ", b"x", pause=0.1), TOO_LATE),
    (7, "html", saying(response(b"<!doctype html>\n<html>sign in</html>")), "answered with HTML, not JSON"),
    (8, "short", saying(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", token()), HALF),
    (8, "half-a-chunk", saying(CHUNKED, b"40\r\n{"), HALF),
    (8, "long", saying(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", token()), NOT_JSON),
    (8, "two-lengths", saying(response(token(), b"Content-Length: 3")), NOT_HTTP),
    (8, "negative-length", saying(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", token()), NOT_HTTP),
    (9, "nothing", saying(b""), "it closed the connection without an answer"),
    (9, "reset", reset_after_the_request, "the connection was reset"),
    (9, "reset-in-the-body", reset_in_the_body, "the connection was reset"),
    (10, "256-mebibytes", flood(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (256 << 20), MEBIBYTE), "256 KiB"),
    (10, "endless", flood(b"HTTP/1.1 200 OK\r\n\r\n", MEBIBYTE), "256 KiB"),
    (10, "endless-chunks", flood(CHUNKED, b"1\r\n \r\n" * 1000), TOO_MUCH),
    (10, "endless-extension", flood(CHUNKED + b"1;", MEBIBYTE), NOT_HTTP),
    (10, "endless-header", flood(b"HTTP/1.1 200 OK\r\nX: ", MEBIBYTE), NOT_HTTP),
    (10, "endless-headers", flood(b"HTTP/1.1 200 OK\r\n", b"X: " + b"x" * 1000 + b"\r\n"), NOT_HTTP),
    (10, "endless-status", flood(b"HTTP/1.1 200 ", MEBIBYTE), NOT_HTTP),
    (10, "continue-for-ever", flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000), LONG_HEAD),
    (10, "hints-for-ever", flood(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 1000), LONG_HEAD),
    (11, "gzip-bomb", saying(response(gzip.compress(bytes(64 << 20), 1), b"Content-Encoding: gzip")), "encoding"),
    (12, "deep", saying(response(b"[" * (LARGEST_BODY_BYTES - 1))), NOT_JSON),
    (12, "nan", saying(response(token(expiresIn=float("nan")))), NOT_JSON),
    (12, "digits", saying(response(token(expiresIn=0).replace(b": 0}", b": %s}" % (b"9" * 5000)))), NOT_JSON),
    (12, "duplicate-keys", saying(response(token().replace(b"{", b'{"token": "other", ', 1))), NOT_JSON),
    (12, "bom", saying(response(b"\xef\xbb\xbf" + token())), NOT_JSON),
    (12, "utf-16", saying(response(token().decode().encode("utf-16"))), NOT_JSON),
    (12, "nul", saying(response(token() + b"\0")), NOT_JSON),
    (12, "nul-in-the-head", saying(b"HTTP/1.1 200 OK\r\nX: \0\r\n\r\n", token()), NOT_HTTP),
    (12, "switched", saying(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n"), NOT_HTTP),
    (12, "no-http", saying(b"\x16\x03\x01\x02\x00" + b"\x80" * 500), NOT_HTTP),
    (12, "no-content", saying(b"HTTP/1.1 204 No Content\r\n\r\n"), "answered 204 without a token"),
    (13, "a-list", saying(response(b"[%s]" % token())), "JSON that is not an object"),
    (20, "controls", saying(response(token(token="fake\r\nX: y"))), "control or non-ASCII characters: discarded"),
    (21, "bad-location", saying(response(b"", b"Location: http://[::1/x", status=b"307 Moved")), REDIRECTED),
]  # fmt: skip


def failures(daemon: Daemon) -> dict[str, str]:
    """What status says of each provider that failed."""
    rows = daemon.status()["tokens"]
    return {row["name"]: row["last_error"]["detail"] for row in rows if row["last_error"] is not None}


def test_every_answer_that_is_no_token_is_refused_in_its_own_words(home: Home) -> None:
    """docs/promises.md 3, 7-13, 20: all at once in one daemon; memory stays flat, nothing leaks, others are served."""
    with ExitStack() as servers:
        # What floods must be refused for that, also where this machine takes its time.
        times = {name: "3s" if words is TOO_LATE else "60s" for _, name, _, words in ANSWERS}
        urls = [(name, servers.enter_context(upstream(behaviour)).url) for _, name, behaviour, _ in ANSWERS]
        tables = [provider(name, url, f'timeout = "{times[name]}"') for name, url in urls]
        good = provider("good", servers.enter_context(upstream(kind)).url)
        daemon = home.start(good)
        until(lambda: daemon.lease("good"), "the token of the good one")
        before, opened = megabytes(daemon), descriptors(daemon)
        home.write(good, *tables)
        assert daemon.ask("POST", "/v1/reload").status == 200
        said = until(lambda: len(found := failures(daemon)) == len(ANSWERS) and found, "every refusal", seconds=60)
        wrong = "\n".join(f"{name}: {said[name]}" for _, name, _, words in ANSWERS if words not in said[name])
        assert not wrong, wrong
        rows = {row["name"]: row for row in daemon.status()["tokens"]}
        assert {row["last_error"]["class"] for name, row in rows.items() if name != "good"} == {"transient"}
        assert [name for name, row in rows.items() if row["valid"]] == ["good"]
        assert megabytes(daemon, "VmHWM") - before < MOST_MEGABYTES
        log = home.log.read_text()
        assert "obviously-fake" not in log
        assert daemon.log("worker.crashed") == daemon.log("daemon.crashed") == []
    # The servers are gone, and with them each side that could hold a connection open.
    if opened is not None:
        until(partial(has_descriptors, daemon, opened + 1), "the descriptors")  # one for who is just connecting again


def test_a_redirect_brings_no_byte_to_its_target(home: Home) -> None:
    """docs/promises.md 21: 307 and 308 would send the key again, to another host."""
    with ExitStack() as servers:
        target = servers.enter_context(upstream(kind))
        tables = []
        for code in (301, 302, 303, 307, 308):
            answer = response(b"", b"Location: %s/steal" % target.url.encode(), status=b"%d Moved" % code)
            tables.append(provider(f"r{code}", servers.enter_context(upstream(saying(answer))).url))
        daemon = home.start(*tables)
        said = until(lambda: len(found := failures(daemon)) == 5 and found, "five refusals")
        assert all(REDIRECTED in one for one in said.values())
        assert target.connections == 0
