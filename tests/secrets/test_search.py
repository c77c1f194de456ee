"""The search finds what it has to: without this, finding nothing would mean nothing."""

import base64
import json
from urllib.parse import quote_plus

import pytest

from tests.secrets.search import forms, traces

SECRET = 'q7Xd93-obviously "fake" \\ % é-Zt51kw'


@pytest.mark.parametrize(
    "disguised",
    [
        SECRET.encode(),
        SECRET[:8].encode(),
        SECRET[-8:].encode(),
        json.dumps({"a": [SECRET]}).encode(),
        repr({"a": SECRET}).encode(),
        f"https://h/?x={quote_plus(SECRET)}&y".encode(),
        SECRET.encode().hex().encode(),
        SECRET.encode().hex().upper().encode(),
        SECRET.encode("utf-16"),
        "".join(reversed(SECRET)).encode(),
        *(base64.b64encode(b"x" * offset + SECRET.encode() + b"tail") for offset in range(6)),
        *(base64.urlsafe_b64encode(b"x" * offset + SECRET.encode()) for offset in range(3)),
        json.dumps({"inner": json.dumps({"a": SECRET})}).encode(),
    ],
)
def test_a_secret_is_found_in_every_disguise(disguised: bytes) -> None:
    """docs/promises.md P4: also within other text, whatever stands before and behind it."""
    assert traces({"it": SECRET}, b"before " + disguised + b" behind")


def test_nothing_is_found_where_nothing_is() -> None:
    """No form is so short that it is anywhere."""
    assert all(len(form) >= 8 for _, form in forms(SECRET))
    assert traces({"it": SECRET}, b"obviously fake q7Xd93 kw " * 1000) == []
