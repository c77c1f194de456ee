"""Any bytes at the real server, cut and pipelined in any way: an answer or a close, and the next client is served."""

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.fake_engine import FakeEngine
from tests.fuzz.test_corpus import EXAMPLES, seeds
from tests.httpd.served import Served, served

CHUNKED = b"1\r\n{\r\n1;a=b\r\n}\r\n0\r\nT: x\r\n\r\n"
# Each with the status that is due; chunked bodies are cut below.
GOOD = [
    (b"GET /livez HTTP/1.1\r\n\r\n", 200),
    (b"GET /v1/tokens/demo HTTP/1.1\r\nAccept: text/plain\r\n\r\n", 200),
    (b"GET /v1/tokens/demo?min_ttl=1s HTTP/1.1\r\nHost: x\r\nX: y\r\n\r\n", 200),
    (b'GET /v1/tokens/demo HTTP/1.1\r\nIf-None-Match: "17"\r\n\r\n', 304),
    (b"GET /v1/tokens/demo?min_ttl=5 HTTP/1.1\r\n\r\n", 400),
    (b"GET /v1/tokens/%2e%2e%2fdemo HTTP/1.1\r\n\r\n", 404),
    (b"GET /v1/tokens/%ff HTTP/1.1\r\n\r\n", 400),
    (b"GET /v1/events HTTP/1.1\r\nLast-Event-ID: \xb2\r\n\r\n", 400),
    (b"GET /v1/tokens/demo HTTP/1.1\r\nAccept: image/png\r\n\r\n", 406),
    (b"GET /v1/status HTTP/1.1\r\nOrigin: null\r\n\r\n", 403),
    (b"DELETE /v1/tokens/demo HTTP/1.1\r\n\r\n", 405),
    (b"POST /v1/tokens/demo/refresh HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", 200),
    (b"POST /v1/tokens/demo/refresh HTTP/1.1\r\nContent-Length: 3\r\n\r\n{\x00}", 400),
    (b"POST /v1/tokens/demo/refresh HTTP/1.1\r\nContent-Type: text/xml\r\nContent-Length: 1\r\n\r\n<", 415),
    (b"POST /v1/tokens/wallet/issue HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED, 201),
    (b"\r\nGET /livez HTTP/1.1\r\n\r\n", 200),
]  # fmt: skip
# What has no body, no end, or an answer much later, is for tests of its own.
SEEDS = [seed[1:] for seed in seeds("requests") if not any(word in seed for word in (b"HEAD", b"events", b"wait"))]
BROKEN = st.sampled_from(SEEDS) | st.binary(min_size=1, max_size=60)
PIECES = st.lists(st.integers(1, 200), max_size=12)


@pytest.fixture(scope="module")
def running() -> Iterator[Served]:
    """One server for all examples: whatever one of them does to it, the next one meets."""
    engine = FakeEngine()
    engine.hold("demo")
    engine.offer("wallet")
    with tempfile.TemporaryDirectory(prefix="tk-") as directory, served(Path(directory), engine) as running:
        yield running


def said(running: Served, text: bytes, pieces: list[int]) -> bytes:
    """Send the text in these pieces, then the end; everything that came back."""
    received = b""
    with running.client() as client:
        try:
            for size in [*pieces, len(text)]:
                if text:
                    client.send(text[:size])
                    text = text[size:]
            client.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # closed before it was all said
        try:
            while part := client.socket.recv(1 << 20):
                received += part
        except ConnectionResetError:
            pass
    return received


def answers(received: bytes) -> list[int]:
    """The statuses of whole answers, one behind the other and nothing else."""
    found = []
    while received:
        head, separator, received = received.partition(b"\r\n\r\n")
        assert separator, head
        assert head.startswith(b"HTTP/1.1 "), head
        status = int(head[9:12])
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        size = 0 if status in (100, 304) else int(fields[b"content-length"])
        assert len(received) >= size
        received = received[size:]
        if status != 100:
            found.append(status)
    return found


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(asked=st.lists(st.sampled_from(GOOD), min_size=1, max_size=8), pieces=PIECES)
def test_what_is_asked_is_answered_in_order(running: Served, asked: list[tuple[bytes, int]], pieces: list[int]) -> None:
    """docs/promises.md 102: one answer each, however the bytes are cut, those that are refused included."""
    received = said(running, b"".join(text for text, _ in asked), pieces)
    assert answers(received) == [status for _, status in asked]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(before=st.lists(st.sampled_from(GOOD), max_size=3), broken=BROKEN, behind=BROKEN | st.just(b""), pieces=PIECES)
def test_what_is_no_request_ends_in_a_refusal_or_a_close(
    running: Served, before: list[tuple[bytes, int]], broken: bytes, behind: bytes, pieces: list[int]
) -> None:
    """docs/promises.md 102: whatever was asked before it is answered; the daemon is none the worse."""
    received = said(running, b"".join(text for text, _ in before) + broken + behind, pieces)
    found = answers(received)
    assert found[: len(before)] == [status for _, status in before]
    assert all(status < 500 for status in found)
    assert running.get("/livez").status == 200
