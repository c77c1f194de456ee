"""Calls that may be signed: one form of method and path, and the configuration's list."""

from typing import Literal

import pytest
from pydantic import ValidationError

from tokend.plugin.kind_check import provider_faults
from tokend.plugin.request_signing import LONGEST_PATH, CallToSign, SigningSettings, normalised
from tokend.plugin.settings import OnDemandSettings
from tokend.providers.auth_token import AuthToken


class Signing(OnDemandSettings, SigningSettings):
    """A kind that says it signs and does not."""

    kind: Literal["signing"] = "signing"


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (("get", "/api/v1/get-balance"), ("GET", "/api/v1/get-balance")),
        (("POST", "/"), ("POST", "/")),
        (("GET", "/get%2Dbalance/%7euser"), ("GET", "/get-balance/~user")),
        (("GET", "/caf%c3%a9/a%20b/@me;v=1"), ("GET", "/caf%C3%A9/a%20b/@me;v=1")),
        (("GET", "/trailing/"), ("GET", "/trailing/")),
    ],
)
def test_a_call_has_one_form(asked: tuple[str, str], found: tuple[str, str]) -> None:
    """The method in upper case; unreserved characters in clear, all others encoded in upper case."""
    assert normalised(*asked) == found
    assert normalised(*found) == found


@pytest.mark.parametrize(
    "path",
    [
        "", "api", "//api", "/api//x", "/a/../b", "/..", "/a/./b", "/.", "/a/..", "/a%2fb", "/a%2Fb", "/a%5cb",
        "/%2e%2e/x", "/a/%2E/x", "/%252fx", "/a\\b", "/a b", "/a?b=1", "/a#b", "/a%", "/a%2", "/a%zz", "/a%00", "/a%0d",
        "/a\r\nb", "/ä", "/%7f", "http://elsewhere/api", "/" + "x" * LONGEST_PATH,
    ],
)  # fmt: skip
def test_a_path_that_servers_may_read_in_two_ways_is_refused_and_not_quoted(path: str) -> None:
    """Else the allowed path could be signed, and another one called."""
    with pytest.raises(ValueError, match=r"^the path "):
        normalised("GET", path)


@pytest.mark.parametrize("method", ["", "GET ", "G-T", "GET\n", "ÄT", "X" * 17])
def test_a_method_is_a_word(method: str) -> None:
    """Anything else would run into the path: no separator stands between them in the signed text."""
    with pytest.raises(ValueError, match=r"^the method "):
        normalised(method, "/")


def test_the_list_is_compared_as_a_whole() -> None:
    """Neither a prefix nor another method."""
    settings = AuthToken.model_validate(
        {"client_secret": "fake", "sign_paths": ["get /api/v1/get%2Dbalance", "POST /api/v1/credit-balance"]}
    )
    assert settings.sign_paths == ("GET /api/v1/get-balance", "POST /api/v1/credit-balance")
    assert settings.may_sign("GET", "/api/v1/get-balance")
    for method, path in (("POST", "/api/v1/get-balance"), ("GET", "/api/v1/get-balance/"), ("GET", "/api/v1")):
        assert not settings.may_sign(method, path)


@pytest.mark.parametrize("wrong", ["/api", "GET", "GET api", "GET /a/../b", "GET  /a", "GET /a?b"])
def test_an_entry_that_can_never_match_is_an_error_of_the_configuration(wrong: str) -> None:
    """As is one that stands there twice."""
    for paths in ([wrong], ["GET /a", "get /a"]):
        with pytest.raises(ValidationError, match="sign_paths"):
            AuthToken.model_validate({"client_secret": "fake", "sign_paths": paths})


def test_a_kind_that_lists_calls_and_cannot_sign_them_is_a_fault_of_the_kind() -> None:
    """`tokend check` names the method."""
    faults = "\n".join(provider_faults("signing", Signing))
    assert "it has no method sign: write async def sign(self, runtime, call)" in faults


def test_the_repr_of_a_call_shows_neither_query_nor_body() -> None:
    """Both may name a person."""
    assert repr(CallToSign("GET", "/x", (("a", "fake-value"),), b"fake-body")) == "CallToSign(method='GET', path='/x')"
