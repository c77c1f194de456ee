"""Answers in files: bodies alone, and whole answers as curl prints them."""

import pytest

from tokend.cli.try_offline.replies import NoReplyError, given_reply

TYPES = {
    b'{"a": 1}': "application/json",
    b'{"a": 1': "application/json",  # cut: the kind says so
    b"  <html>": "text/html",
    b"access_token=a&expires_in=5": "application/x-www-form-urlencoded",
    b"Bad Request": "text/plain",
    b"": "text/plain",
}


@pytest.mark.parametrize("body", TYPES)
def test_a_body_alone_is_a_200_of_the_type_that_it_looks_like(body: bytes) -> None:
    """Nobody has to write a head."""
    reply = given_reply(body)
    assert (reply.status, reply.headers, reply.body) == (200, {"content-type": TYPES[body]}, body)


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_a_whole_answer_has_its_own_status_and_headers(end: bytes) -> None:
    """As `curl -i` prints it, or as an editor has saved it; names without case, the body byte for byte."""
    lines = [b"HTTP/1.1 429 Too Many Requests", b"Retry-After: 30", b"X-A: 1", b"x-a: 2", b"", b"{}\r\n\r\nx"]
    reply = given_reply(end.join(lines))
    assert (reply.status, reply.body) == (429, b"{}\r\n\r\nx")
    assert reply.headers == {"retry-after": "30", "x-a": "1, 2"}
    assert reply.repeated == {"x-a"}


def test_http_2_has_no_reason_and_an_answer_may_have_no_headers_or_no_body() -> None:
    """`HTTP/2 204`, and a head that just ends."""
    assert given_reply(b"HTTP/2 204 \r\n\r\n") == given_reply(b"HTTP/1.1 204\n\n")
    reply = given_reply(b"HTTP/2 401\r\nwww-authenticate: Basic")
    assert (reply.status, reply.headers, reply.body) == (401, {"www-authenticate": "Basic"}, b"")


def test_the_last_head_counts() -> None:
    """A 100, a proxy's answer and a redirect that was followed go before the answer, each with a head of its own."""
    before = b"HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    redirect = b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n"
    reply = given_reply(before + redirect + b"HTTP/1.1 200 OK\r\nX-B: 1\r\n\r\n{}")
    assert (reply.status, reply.headers, reply.body) == (200, {"x-b": "1"}, b"{}")


def test_cookies_are_kept_one_by_one() -> None:
    """A date has a comma, so a list of cookies cannot be taken apart; those said beside the content replace them."""
    first, second = "a=1; Expires=Thu, 01 Jan 2026 00:00:00 GMT", "b=2"
    content = f"HTTP/1.1 200 OK\r\nSet-Cookie: {first}\r\nset-cookie: {second}\r\n\r\n{{}}".encode()
    assert given_reply(content).cookies == (first, second)
    assert given_reply(content, headers=["Set-Cookie: c=3", "set-cookie: d=4"]).cookies == ("c=3", "d=4")
    assert given_reply(b"{}").cookies == ()


def test_what_is_said_beside_the_content_counts_before_it() -> None:
    """The options --status and --header."""
    reply = given_reply(b"HTTP/1.1 200 OK\r\nA: 1\r\n\r\n{}", status=503, headers=["a: 2", "Retry-After:  7"])
    assert (reply.status, reply.headers) == (503, {"a": "2", "retry-after": "7"})


@pytest.mark.parametrize("line", ["no colon", ": fake-value", "a b: fake-value"])
def test_what_is_no_header_is_not_quoted(line: str) -> None:
    """It may be a secret that was pasted in the wrong place."""
    for content, headers in ((b"{}", [line]), (f"HTTP/1.1 200\n{line}\n\n".encode(), [])):
        with pytest.raises(NoReplyError) as caught:
            given_reply(content, headers=headers)
        assert line not in str(caught.value)


def test_the_repr_shows_no_body() -> None:
    """An answer that was kept may hold a token."""
    assert "fake-token" not in repr(given_reply(b"HTTP/1.1 200 OK\nX: fake-token\n\nfake-token"))
