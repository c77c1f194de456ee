"""Kind ``request-jwt``: one JWT per payment request."""

import base64
import json
from datetime import timedelta
from typing import Any

import anyio
import jwt as pyjwt
import pytest

from tests.providers.live import NOW, LiveRuntime, at, env
from tokend.plugin.provider import Issuer
from tokend.providers.request_jwt import RequestJwt
from tokend.values.errors import InvalidParametersError, SecretError
from tokend.values.tokens import Token

VECTOR = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1cmwiOiIvcGF0aC90by9lbmRwb2ludCIsImlhdCI6MTcwMDAwMDAwMDAwMCwiZXhwIjoxNzAw"
    "MDAwMDYwMDAwLCJrZXkiOiJZT1VSX0FVVEhfS0VZIiwic2lnbmF0dXJlIjoiM2ZiNDBlZmIzZGIwNjQyZGY1ZWE5YmEwMTEzMWRkMTdmMjFjMmM2YT"
    "hjYTU5ZjljNGM3ZGRkYjViMTQ4NzdhMiJ9.PupUlJeNMzvlL1WWgnz6IWMUvh17fotBqlhOXzXB2Lg"
)
EMPTY = "12ae32cb1ec02d01eda3581b127c1fee3b0dc53572ed6baf239721a03d82e126"
ORDER = {"url": "/path/to/endpoint", "currency": "BTC", "amount": "0.001", "orderId": "12345"}


def settings(**more: Any) -> RequestJwt:
    """Return the settings of a wallet, as in docs/kinds.md."""
    return RequestJwt.model_validate({"key": env("AUTH_KEY"), "secret": env("ENC_KEY"), **more})


def issued(parameters: dict[str, str], unix: float = NOW, **more: Any) -> Token:
    """Issue one token, as the engine does."""
    made = settings(**more)
    made.check(parameters)

    async def main() -> Token:
        return await made.issue(LiveRuntime(made, unix=unix), parameters)

    return anyio.run(main)


def claims(token: Token) -> Any:
    """Return the payload, unverified."""
    body = token.value.reveal().split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def errors(parameters: dict[str, str], **more: Any) -> set[str]:
    """Return the fields that `check` names."""
    with pytest.raises(InvalidParametersError) as caught:
        settings(**more).check(parameters)
    assert all(texts and all(texts) for texts in caught.value.errors.values())
    return set(caught.value.errors)


def test_the_published_vector_is_met() -> None:
    """docs/vendors.md, request-jwt: the token and its headers."""
    token = issued(ORDER)
    assert token.value.reveal() == VECTOR
    assert {name: value.reveal() for name, value in token.headers.items()} == {
        "Authorization": f"Bearer {VECTOR}",
        "x-auth-key": "YOUR_AUTH_KEY",
        "Content-Type": "application/json",
    }
    assert (token.issued_at, token.expires_at) == (at(NOW), at(NOW + 60))
    assert VECTOR not in repr(token)
    assert "YOUR_AUTH_KEY" not in repr(token)
    assert isinstance(settings(), Issuer)


def test_the_order_of_the_parameters_does_not_matter_and_their_text_does() -> None:
    """The fields are signed in the configured order, as text: `0.0010` is not `0.001`."""
    assert issued(dict(reversed(ORDER.items()))).value.reveal() == VECTOR
    assert issued({**ORDER, "amount": "0.0010"}).value.reveal() != VECTOR
    assert claims(issued({**ORDER, "url": "/x?a=b#c ü"}))["url"] == "/x?a=b#c ü"


@pytest.mark.parametrize("empty", [{}, {"currency": "", "amount": "", "orderId": ""}, {"amount": ""}])
def test_without_an_order_the_empty_string_is_signed(empty: dict[str, str]) -> None:
    """docs/vendors.md: the SHA-256 of two quotes."""
    assert claims(issued({"url": "/x", **empty}))["signature"] == EMPTY


