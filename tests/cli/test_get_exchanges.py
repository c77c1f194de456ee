"""Requests of `tokend get`, one by one, and answers that no daemon gives."""

import json
import re

import pytest

from tests.cli.running import tokend
from tests.client.fake_daemon import answering, http, problem

ROW = {"name": "tt", "kind": "tt", "state": "failing", "generation": 17}
LIST = http(json.dumps({"version": 1, "tokens": [ROW]}).encode())
RAW = http(b"abc", content_type="text/plain; charset=utf-8")


@pytest.mark.parametrize("output", ["raw", "json", "header"])
@pytest.mark.parametrize("kind", ["text/html", "application/octet-stream"])
def test_what_is_no_token_is_not_printed_as_one(output: str, kind: str) -> None:
    """Any HTTP server may answer 200: exit code 3 and an empty stdout, unless it is what was asked for."""
    with answering(http(b"<html>hello</html>", content_type=kind)) as fake:
        done = tokend("get", "tt", "-o", output, "--socket", fake.path)
    assert (done.code, done.out) == (3, "")
    assert "is not tokend" in done.err


def test_get_asks_for_exactly_what_it_prints() -> None:
    """One request: the raw token as text, min_ttl in the query, the wait as a preference."""
    with answering(http(b"abc", content_type="text/plain; charset=utf-8")) as fake:
        done = tokend("get", "a b/c", "--min-ttl", "5m", "--wait", "90s", "--socket", fake.path)
    assert (done.code, done.out) == (0, "abc\n")
    [request] = fake.requests
    assert request.startswith(b"GET /v1/tokens/a%20b%2Fc?min_ttl=5m HTTP/1.1\r\n")
    assert re.search(rb"\r\nAccept: text/plain\r\nPrefer: wait=8[0-9]\r\n", request)


def test_a_long_wait_is_asked_for_in_pieces() -> None:
    """The daemon waits 300 s at a time and no longer; `get` asks again, and only the end of its own wait counts."""
    with answering(problem(504, "timeout"), http(b"abc", content_type="text/plain")) as fake:
        done = tokend("get", "tt", "--wait", "1h", "--socket", fake.path)
    assert (done.code, done.out) == (0, "abc\n")
    assert [b"Prefer: wait=300\r\n" in request for request in fake.requests] == [True, True]


def test_a_refresh_that_failed_is_not_asked_for_again() -> None:
    """`--refresh --wait`: one attempt at the upstream; after that, only a token other than the old one will do."""
    refused = problem(503, "token_unavailable")
    with answering(LIST, refused, http(b"", status=304), RAW) as fake:
        done = tokend("get", "tt", "--refresh", "--wait", "1m", "--socket", fake.path)
    assert (done.code, done.out) == (0, "abc\n")
    assert fake.heads() == [
        "GET /v1/tokens HTTP/1.1", "POST /v1/tokens/tt/refresh HTTP/1.1",
        "GET /v1/tokens/tt HTTP/1.1", "GET /v1/tokens/tt HTTP/1.1",
    ]  # fmt: skip
    assert all(b'If-None-Match: "17"\r\n' in request for request in fake.requests[2:])


def test_a_refused_refresh_is_asked_for_with_the_generation_that_will_not_do() -> None:
    """Readers who are no admins: the generation they know of, once the plain wish was denied."""
    with answering(LIST, problem(403, "denied"), http(b"{}"), RAW) as fake:
        assert tokend("get", "tt", "--refresh", "--socket", fake.path).out == "abc\n"
    assert fake.requests[2].endswith(b'{"if_generation":17,"reason":"command line"}')
    assert b"If-None-Match" not in fake.requests[3]


def test_the_reason_of_a_wait_without_result_is_the_tokens() -> None:
    """That the daemon's own wait ended says less than why there is no token."""
    why = problem(503, "login_required", "the credentials were rejected")
    with answering(why, problem(504, "timeout", "no valid token within 1 s")) as fake:
        done = tokend("get", "tt", "--wait", "500ms", "--socket", fake.path)
    assert done.code == 124
    assert done.err == "tokend: no suitable token after 0.5 s: the credentials were rejected\n"
