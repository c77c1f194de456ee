"""Strict JSON: unusual input is refused, and errors do not quote it."""

import pytest

from tokend.plugin.strict_json import DEEPEST, parse_object, try_object
from tokend.values.errors import TransientError


@pytest.mark.parametrize("body", [b"{}", b' {"a": [1, -2.5, "x", null, true]} ', '{"ü":"✓"}'.encode()])
def test_ordinary_objects_are_read(body: bytes) -> None:
    """Only unusual input is refused."""
    assert parse_object(body, "host") == try_object(body) is not None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>planted</html>",
        b'{"token":"planted"',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1e400}',
        b'{"a":' + b"1" * 41 + b"}",
        b'{"a":' + b"1" * 5000 + b"}",
        b'{"token":"planted","token":"other"}',
        b'{"x":{"a":1,"a":2}}',
        b'\xef\xbb\xbf{"token":"planted"}',
        '{"token":"planted"}'.encode("utf-16"),
        b'{"token":"planted\xff"}',
        b'{"token":"\\ud800"}',
        b'{"\\udc00":1}',
        b'{"a":' + b"[" * DEEPEST + b"]" * DEEPEST + b"}",
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'["planted"]',
        b'"planted"',
        b"null",
        b"17",
        b"{} {}",
    ],
    ids=lambda body: body[:24],
)
def test_odd_bodies_are_refused_without_quoting(body: bytes) -> None:
    """docs/promises.md 7, 8, 12: a refused body is neither quoted nor logged."""
    with pytest.raises(TransientError) as caught:
        parse_object(body, "host:443")
    assert "host:443" in str(caught.value)
    assert "planted" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert try_object(body) is None


def test_depth_up_to_the_limit_is_read() -> None:
    """The limit counts objects and lists, not the values in them."""
    assert parse_object(b'{"a":' + b"[" * (DEEPEST - 1) + b"1" + b"]" * (DEEPEST - 1) + b"}", "host")
