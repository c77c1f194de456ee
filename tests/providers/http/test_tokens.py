"""Tokens of answers: ends, members, and the same token again."""

from typing import Any

import pytest

from tests.providers.http.asking import OLD, TOKEN, error_of, granted, held, token_of
from tests.providers.live import NOW, at
from tests.upstream.loopback import reply
from tokend.providers.http.tokens import is_later
from tokend.values.errors import TransientError
from tokend.values.secret import Secret

JWT = "e30.eyJleHAiOjE3MDAwMDAwNjB9.x"  # ends a minute after NOW


@pytest.mark.parametrize(
    ("answer", "said", "life"),
    [
        ({"expires_in": "life"}, {"life": 90}, 90),
        ({"expires_in": "life", "unit": "ms"}, {"life": 90_000}, 90),
        ({"expires_in": "life", "unit": "m"}, {"life": "2"}, 120),
        ({"expires_at": "end"}, {"end": (NOW + 90) * 1000}, 90),
        ({"expires_at": "end", "timezone": "Asia/Kolkata"}, {"end": "2023-11-15 03:44:20"}, 60),
        ({"expires_daily": "06:00 Asia/Kolkata"}, {}, 8200),
        ({"lifetime": "2h"}, {}, 7200),
        ({"expires_in": "life", "lifetime": "2h"}, {"life": None}, 7200),
        ({"expires_in": "life", "lifetime": "2h"}, {"life": 5}, 5),
        ({"expires_in": "life", "lifetime": "none"}, {"life": None}, None),
        ({"lifetime": "none"}, {}, None),
        ({}, {}, None),
        ({"expires_in": "life", "expires_at": "end"}, {"life": None, "end": NOW + 7}, 7),
        ({"expires_in": "life", "zero_means": "never"}, {"life": 0}, None),
        ({"expires_in": "life"}, {"life": None, "token": JWT}, 60),
        ({}, {"token": JWT}, 60),
        ({"expires_in": "life"}, {"token": JWT}, 60),
    ],
)
def test_the_earliest_end_counts(answer: dict[str, Any], said: dict[str, Any], life: float | None) -> None:
    """Also where the answer has none at the named place."""
    token = token_of(granted(**said), answer={"token": "token", **answer})
    assert token.life_seconds == (None if life is None else pytest.approx(life))


@pytest.mark.parametrize("named", ["expires_in", "expires_at"])
def test_an_answer_without_the_named_end_is_discarded(named: str) -> None:
    """A token would be held without an end that it has."""
    error = error_of(granted(life=None), answer={"token": "token", named: "life"})
    assert isinstance(error, TransientError)
    assert "answer.lifetime" in str(error)


def test_a_message_in_the_whole_text_is_no_token() -> None:
    """A server that is down may say so with a status of success."""
    text = {"token": {"text": True}, "expires_in": None, "lifetime": "1h"}
    error = error_of(reply(b"Service is down, planted"), answer=text)
    assert isinstance(error, TransientError)
    assert "the text is no token" in str(error)
    assert token_of(reply(f" {TOKEN}\n".encode()), answer=text).value == Secret(TOKEN)


def test_a_promise_is_cut_and_an_impossible_one_is_discarded() -> None:
    """More than 400 days, unless max_lifetime says how long it may be."""
    assert isinstance(error_of(granted(life=10**9)), TransientError)
    assert token_of(granted(life=10**9), max_lifetime="12h").life_seconds == 12 * 3600


def test_members_are_kept_for_readers() -> None:
    """Secret ones hidden."""
    answer = {
        "token": "token", "lifetime": "1h", "token_type": "kind", "extra": {"api": "url", "from": {"header": "X-A"}},
        "secret_extra": {"md": "second"},
    }  # fmt: skip
    token = token_of(granted(kind="mac", url="https://a", second="planted-secret"), answer=answer,
                     headers={"X-Md": "{extra.md}"})  # fmt: skip
    assert (token.token_type, token.extra["api"], "from" in token.extra) == ("mac", "https://a", False)
    assert token.headers["X-Md"].reveal() == "planted-secret"
    assert "planted" not in repr(token)


@pytest.mark.parametrize(
    ("life", "answer", "extended"),
    [
        (3600, {}, True), (601, {}, False), (60, {}, False), (None, {"lifetime": "2h"}, False),
        (0, {"zero_means": "never"}, True),
    ],
)  # fmt: skip
def test_the_same_token_with_a_later_end_is_prolonged(life: Any, answer: dict[str, Any], extended: bool) -> None:
    """By what the answer says; ``lifetime`` is no word of the server, and an earlier end changes nothing."""
    answer = {"token": "token", "expires_in": "life", **answer}
    token = token_of(granted(token=OLD, life=life), previous=held(), answer=answer)
    assert token.is_extended is extended
    assert token_of(granted(life=life), previous=held(), answer=answer).is_extended is False


@pytest.mark.parametrize(
    ("before", "after", "later"), [(5, 500, True), (5, 6, False), (5, 4, False), (5, None, True), (None, 5, False),
                                   (None, None, False)],
)  # fmt: skip
def test_an_end_is_later_by_more_than_rounding(before: float | None, after: float | None, later: bool) -> None:
    """A life in whole seconds differs by one."""
    one, other = (None if end is None else at(NOW + end) for end in (before, after))
    assert is_later(one, other) is later
    assert TOKEN != OLD
