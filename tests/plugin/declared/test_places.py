"""Places of values in an answer."""

import base64
from typing import Any

import pytest
from pydantic import ValidationError

from tests.plugin.declared.replies import answer
from tokend.plugin.declared.places import Place, PlaceField
from tokend.plugin.settings_base import Settings


class Table(Settings):
    """A table with one place."""

    place: PlaceField


def place(written: Any) -> Place:
    return Table.model_validate({"place": written}).place


CONTENT = {"a": {"b": "text", "n": 7, "f": 1.5, "yes": True, "none": None, "list": []}, "b64": "cGxhbnRlZA==",
           "path": "projects/1/secrets/x/versions/12", "bad": "é",
           "binary": base64.b64encode(b"\xff").decode()}  # fmt: skip


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("a.b", "text"), ("a.n", "7"), ("a.f", "1.5"), ("a.yes", None), ("a.none", None), ("a.list", None), ("x", None),
        ({"json": "b64", "encoding": "base64"}, "planted"), ({"json": "bad", "encoding": "base64"}, None),
        ({"json": "binary", "encoding": "base64"}, None), ({"json": "path", "after_last": "/"}, "12"),
        ({"json": "a.b", "after_last": "/"}, "text"), ({"header": "ETag"}, '"3"'), ({"header": "X-None"}, None),
        ({"header": "X-Id", "after_last": ":"}, "9"), ({"cookie": "sid"}, "b=c"), ({"cookie": "gone"}, None),
        ({"cookie": "none"}, None), ({"text": True}, None),
    ],
)  # fmt: skip
def test_a_place_has_a_text_or_a_number(written: Any, text: str | None) -> None:
    """Anything else is absent, as is what cannot be decoded."""
    cookies = ("sid=a; Path=/", "sid=b=c; Expires=Wed, 21 Oct 2026 07:28:00 GMT", "gone=deleted; Max-Age=0", "none=")
    assert place(written).text(answer(CONTENT, etag='"3"', x_id="a:9", cookies=cookies)) == text


@pytest.mark.parametrize(
    ("body", "text"),
    [(b" abc \n", "abc"), (b"", None), (b"<html>x", None), (b"\xff", None), (b'{"error":"x"}', None), (b"[x", "[x")],
)
def test_a_body_may_be_the_text(body: bytes, text: str | None) -> None:
    """A page of HTML and JSON are none: they are the answers of a proxy, or of an error."""
    assert place({"text": True}).text(answer(body)) == text


def test_a_header_that_stands_twice_is_none() -> None:
    """Which of the two would count?"""
    assert place({"header": "X-Id"}).text(answer(x_id="a, b")) == "a, b"
    assert place({"header": "X-Id"}).text(answer(x_id="a, b", repeated=["x-id"])) is None
    assert place({"header": "X-Id"}).text(answer(x_id="a", repeated=["x-other"])) == "a"


def test_a_place_finds_any_value() -> None:
    """For a kind that needs more than a text."""
    assert place("a.list").find(answer(CONTENT)) == []
    assert place("a.yes").find(answer(CONTENT)) is True


@pytest.mark.parametrize(
    "written",
    [{}, {"json": "a", "header": "A"}, {"header": "A B"}, {"json": "a."}, {"json": "a", "encoding": "hex"}, 5, "",
     {"json": "a", "after_last": ""}, {"text": False}, {"cookie": "a b"}, {"cookie": "a", "text": True}],
)  # fmt: skip
def test_a_place_is_one_place(written: Any) -> None:
    """Exactly one expression or header."""
    with pytest.raises(ValidationError):
        place(written)
