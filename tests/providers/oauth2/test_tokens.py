"""Tokens of answers: ends, types and headers."""

import json
from typing import Any

import pytest

from tests.providers.live import NOW
from tests.providers.oauth2.asking import TOKEN, error_of, granted, said, settings, token_of
from tests.upstream.loopback import reply
from tokend.providers.oauth2.tokens import claims_of
from tokend.values.errors import ServerSettingsError, TransientError


@pytest.mark.parametrize(
    ("members", "life"),
    [
        ({"expires_in": "3600"}, 3600), ({"expires_in": 59.5}, 59.5), ({"expires_in": None}, None),
        ({"expires_in": None, "expires_on": str(NOW + 100)}, 100), ({"expires_in": 50, "expires_on": "?"}, 50),
        ({"expires_in": None, "expires_at": "2023-11-14T22:15:00Z"}, 100),
    ],
)  # fmt: skip
def test_an_end_is_told_in_several_ways(members: dict[str, Any], life: float | None) -> None:
    """Azure's expires_on is a text; expires_in counts before it."""
    assert token_of(granted(**members)).life_seconds == (None if life is None else pytest.approx(life))


def test_a_message_in_the_whole_text_is_no_token() -> None:
    """A server that is down may say so with a status of success."""
    error = error_of(reply(b"Service is down, planted"), answer={"token": {"text": True}})
    assert isinstance(error, TransientError)
    assert "the text is no token" in str(error)


@pytest.mark.parametrize("life", [0, -1, "3600abc", True, [], {}, "", 10**9, 1e300, "NaN"], ids=repr)
def test_an_impossible_life_is_discarded(life: Any) -> None:
    """It would cause requests without end, or a token that is never renewed."""
    assert isinstance(error_of(granted(expires_in=life)), TransientError)


@pytest.mark.parametrize(
    ("said_in", "kept"),
    [(1800, 1800.0), ("1800", 1800.0), (0, None), (-1, None), (7200, None), (3600, None), (True, None), ("x", None)],
)
def test_a_server_may_ask_for_an_early_refresh(said_in: Any, kept: float | None) -> None:
    """Azure's refresh_in. No reader gets it."""
    token = token_of(granted(refresh_in=said_in))
    assert token.refresh_in_seconds == kept
    assert settings().shown_extra(token) == {}


def test_null_means_absent() -> None:
    """Of each member."""
    body = json.dumps({"access_token": TOKEN, "expires_in": None, "token_type": None, "refresh_token": None})
    token = token_of(reply(body.encode()))
    assert (token.expires_at, token.token_type) == (None, "Bearer")


def test_a_form_has_an_end_as_text() -> None:
    """As GitHub's."""
    body = f"access_token={TOKEN}&expires_in=28800&token_type=bearer&scope=".encode()
    token = token_of(reply(body, headers={"Content-Type": "application/x-www-form-urlencoded"}))
    assert (token.life_seconds, token.token_type) == (28800, "Bearer")


def test_a_life_may_be_given_and_limited() -> None:
    """lifetime where the answer names none; max_lifetime whatever it says; 0 as it is declared."""
    assert token_of(granted(expires_in=None), answer={"lifetime": "2h"}).life_seconds == 7200
    assert token_of(granted(expires_in=60), answer={"lifetime": "2h"}).life_seconds == 60
    assert token_of(granted(), max_lifetime="10m").life_seconds == 600
    assert token_of(granted(expires_in=None), max_lifetime="10m").life_seconds == 600
    assert token_of(granted(expires_in=60), max_lifetime="10m").life_seconds == 60
    assert token_of(granted(expires_in=0), zero_means="never").expires_at is None
    assert token_of(granted(expires_in="0"), answer={"zero_means": "never"}).expires_at is None


@pytest.mark.parametrize(
    ("given", "kept", "header"),
    [("bearer", "Bearer", True), ("BEARER", "Bearer", True), ("JWT", "JWT", True), ("", "Bearer", True),
     ("N_A", "N_A", False)],
)  # fmt: skip
def test_a_type_is_compared_without_case(given: str, kept: str, header: bool) -> None:
    """N_A is no token for a header (RFC 8693)."""
    token = token_of(granted(token_type=given))
    assert (token.token_type, "Authorization" in token.headers) == (kept, header)


@pytest.mark.parametrize("kind", [7, True, [], {}, "a\nb", "ä"], ids=repr)
def test_an_impossible_type_is_discarded(kind: Any) -> None:
    """It would stand in a header of readers."""
    assert isinstance(error_of(granted(token_type=kind)), TransientError)


def test_a_token_that_needs_a_key_of_its_own_is_refused() -> None:
    """DPoP: only other settings help."""
    error = error_of(granted(token_type="DPoP"))
    assert isinstance(error, ServerSettingsError)
    assert error.reason == "config"


def test_headers_are_those_that_are_declared() -> None:
    """With the token and members of the answer; an empty one removes ours, whatever its case."""
    declared = {"authorization": "token {token}", "X-Site": "{extra.site}", "X-Plain": "a{{b}}"}
    answer = {"secret_extra": {"site": "site"}}
    token = token_of(granted(site="s1"), headers=declared, answer=answer)
    clear = {name: value.reveal() for name, value in token.headers.items()}
    assert clear == {"authorization": f"token {TOKEN}", "X-Site": "s1", "X-Plain": "a{b}"}
    assert settings(headers=declared, answer=answer).ready_headers(token) == clear
    assert token_of(granted(), headers={"AUTHORIZATION": ""}).headers == {}


def test_changed_headers_hold_for_a_token_that_is_there() -> None:
    """Readers get them at once; one that needs a member which was not asked for is left out."""
    token = token_of(granted())
    changed = settings(headers={"X": "{extra.site}", "Y": "{token}"}, answer={"extra": {"site": "site"}})
    assert changed.ready_headers(token) == {"Authorization": f"Bearer {TOKEN}", "Y": TOKEN}


@pytest.mark.parametrize("site", [None, "a\nplanted", "ä", ""])
def test_a_member_that_headers_need_must_be_there_and_fit(site: Any) -> None:
    """Otherwise each call of a reader would fail."""
    keys = {"headers": {"X": "{extra.site}"}, "answer": {"extra": {"site": "site"}}}
    assert isinstance(error_of(granted(site=site), **keys), TransientError)


def test_members_may_be_of_any_json_type() -> None:
    """In a header they stand as JSON does."""
    keys = {"headers": {"X": "{extra.a} {extra.b}"}, "answer": {"extra": {"a": "a", "b": "b"}}}
    assert token_of(granted(a=[1], b=True), **keys).headers["X"].reveal() == "[1] true"
    secret = token_of(said(access_token=TOKEN, a={"b": 1}), answer={"secret_extra": {"a": "a"}})
    assert secret.extra["a"].reveal() == '{"b": 1}'  # type: ignore[union-attr]  # a Secret


@pytest.mark.parametrize("jwt", [None, 7, "", "a.b", "a.!.c", "e30.W10.x", "a.b.c"])
def test_what_is_no_jwt_has_no_claims(jwt: Any) -> None:
    """Nothing is raised."""
    assert claims_of(jwt) == {}
    assert claims_of("e30.eyJzdWIiOiJ4In0.x") == {"sub": "x"}
