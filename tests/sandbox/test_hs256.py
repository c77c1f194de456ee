"""The sandbox's own HS256, against PyJWT and by hand."""

import base64
import hashlib
import hmac
from typing import Any

import jwt
import pytest

from tokend.sandbox.hs256 import BadTokenError, sign, verify

KEY = b"a-key-for-tests-that-has-32-bytes!"


def forge(header: bytes, payload: bytes, key: bytes = KEY) -> str:
    """Sign whatever header and payload with HMAC-SHA256."""
    head, body = (base64.urlsafe_b64encode(part).rstrip(b"=") for part in (header, payload))
    signature = base64.urlsafe_b64encode(hmac.digest(key, head + b"." + body, hashlib.sha256)).rstrip(b"=")
    return b".".join((head, body, signature)).decode()


def test_what_is_signed_here_is_read_by_pyjwt_and_the_other_way_round() -> None:
    """Two implementations agree."""
    claims = {"b": 1, "a": "é"}
    assert jwt.decode(sign(claims, KEY), KEY, algorithms=["HS256"]) == claims
    assert verify(jwt.encode(claims, KEY, algorithm="HS256"), KEY) == claims


@pytest.mark.parametrize(
    ("header", "payload"),
    [
        (b'{"alg":"none"}', b"{}"),
        (b'{"alg":"HS512"}', b"{}"),
        (b"{}", b"{}"),
        (b"[]", b"{}"),
        (b'{"alg":"HS256"}', b"[]"),
        (b'{"alg":"HS256"}', b"{"),
        (b'{"alg":"HS256"}', b"\xff"),
    ],
)
def test_a_right_signature_does_not_save_a_wrong_token(header: bytes, payload: bytes) -> None:
    """The algorithm must be named HS256, and both parts must be JSON objects."""
    with pytest.raises(BadTokenError):
        verify(forge(header, payload), KEY)


@pytest.mark.parametrize(
    "change", [lambda t: t + "=", lambda t: t.replace(".", "!.", 1), lambda t: t[:-1], lambda t: ""]
)
def test_text_that_is_not_base64url_is_no_token(change: Any) -> None:
    """No padding and no foreign characters, which Python's decoder would skip."""
    good = forge(b'{"alg":"HS256"}', b"{}")
    assert verify(good, KEY) == {}
    with pytest.raises(BadTokenError):
        verify(change(good), KEY)
