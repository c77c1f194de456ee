"""Answers: JSON, forms, pages, and what the settings find in them."""

import json

import pytest

from tests.providers.live import NOW, at
from tests.providers.oauth2.asking import TOKEN, error_of, said, settings, token_of
from tests.upstream.loopback import reply
from tokend.plugin.declared.answer import is_page
from tokend.plugin.http_exchange import UpstreamReply
from tokend.providers.oauth2.answers import parsed
from tokend.values.errors import RejectedError, TransientError

FORM = "application/x-www-form-urlencoded; charset=utf-8"


def of(body: bytes, media: str = "application/json", status: int = 200) -> UpstreamReply:
    return UpstreamReply(status, {"content-type": media}, body, at(NOW), None, 0.0)


@pytest.mark.parametrize(
    ("body", "media", "found"),
    [
        (b'{"a":1}', "text/html", {"a": 1}),
        (b"access_token=x&scope=a%2Cb&e=", FORM, {"access_token": "x", "scope": "a,b", "e": ""}),
        (b"access_token=x&expires=5", "text/plain", {"access_token": "x", "expires": "5"}),
        (b"error=x&b=y\n", "text/html", {"error": "x", "b": "y"}),
        (b"a=b", "text/plain", None),
        (b"a=b&a=c", FORM, None),
        (b"access_token=x&access_token=y", FORM, None),
        (b"access_token=x", "application/json", None),
        (b"access_token=\xff", FORM, None),
        (b"&".join([b"a%d=b" % n for n in range(200)]), FORM, None),
        (b"\xef\xbb\xbf{}", "application/json", None),
        (b'{"a":1,"a":2}', "application/json", None),
        (b"", "", None),
    ],
)
def test_json_and_forms_are_read_and_nothing_else(body: bytes, media: str, found: object) -> None:
    """GitHub answers with a form unless it is asked for JSON; some servers call it text."""
    assert parsed(of(body, media)) == found


@pytest.mark.parametrize(
    ("body", "media", "page"),
    [
        (b"<html>", "application/json", True), (b"\xef\xbb\xbf \n<!doctype html>", "", True),
        (b"please log in", "text/html; charset=utf-8", True), (b'{"a":1}', "text/html", False),
        (b"Service Unavailable", "text/plain", False), (b"", "", False),
    ],
)  # fmt: skip
def test_a_page_for_people_is_told_by_its_type_or_its_start(body: bytes, media: str, page: bool) -> None:
    """A captive portal may say that it is JSON."""
    assert is_page(of(body, media)) is page


def test_places_are_found_by_expressions() -> None:
    """Of answers that are no usual ones; null means absent."""
    answer = {"ok": True, "data": [{"t": TOKEN, "life": "60", "kind": None, "who": {"id": 7}}]}
    token = token_of(
        said(**answer),
        answer={
            "token": "data[0].t",
            "token_type": "data[0].kind",
            "expires_in": "data[0].life",
            "extra": {"who": "data[0].who", "none": "data[1]"},
            "secret_extra": {"kept": "data[0].t"},
        },
    )
    assert (token.value.reveal(), token.token_type, token.expires_at) == (TOKEN, "Bearer", at(NOW + 60))
    assert token.extra["who"] == {"id": 7}
    assert "none" not in token.extra
    assert TOKEN not in repr(token)


def test_a_row_of_errors_counts_before_the_standard_meaning() -> None:
    """Also in a success with a token; the number of the row is in the message, the body is not."""
    rows = [
        {"when": "ok == `false`", "status": 201, "means": "transient"},
        {"when": "ok == `false`", "means": "rejected"},
        {"text": "planted down", "means": "rejected"},
    ]
    error = error_of(said(ok=False, access_token=TOKEN, planted=1), errors=rows)
    assert isinstance(error, RejectedError)
    assert "row 2 of errors says rejected" in str(error)
    assert isinstance(error_of(reply(b" planted down\n", status=503), errors=rows), RejectedError)
    assert isinstance(error_of(reply(b"planted down today", status=503), errors=rows), TransientError)


def test_an_answer_that_takes_too_long_to_look_into_is_discarded() -> None:
    """The limit of `Expression`."""
    answer = {"token": "a[?@ > `0`] | [0]"}
    body = json.dumps({"a": [1] * 60_000}).encode()
    error = error_of(reply(body), answer=answer)
    assert "expression" in str(error)
    assert settings(answer=answer).answer.has_places
