"""Members of a token: types, headers for readers, further members."""

from typing import Any

import pytest

from tests.plugin.declared.replies import answer
from tokend.plugin.declared.places import Place
from tokend.plugin.declared.token_members import as_secrets, made_headers, members, token_at, token_type, with_headers
from tokend.values.errors import ServerSettingsError, TransientError
from tokend.values.secret import Secret
from tokend.values.tokens import Token


def token(kind: str = "Bearer", **extra: Any) -> Token:
    return Token(Secret("fake"), kind, answer().reply.sent_at, None, extra=members(extra, {}))


@pytest.mark.parametrize("text", ["Service is down, try later", "one\ntwo", "one\ttwo", "one\x1ftwo", "", None])
def test_a_whole_text_with_white_space_in_it_is_no_token(text: Any) -> None:
    """It is a message for people; elsewhere a space belongs to a token."""
    whole = Place.model_validate({"text": True})
    with pytest.raises(TransientError):
        token_at(whole, text, "api.example")
    assert token_at(whole, "one.two", "api.example").reveal() == "one.two"
    for place in (None, Place.model_validate({"header": "X-Token"})):
        assert token_at(place, "one two", "api.example").reveal() == "one two"


@pytest.mark.parametrize(
    ("configured", "made"),
    [
        ({}, {"Authorization": "Bearer fake"}),
        ({"authorization": "token {token}"}, {"authorization": "token fake"}),
        ({"Authorization": ""}, {}),
        ({"X-A": "{extra.a}{{}}"}, {"Authorization": "Bearer fake", "X-A": "1{}"}),
        ({"X-K": "{key}:{token}"}, {"Authorization": "Bearer fake", "X-K": "fake-key:fake"}),
        ({"X-L": "{extra.list}"}, {"Authorization": "Bearer fake", "X-L": "[1]"}),
    ],
)
def test_headers_are_filled_with_the_token_its_members_and_further_names(
    configured: dict[str, str], made: dict[str, str]
) -> None:
    """Their values are secrets: each may hold the token."""
    found = with_headers(token(a=1, list=[1]), configured, "x", {"key": Secret("fake-key")})
    assert {name: value.reveal() for name, value in found.headers.items()} == made


def test_the_secrets_of_an_answer_are_its_texts_and_long_numbers() -> None:
    """Also inside of lists and objects. More than can be searched for are not known."""
    found = as_secrets(["one", " ", None, True, 12345, 123456, {"a": ["two", {"b": "three"}]}])
    assert found is not None
    assert sorted(one.reveal() for one in found) == ["123456", "one", "three", "two"]
    assert as_secrets([["x"] * 50]) is not None
    assert as_secrets([["x"] * 51]) is None


def test_a_type_is_a_word_not_a_text() -> None:
    """It goes into a header of every reader."""
    assert token_type("t" * 200, "api.example") == "t" * 200
    with pytest.raises(TransientError, match="a token type of 201 characters"):
        token_type("t" * 201, "api.example")


@pytest.mark.parametrize("configured", [{"X-A": "{extra.b}"}, {"X-A": "{extra.a}"}, {"X-A": "{extra.none}"}])
def test_a_header_that_cannot_be_made_makes_the_answer_unusable(configured: dict[str, str]) -> None:
    """A member is missing, or is no line of ASCII."""
    with pytest.raises(TransientError, match=r"headers need|cannot carry"):
        with_headers(token(a="a\nb", none=None), configured, "x")


def test_a_header_that_lacks_a_name_is_left_out_for_a_token_that_is_there() -> None:
    """Its settings have changed."""
    made, missing = made_headers({"X-A": "{extra.a}", "X-B": "{key}"}, token())
    assert (made, missing) == ({"Authorization": "Bearer fake"}, ["extra.a", "key"])


@pytest.mark.parametrize(("said", "kept"), [(None, "Bearer"), ("", "Bearer"), ("BEARER", "Bearer"), ("mac", "mac")])
def test_a_type_is_compared_without_case(said: Any, kept: str) -> None:
    """One that is no text is discarded; DPoP needs a key of its own."""
    assert token_type(said, "x") == kept
    with pytest.raises(TransientError):
        token_type(5, "x")
    with pytest.raises(ServerSettingsError):
        token_type("dpop", "x")


def test_no_header_carries_what_is_no_access_token() -> None:
    """RFC 8693."""
    assert with_headers(token("N_A"), {}, "x").headers == {}


def test_secret_members_are_secrets_and_absent_ones_are_left_out() -> None:
    """A secret that is no text is one as JSON."""
    found = members({"a": [1], "b": None}, {"c": {"d": 1}, "e": "fake", "f": None})
    assert found == {"a": [1], "c": Secret('{"d": 1}'), "e": Secret("fake")}
