"""Settings of kinds that sign JWTs: times in two units, what is unique, keys that do not fit."""

import base64
import json
from typing import Any

import pytest
from pydantic import ValidationError

from tests.providers.private_keys import ec_pem
from tokend.plugin.jwt_settings import JwtSettings
from tokend.values.secret import Secret

KEY = Secret("an-obviously-fake-key-of-32-bytes")


def settings(**more: Any) -> JwtSettings:
    return JwtSettings.model_validate({"kind": "x", "secret": {"env": "KEY"}, **more})


def parts(token: Secret) -> list[Any]:
    return [json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.reveal().split(".")[:2]]


def test_times_are_rounded_down_in_their_unit() -> None:
    """The end is ``ttl`` after the beginning, which may lie earlier."""
    assert settings(ttl="1m").times(1000.9) == (1000, 1060)
    assert settings(ttl="1m", time_unit="ms", backdate="5s").times(1000.9004) == (995_900, 1_055_900)


def test_unique_members_are_new_for_each_token() -> None:
    """In the header and in the claims, after those of the table."""
    made = settings(jti=True, nonce=True, header={"kid": "k"})
    (head, claims), (other_head, other_claims) = (parts(made.signed({"a": 1}, KEY)) for _ in range(2))
    assert (list(head), list(claims)) == (["alg", "typ", "kid", "nonce"], ["a", "jti"])
    assert head["nonce"] != other_head["nonce"]
    assert claims["jti"] != other_claims["jti"]


def test_a_key_that_is_short_or_does_not_fit_is_named() -> None:
    """A short one is a warning; a wrong sort of key an error of a check."""
    assert settings().warnings({"secret": Secret("short")})[0].startswith("the secret has 5 bytes")
    assert settings().warnings({"secret": KEY}) == settings().warnings({}) == ()
    pair = settings(algorithm="ES256")
    assert set(pair.unusable_secrets({"secret": KEY})) == {"secret"}
    assert pair.unusable_secrets({"secret": Secret(ec_pem())}) == settings().unusable_secrets({"secret": KEY}) == {}
    assert pair.warnings({"secret": Secret("x")}) == ()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"ttl": "1500ms"}, "whole seconds"), ({"header": {"alg": "none"}}, "alg cannot be set"),
        ({"header": {"x": float("nan")}}, "JSON cannot say"),
        ({"header": {"nonce": "x"}, "nonce": True}, "a fresh one"),
        ({"ttl": "5s", "backdate": "5s"}, "less than ttl"),
    ],
)  # fmt: skip
def test_what_cannot_be_signed_is_refused(keys: dict[str, Any], message: str) -> None:
    """When the table is read."""
    with pytest.raises(ValidationError, match=message):
        settings(**keys)
