"""Requests and replies of the sandbox."""

import pytest

from tokend.sandbox.messages import Reply, Request, http_status, json_reply

PLANTED = "planted-fake-token"


def sent(body: bytes = b"", **headers: str) -> Request:
    return Request(
        "POST", "/login", headers={name.replace("_", "-"): text for name, text in headers.items()}, body=body
    )


def test_the_repr_shows_only_method_and_status() -> None:
    """A path, a query, a header and a body may hold a token."""
    request = Request("GET", f"/link/{PLANTED}", PLANTED, {"authorization": PLANTED}, PLANTED.encode())
    assert PLANTED not in repr((request, Reply(200, PLANTED.encode(), headers={"set-cookie": PLANTED})))


@pytest.mark.parametrize(
    ("header", "expected"),
    [("Bearer abc", "abc"), ("bearer abc", None), ("Bearer ", None), ("Basic abc", None), ("", None)],
)
def test_a_bearer_token_has_the_documented_scheme(header: str, expected: str | None) -> None:
    """All vendors write it with a capital B."""
    assert sent(authorization=header).bearer == expected


def test_a_media_type_is_without_parameters() -> None:
    """Empty where the header is missing."""
    assert sent(content_type="Application/JSON ; charset=utf-8").media_type == "application/json"
    assert sent().media_type == ""


def test_query_parameters_are_decoded_and_may_repeat() -> None:
    """An empty value counts."""
    request = Request("GET", "/", "a=1&a=%C3%BC&b=&c")
    assert (request.parameters("a"), request.parameters("b"), request.parameters("d")) == (["1", "ü"], [""], [])


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"{", b'{"a": NaN}', b'{"a": "\xff"}', b"[" * 100_000])
def test_what_is_no_json_object_is_none(body: bytes) -> None:
    """Also what Python would read and JSON does not know."""
    assert sent(body).json_object() is None


def test_numbers_can_stay_as_they_were_written() -> None:
    """A signature covers their digits."""
    body = b'{"amount": 1.10, "count": 1e2}'
    assert sent(body).json_object() == {"amount": 1.1, "count": 100.0}
    assert sent(body).json_object(verbatim_numbers=True) == {"amount": "1.10", "count": "1e2"}


def test_a_reply_is_compact_utf8() -> None:
    """Half of a surrogate pair is escaped: the vendor would answer, too."""
    assert json_reply(200, {"a": "ü", "b": [1, 2]}).body == '{"a":"ü","b":[1,2]}'.encode()
    assert json_reply(200, {"a": "\ud800"}).body == b'{"a":"\\ud800"}'


@pytest.mark.parametrize(
    ("code", "expected"), [(503, 503), (200, 200), (199, 401), (600, 401), ("503", 401), (None, 401)]
)
def test_only_an_http_status_is_used_as_one(code: int | str | None, expected: int) -> None:
    """A vendor's own error code may be any number or word."""
    assert http_status(code, 401) == expected
