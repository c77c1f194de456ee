"""Oddities of a secret are named, and the secret is not."""

import base64
import os

import pytest

from tokend.plugin.secret_oddities import oddities

KEY = "0123456789abcdef-obviously-fake"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{}\n\n", ["ends in more than one newline"]),
        ("{}\r\n\r\n", ["ends in more than one newline"]),
        ("{} \n", ["ends in white space"]),
        ("{}\t", ["ends in white space"]),
        (" {}", ["begins with white space"]),
        ("\n{}\n", ["begins with white space"]),
        ('"{}"\n', ["stands in quotes"]),
        ("'{}'", ["stands in quotes"]),
        ("`{}`\n", ["stands in quotes"]),
        ("“{}”\n", ["stands in quotes"]),
        (' "{}"\n', ["begins with white space", "stands in quotes"]),
        ("PARTNER_SECRET={}\n", ["looks like KEY=value"]),
        ("export key = {}\n", ["looks like KEY=value"]),
        ("api_key={}\n", ["looks like KEY=value"]),
        ("apiToken: {}\n", ["looks like KEY=value"]),
        ("# from the vendor\n{}\n", ["holds a comment (#)", "has several lines"]),
        ("{} # rotated in May\n", ["holds a comment (#)"]),
        ("{}\nsecond line\n", ["has several lines"]),
        ("{}\x1b[0m", ["holds control characters"]),
        ("{}\0\n", ["holds control characters"]),
        ("{}\u200b\n", ["holds invisible characters"]),
        ("\u00a0{}\n", ["begins with white space"]),
        ("\ufeff{}\r\n", ["begins with a byte order mark"]),
        ('\ufeff"{}"\n', ["begins with a byte order mark", "stands in quotes"]),
    ],
)
def test_each_trace_of_another_format_is_named(text: str, found: list[str]) -> None:
    """Byte order marks, newlines, blanks, quotes, names, comments, lines, and what no editor shows."""
    told = oddities(text.format(KEY).encode())
    assert list(told) == found
    assert KEY not in " ".join(told)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16"])
def test_utf_16_is_named_and_nothing_else_of_it(encoding: str) -> None:
    """Every second byte would look odd."""
    raw = f"{'' if encoding == 'utf-16' else chr(0xFEFF)}{KEY}\n\n".encode(encoding)
    assert oddities(raw) == ("is UTF-16 (save it as UTF-8)",)


@pytest.mark.parametrize(
    "raw",
    [
        KEY.encode(),
        f"{KEY}\n".encode(),
        f"{KEY}\r\n".encode(),
        base64.b64encode(b"obviously fake bytes") + b"\n",
        base64.b64encode(b"obviously fake byte") + b"\n",
        b"p=ssw0rd#1'\"x\n",
        b"correct horse battery staple",
        "passwört-öbviously-fake\n".encode(),
        b"key-id:obviously-fake\n",
        b'"',
        b"\xff" + bytes(range(1, 32)) + b"\n\n",
        b"",
        b'{\n  "type": "obviously fake"\n}\n',
        b"-----BEGIN FAKE KEY-----\nAAAA\n-----END FAKE KEY-----\n\n# made in May\n",
    ],
)
def test_a_secret_as_vendors_write_it_is_not_odd(raw: bytes) -> None:
    """Padding of base64, passwords with signs, words, random bytes, PEM and JSON."""
    assert oddities(raw) == ()


def test_random_keys_in_text_are_not_odd() -> None:
    """Keys of 32 random bytes in hex and in base64: no warning comes up by chance."""
    for _ in range(2000):
        key = os.urandom(32)
        assert oddities(base64.b64encode(key)) == oddities(key.hex().encode()) == ()
        assert oddities(base64.urlsafe_b64encode(key)) == ()
