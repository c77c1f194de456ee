"""A vendor's field errors are cleaned before they are passed on."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokend.plugin.echoed_fields import LARGEST_BYTES, field_errors
from tokend.values.secret import Secret

FAKE = Secret("obviously-fake-secret")


def test_texts_pass_field_by_field() -> None:
    """The texts stay as the vendor wrote them. A single text counts as a list."""
    found = {"clientId": ["The clientId field is required.", "ü"], "username": "too long"}
    assert field_errors(found, secrets=[FAKE]) == {"clientId": found["clientId"], "username": ["too long"]}


def test_control_characters_go_and_secrets_are_masked() -> None:
    """docs/promises.md 27: no ANSI, no newline, no secret, not even one that control characters interrupt."""
    found = {"a\x1b[31m": ["x\n\x00y\u2028\u202ez", "it was obviously-\x08fake-secret", FAKE.reveal_bytes().hex()]}
    assert field_errors(found, secrets=[FAKE]) == {"a[31m": ["xyz", "it was ***", "***"]}


@pytest.mark.parametrize("found", [None, [], "x", {}, {"a": []}, {"a": [1, None, {}]}, {"a": ""}, {"a": ["\x00"]}])
def test_without_texts_there_are_no_errors(found: Any) -> None:
    """The status alone decides then."""
    assert field_errors(found, secrets=[FAKE]) == {}


@pytest.mark.parametrize("text", ["x", '"', "ü", "😀"])
def test_four_kib_is_the_whole(text: str) -> None:
    """A long text is cut, and so is a long list of fields. Escaped characters count as they are sent."""
    errors = field_errors({f"field{n}": [text * 3000] for n in range(50)}, secrets=[FAKE])
    assert errors
    assert LARGEST_BYTES - 100 < len(json.dumps(errors)) <= LARGEST_BYTES


def test_a_binary_secret_masks_nothing_by_accident() -> None:
    """A key whose bytes are no text must not become an empty mask that matches between all letters."""
    assert field_errors({"a": ["text"]}, secrets=[Secret(b"\xff\xfe")]) == {"a": ["text"]}


@given(st.dictionaries(st.text(max_size=5000), st.lists(st.text(max_size=5000)) | st.text()))
def test_nothing_is_a_crash(found: Any) -> None:
    """No JSON of a vendor causes an exception."""
    assert len(json.dumps(field_errors(found, secrets=[FAKE]))) <= LARGEST_BYTES