@pytest.mark.parametrize(
    ("parameters", "fields"),
    [
        ({}, {"url"}),
        ({"url": ""}, {"url"}),
        ({"url": "/x", "currency": "BTC"}, {"amount", "orderId"}),
        ({"url": "/x", "currency": "BTC", "amount": "", "orderId": "1"}, {"amount"}),
        ({**ORDER, "orderId": "1#2"}, {"orderId"}),
        ({**ORDER, "exp": "1", "key": "x"}, {"exp", "key"}),
        ({**ORDER, "orderId": "\ud800"}, {"orderId"}),
        ({**ORDER, "url": "/\udfff"}, {"url"}),
        ({"amount": "1#", "x": "y"}, {"url", "currency", "orderId", "amount", "x"}),
    ],
)
def test_all_wrong_parameters_are_named_at_once(parameters: dict[str, str], fields: set[str]) -> None:
    """The caller gets 400 with a text per field, and nothing is signed."""
    assert errors(parameters) == fields


def test_the_settings_shape_the_token() -> None:
    """Another page of the vendor has another header. Times may be seconds. The signed fields are configurable."""
    token = issued(
        {"url": "/x", "a": "1", "b": "2"},
        NOW + 0.75,
        token_header="signatureToken",
        token_prefix="",
        time_unit="s",
        ttl="90s",
        signature_fields=["b", "a"],
        algorithm="HS512",
    )
    assert token.headers["signatureToken"].reveal() == token.value.reveal()
    assert (claims(token)["iat"], claims(token)["exp"]) == (NOW, NOW + 90)
    assert pyjwt.get_unverified_header(token.value.reveal())["alg"] == "HS512"
    assert token.expires_at is not None
    assert token.expires_at.wall.timestamp() == pytest.approx(NOW + 90, abs=1e-3)
    assert (
        claims(token)["signature"]
        == claims(issued({"url": "/", "b": "2", "a": "1"}, signature_fields=["b", "a"]))["signature"]
    )
    assert errors({"url": "/x", "currency": "BTC"}, signature_fields=["b", "a"]) == {"currency"}


def test_milliseconds_are_kept() -> None:
    """The vendor's iat is Date.now()."""
    assert claims(issued(ORDER, NOW + 0.123))["iat"] == NOW * 1000 + 123


@pytest.mark.parametrize(
    "wrong",
    [
        {"signature_fields": ["url"]},
        {"signature_fields": ["a", "a"]},
        {"signature_fields": [""]},
        {"token_header": "bad header"},
        {"token_header": ""},
        {"key_header": "a:b"},
        {"token_prefix": "x\r\n"},
        {"token_header": "X-Auth-Key"},
        {"token_header": "content-type"},
        {"time_unit": "s", "ttl": "500ms"},
        {"algorithm": "RS256"},
        {"refresh_before": "1m"},
        {"on_expiry": "keep"},
    ],
    ids=str,
)
def test_wrong_settings_are_configuration_errors(wrong: dict[str, Any]) -> None:
    """They are found when the configuration is loaded. On-demand kinds refuse the keys of held kinds."""
    with pytest.raises(ValueError, match="validation error"):
        settings(**wrong)


def test_a_key_that_no_header_can_carry_is_named() -> None:
    """The caller would send the key as two headers."""
    made = settings()

    async def main() -> None:
        await made.issue(LiveRuntime(made, environ={"AUTH_KEY": "a\nb", "ENC_KEY": "x"}), ORDER)

    with pytest.raises(SecretError, match="key"):
        anyio.run(main)


def test_the_defaults_are_the_vendors() -> None:
    """The default is 60 s, in milliseconds. There is no upstream, so no rate limit applies."""
    made = settings()
    assert (made.ttl, made.time_unit, made.upstream) == (timedelta(seconds=60), "ms", None)
    assert made.signature_fields == ("currency", "amount", "orderId")
