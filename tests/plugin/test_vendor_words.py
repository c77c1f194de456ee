"""The vendor's own words: which sentences, without secrets and control characters, and never too many."""

import base64
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from tokend.plugin.http_exchange import UpstreamReply
from tokend.plugin.response_status import refuse
from tokend.plugin.vendor_words import LONGEST_CHARACTERS, cleaned, with_words, without_values
from tokend.values.errors import AttemptError, TransientError
from tokend.values.instant import Instant
from tokend.values.secret import Secret

FAKE = Secret("obviously-fake/secret=ü")
NOW = Instant(datetime(2026, 1, 1, tzinfo=UTC), 1000.0)


def answered(body: Any, *, status: int = 500, media: str | None = "application/json") -> UpstreamReply:
    """Return a reply; a body that is no bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return UpstreamReply(status, {} if media is None else {"content-type": media}, raw, NOW, None, 0.0)


def words(body: Any, *, media: str | None = "application/json") -> str | None:
    """Return the words of a reply."""
    return with_words(TransientError("x"), answered(body, media=media), [FAKE]).said


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"status": "error", "message": "Invalid signature", "data": None}, "Invalid signature"),
        ({"message": "Failed", "data": {"error": "Database connection failed"}}, "Failed: Database connection failed"),
        ({"success": False, "errorCode": 3, "errorMessage": "Account locked"}, "Account locked"),
        ({"status": "Fail", "status_message": "Invalid application key"}, "Invalid application key"),
        ({"error": "invalid_client", "error_description": "No such client"}, "No such client: invalid_client"),
        ({"type": "about:blank", "title": "Bad Request", "detail": "No userName"}, "No userName: Bad Request"),
        ({"message": "Same", "error": "Same"}, "Same"),
        ({"message": None, "errorMessage": None, "data": []}, None),
        ({"message": {"text": "nested"}, "detail": ["list"]}, None),
        ([], None),
        ("text", None),
    ],
)
def test_the_words_are_the_sentences_of_the_reply(body: Any, expected: str | None) -> None:
    """The members that vendors and standards use for them; everything else may be anything."""
    assert words(body) == expected


@pytest.mark.parametrize(
    ("body", "media", "expected"),
    [
        (b"Account disabled\r\n", "text/plain; charset=utf-8", "Account disabled"),
        (b"Account disabled", None, "Account disabled"),
        (b"<html><body>Sign in</body></html>", "text/html", None),
        (b" <html>Sign in", "text/plain", None),
        (b'{"half": ', "text/plain", None),
        (b"\xff\xfe", "text/plain", None),
        (b"", "text/plain", None),
        (b"binary", "application/octet-stream", None),
    ],
)
def test_plain_text_counts_and_pages_do_not(body: bytes, media: str | None, expected: str | None) -> None:
    """A captive portal's page is nobody's words."""
    assert words(body, media=media) == expected


def test_control_characters_are_removed_and_lines_joined() -> None:
    """No escape sequence reaches a terminal, no second line a file; invisible characters go, too."""
    assert cleaned("a\x1b[31mb\r\n\tc\x00\u202ed\u2028e\x9bf", []) == "a[31mb cd ef"
    assert cleaned(" \r\n\x00", []) is None


@pytest.mark.parametrize(
    "form",
    [
        FAKE.reveal(),
        FAKE.reveal_bytes().hex(),
        base64.b64encode(FAKE.reveal_bytes()).decode(),
        quote(FAKE.reveal(), safe=""),
        FAKE.reveal()[:5] + "\x00" + FAKE.reveal()[5:],
    ],
)
def test_secrets_are_masked_in_every_form_before_the_text_is_cut(form: str) -> None:
    """A secret that the cut would halve is masked, too."""
    for before in (0, LONGEST_CHARACTERS - 8):
        said = cleaned("x" * before + f"[{form}]", [FAKE])
        assert said is not None
        assert said.startswith("x" * before + "[***")
        assert len(said) <= LONGEST_CHARACTERS


@pytest.mark.parametrize(
    "form",
    [
        "obviously-fake/secret%2B%22%C3%BC%22", "obviously-fake%2fsecret%2b%22%c3%bc%22",
        "obviously-fake/secret%2b%22%c3%bc%22+x", "obviously-fake%2Fsecret%2B%22%C3%BC%22%20x",
        'obviously-fake/secret+\\"ü\\" x', 'obviously-fake\\/secret+\\"\\u00fc\\" x',
        'obviously-fake/secret+\\"\\u00fc\\" x',
        "obviously-fake/secret+&quot;ü&quot; x", 'obviously-fake/secret+"ü" x',
        'obviously-fake/secret+"ü" x'.encode().hex().upper(),
        base64.urlsafe_b64encode('obviously-fake/secret+"ü" x'.encode()).decode(),
    ],
)  # fmt: skip
def test_a_secret_is_masked_as_servers_write_it_in_other_texts(form: str) -> None:
    """URLs with and without an escaped slash, hexadecimal digits of either case, JSON in JSON, HTML."""
    said = cleaned(f"[{form}]", [Secret('obviously-fake/secret+"ü" x'), Secret('obviously-fake/secret+"ü"')])
    assert said is not None
    assert "secret" not in said
    assert said.startswith("[***")


@pytest.mark.parametrize(
    "form",
    [
        "p%40ss(fake)!*'1", "p%40ss%28fake%29%21%2A%271", "p@ss(fake)!*&#39;1", "p@ss(fake)!*&#039;1",
        "p@ss(fake)!*&#x27;1", "p@ss(fake)!*&apos;1",
    ],
)  # fmt: skip
def test_a_secret_is_masked_as_other_languages_escape_it(form: str) -> None:
    """`encodeURIComponent`, and the apostrophe in HTML."""
    assert cleaned(f"[{form}]", [Secret("p@ss(fake)!*'1")]) == "[***]"


def test_a_secret_of_several_lines_is_masked_also_where_it_is_cut() -> None:
    """A private key, with its lines as they are, joined, or without its end."""
    lines = ["-----BEGIN PRIVATE KEY-----", *("obviouslyfake" * 5 for _ in range(60)), "-----END PRIVATE KEY-----", ""]
    key = Secret("\n".join(lines))
    for text in (key.reveal(), "".join(lines), " ".join(lines), "\n".join(lines[:30])):
        assert cleaned(f"locked: {text}", [key]) in ("locked: ***", "locked: *** ***")
    assert words({"message": f"locked: {key.reveal()} {key.reveal()}"}) is not None
    assert cleaned(f"locked: {key.reveal()[:40]}", [key]) == "locked: " + key.reveal()[:40].replace("\n", " ")


def test_the_longer_secret_is_masked_first() -> None:
    """Otherwise the rest of it would stay."""
    assert cleaned("key:abcdef", [Secret("abc"), Secret("abcdef")]) == "key:***"


def test_a_long_text_is_cut() -> None:
    """300 characters, whatever the vendor sends."""
    said = words({"message": "é" * 100_000})
    assert said == "é" * LONGEST_CHARACTERS


@pytest.mark.parametrize("status", [302, 400, 401, 403, 429, 500, 503])
def test_every_status_carries_the_words_beside_its_message_and_only_for_who_gives_the_secrets(status: int) -> None:
    """The message itself stays without them: it is logged."""
    reply = answered({"message": "Planted words"}, status=status)
    for secrets, expected in (([FAKE], "Planted words"), (None, None)):
        with pytest.raises(AttemptError) as refused:
            refuse(reply, "host", secrets=secrets)
        error = refused.value
        assert error.said == expected
        assert "Planted" not in str(error) + repr(error) + error.detail
        assert error.whole == error.detail + ("" if expected is None else "; the upstream said: Planted words")


def test_the_values_of_a_caller_are_masked_in_the_words_that_others_see() -> None:
    """Whole, and where the cut has halved them. Short ones would be masked in the middle of words."""
    values = {"clientId": "CLIENT_001", "amount": "1", "user": "somebody@example"}
    error = TransientError("refused")
    error.said = "user somebody@example of CLIENT_001 may not order 1"
    kept = without_values(error, values)
    assert (kept.said, kept.detail) == ("user *** of *** may not order 1", "refused")
    assert error.said.startswith("user somebody")
    error.said = ("x" * LONGEST_CHARACTERS + " somebody@example")[9:][:LONGEST_CHARACTERS]
    assert error.said.endswith(" somebody")
    assert without_values(error, values).said == "x" * (LONGEST_CHARACTERS - 9)
    error.said = None
    assert without_values(error, values).said is None
