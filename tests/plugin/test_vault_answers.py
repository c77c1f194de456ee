"""Answers of a vault, and what they mean for a secret. tests/counterparts has those of a real OpenBao."""

import json
from typing import Any

import pytest

from tests.plugin.places import in_vault
from tokend.machine.clock import SystemClock
from tokend.plugin.http_exchange import UpstreamReply
from tokend.plugin.vault_answers import content_of, word_of
from tokend.values.errors import SecretError

VAULT = {"address": "https://vault.example"}


def answer(status: int, body: object, headers: dict[str, str] | None = None) -> UpstreamReply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return UpstreamReply(status, headers or {}, raw, SystemClock().instant(), None, 0.0)


def read(reply: UpstreamReply, kv_version: int = 2, **place: Any) -> str:
    """The content, or why there is none."""
    source = in_vault(VAULT, **{"path": "tt", "field": "key", **place})
    try:
        return content_of(source, reply, kv_version).decode()
    except SecretError as error:
        assert error.detail.startswith("vault bao secret/tt#key: ")
        assert "planted" not in error.detail
        return error.detail.removeprefix("vault bao secret/tt#key: ")


def fields(**found: Any) -> UpstreamReply:
    return answer(200, {"data": {"data": found, "metadata": {"version": 1}}})


@pytest.mark.parametrize(("value", "content"), [("text", "text"), (17, "17"), (1.5, "1.5"), ("é", "é")])
def test_a_text_or_a_number_is_the_content(value: object, content: str) -> None:
    """Version 2 has one more level than version 1."""
    assert read(fields(key=value)) == content
    assert read(answer(200, {"data": {"key": value}}), kv_version=1) == content


@pytest.mark.parametrize("value", [True, None, ["planted"], {"a": "planted"}])
def test_anything_else_needs_an_expression(value: object) -> None:
    """Which gets it as JSON; without a field it gets all fields."""
    assert read(fields(key=value)) == "the field is neither a text nor a number: select takes a part of it"
    assert json.loads(read(fields(key=value), select="a")) == value
    source = in_vault(VAULT, path="tt", select="key")
    assert json.loads(content_of(source, fields(key=value), 2)) == {"key": value}


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (fields(other="planted"), "the secret has no such field"),
        (
            answer(200, b"planted"),
            "the server answered 200 without data: is it Vault or OpenBao, and kv_version right?",
        ),
        (answer(200, {"data": {"data": None}}), "the server answered 200 without data"),
        (answer(200, ["planted"]), "the server answered 200 without data"),
        (answer(404, {"errors": []}), "the server answered 404: there is no secret at this path"),
        (answer(404, {"errors": ["no handler for route planted"]}), "404 (no engine is mounted there): is there such"),
        (answer(404, {"errors": [], "warnings": ["planted"]}), "the server answered 404: is there such a namespace"),
        (answer(404, b"<html>planted"), "the server answered 404: is there such a namespace"),
        (answer(404, {"data": {"data": None, "metadata": {}}}), "the current version of the secret is deleted"),
        (answer(429, {"errors": ["planted"]}), "the server answered 429: too many requests"),
        (answer(473, b""), "the server answered 473: it is a standby"),
        (answer(307, b"", {"location": "https://planted.example"}), "the server answered 307: redirects are refused"),
        (answer(503, {"errors": ["Vault is sealed"]}), "the server answered 503 (it is sealed)"),
        (answer(500, {"errors": ["planted"]}), "the server answered 500"),
    ],
)
def test_what_is_no_secret_is_explained_without_the_servers_words(reply: UpstreamReply, why: str) -> None:
    """Only known phrases are shown, in our own words."""
    assert why in read(reply)


def test_a_known_phrase_has_a_word_of_ours() -> None:
    """Anything else has none."""
    assert (
        word_of(answer(400, {"errors": [5, "unsupported path"]})) == "the engine has no such path: is kv_version right?"
    )
    for body in (b"", {"errors": "sealed"}, {"errors": ["planted"]}):
        assert word_of(answer(400, body)) is None
