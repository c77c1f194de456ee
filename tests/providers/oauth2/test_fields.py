"""URLs of endpoints, and values that may be written in two ways."""

import pytest

from tests.providers.oauth2.asking import faults_of, settings
from tokend.providers.oauth2.fields import is_endpoint


def test_the_url_of_an_endpoint_may_have_a_query() -> None:
    """RFC 6749, 3.2: Azure B2C names a policy there. Nothing is added to it and nothing is taken from it."""
    assert settings("https://a.example/token?p=policy").token_url == "https://a.example/token?p=policy"
    assert settings("https://a.example/token/").token_url == "https://a.example/token/"


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example/token", "https://a.example/token#x", "https://u:p@a.example/", "https://a.example/t?a b",
        "https://a.example/../t", "a.example",
    ],
)  # fmt: skip
def test_another_url_is_refused(url: str) -> None:
    """Secrets are sent there."""
    assert set(faults_of(token_url=url)) == {"token_url"}


def test_an_issuer_is_kept_byte_for_byte() -> None:
    """Auth0's ends with a slash."""
    assert settings(token_url=None, issuer="https://a.example/").issuer == "https://a.example/"
    assert "issuer" in faults_of(token_url=None, issuer="https://a.example/?x")


def test_a_text_stands_for_one_value_or_several() -> None:
    """Scopes are separated by spaces."""
    made = settings(scope="a b", audience="x y", resource="https://r.example/a")
    assert (made.scope, made.audience, made.resource) == (("a", "b"), ("x y",), ("https://r.example/a",))
    assert "resource.0" in faults_of(resource=["mailto:x"])
    assert settings(token_parameters={"n": 1, "b": True}).token_parameters == {"n": "1", "b": "true"}


@pytest.mark.parametrize(
    ("value", "usable"),
    [
        ("https://a.example/x?y=z", True), ("http://127.0.0.1:1/x", True), ("http://a.example/x", False),
        ("https://a.example/#", False), (7, False), (None, False), ("https://[", False), ("javascript:x", False),
    ],
)  # fmt: skip
def test_what_a_server_names_as_its_endpoint_is_checked_in_the_same_way(value: object, usable: bool) -> None:
    """Its metadata are not trusted more than the configuration."""
    assert is_endpoint(value) is usable
