"""Declared values: one-time passwords, encodings, and what cannot be declared."""

import base64
import hashlib
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from tokend.plugin.declared.computed_value import ComputedValue

NAMES = {"a": b"A", "b": b"\xff\x00", "key": b"fake-key", "query": b"z=1&a=2&&b"}
_sha1 = partial(hashlib.sha1, usedforsecurity=False)
NOW = datetime(2026, 11, 30, tzinfo=UTC)


def value(**keys: Any) -> ComputedValue:
    return ComputedValue.model_validate(keys)


def text(now: datetime = NOW, names: dict[str, bytes] = NAMES, **keys: Any) -> str:
    return value(**keys).text(names.__getitem__, now).decode()


SEEDS = {
    "sha1": b"12345678901234567890",
    "sha256": b"12345678901234567890123456789012",
    "sha512": b"1234567890123456789012345678901234567890123456789012345678901234",
}


@pytest.mark.parametrize(
    ("seconds", "algorithm", "code"),
    [
        (59, "sha1", "94287082"), (59, "sha256", "46119246"), (59, "SHA512", "90693936"),
        (1111111109, "sha1", "07081804"), (1111111111, "sha256", "67062674"), (2000000000, "sha512", "38618901"),
        (20000000000, "sha1", "65353130"),
    ],
)  # fmt: skip
def test_a_one_time_password_is_that_of_rfc_6238(seconds: int, algorithm: str, code: str) -> None:
    """Its appendix B. Six digits are the last six."""
    now, names = datetime.fromtimestamp(seconds, UTC), {"seed": SEEDS[algorithm.lower()]}
    assert text(now, names, totp="seed", algorithm=algorithm, digits=8) == code
    assert text(now, names, totp="seed", algorithm=algorithm) == code[2:]
    assert value(totp="seed").is_hidden


@pytest.mark.parametrize("period", [60, "60s", "1m"])
def test_a_period_may_be_a_number_of_seconds(period: Any) -> None:
    """As in the addresses of QR codes."""
    now, names = datetime.fromtimestamp(59, UTC), {"seed": SEEDS["sha1"]}
    assert text(now, names, totp="seed", period=period) == "755224"  # RFC 4226, count 0


def test_a_hash_is_encoded_as_the_table_says() -> None:
    """Hex without a word; base64url as in JWTs, without padding."""
    digest = hashlib.sha256(b"A\xff\x00x").digest()
    keys: dict[str, Any] = {"hash": "sha256", "parts": ["a", "b", {"text": "x"}]}
    assert text(**keys) == text(**keys, output="hex") == digest.hex()
    assert text(**keys, output="hex-upper") == digest.hex().upper()
    assert text(**keys, output="base64", prefix="v=") == "v=" + base64.b64encode(digest).decode()
    assert text(**keys, output="base64url") == base64.urlsafe_b64encode(digest).decode().rstrip("=")


def test_parts_alone_are_a_text_or_its_encoding() -> None:
    """As the user and password of HTTP's basic authentication."""
    assert text(parts=["a", "key"], separator=":", prefix="P") == "PA:fake-key"
    assert text(parts=["a", "key"], separator=":", output="base64") == base64.b64encode(b"A:fake-key").decode()
    assert text(parts=["b"], output="hex") == "ff00"


def test_a_nested_hash_is_bytes_unless_the_table_says_otherwise() -> None:
    """With a separator of its own."""
    inner = hashlib.md5(b"A-x", usedforsecurity=False)
    nested: dict[str, Any] = {"hash": "md5", "parts": ["a", {"text": "x"}], "separator": "-"}
    assert text(hash="sha1", parts=["a", nested]) == _sha1(b"A" + inner.digest()).hexdigest()
    for output, encoded in (("hex", inner.hexdigest()), ("hex-upper", inner.hexdigest().upper())):
        assert text(hash="sha1", parts=[{**nested, "output": output}]) == _sha1(encoded.encode()).hexdigest()


def test_a_query_is_sorted_or_decoded_or_both() -> None:
    """A pair without = has an empty value when it is sorted; an empty pair is none then."""
    assert text(parts=[{"query": "sorted"}]) == "a=2&b=&z=1"
    names = {"query": b"z=%C3%A4+%26&&a"}
    assert text(names=names, parts=[{"query": "sorted", "decoded": True}]) == "a=&z=ä+&"
    assert text(names=names, parts=[{"query": "raw", "decoded": True}]) == "z=ä+&&&a"
    assert text(names=names, parts=[{"query": "raw"}]) == names["query"].decode()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "a value has parts"), ({"hash": "sha256", "hmac": "sha1", "key": "k", "parts": ["a"]}, "hash and hmac"),
        ({"hmac": "sha1", "parts": ["a"]}, "hmac and key go together"), ({"key": "k", "parts": ["a"]}, "go together"),
        ({"hash": "sha3", "parts": ["a"]}, "Input should be 'md5', 'sha1'"),
        ({"totp": "s", "parts": ["a"]}, "no parts, separator or output"), ({"totp": "s", "digits": 5}, "than or equal"),
        ({"totp": "s", "period": "1500ms"}, "whole seconds"), ({"totp": "s", "period": 0}, "whole seconds"),
        ({"parts": ["a"], "digits": 8}, "are for totp"), ({"hash": "sha1", "parts": []}, "a value has parts"),
        ({"hash": "sha1", "parts": ["a"], "output": "text"}, "a hash is bytes"),
        ({"parts": [{"text": "a", "hash": "sha1"}]}, "a part is a name"), ({"parts": [{}]}, "a part is a name"),
        ({"parts": [{"hash": "sha1"}]}, "a nested hash has parts"),
        ({"parts": [{"text": "a", "parts": ["b"]}]}, "has parts"),
        ({"parts": [{"text": "a", "separator": "b"}]}, "for a nested hash"),
        ({"parts": [{"text": "a", "decoded": True}]}, "decoded goes with query"),
        ({"parts": [{"hash": "sha1", "parts": [{"hash": "sha1", "parts": ["a"]}]}]}, "nested once"),
        ({"parts": [5]}, "valid dictionary"), ({"parts": ["a"], "seperator": "x"}, "Extra inputs"),
    ],
)  # fmt: skip
def test_what_is_no_value_is_refused(keys: dict[str, Any], message: str) -> None:
    """The text says what to write."""
    with pytest.raises(ValidationError, match=message):
        value(**keys)


def test_a_value_has_a_schema() -> None:
    """A part is a text or a table."""
    schema = TypeAdapter(ComputedValue).json_schema()
    assert "anyOf" in str(schema["$defs"]["Part"])
