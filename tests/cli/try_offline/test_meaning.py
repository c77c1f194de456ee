"""Consequences of an attempt, in plain words, and the exit code."""

import pytest

from tests.cli.try_offline.test_attempt import GRANTED, LINKS, MACHINE, PERSON, PROJECTX, VISITOR, made, tried
from tokend.cli.try_offline.attempt import Tried
from tokend.cli.try_offline.meaning import after_error, after_token, exit_code, outcome_word
from tokend.values.errors import (
    AttemptError,
    ClockError,
    InvalidParametersError,
    LoginRefusedError,
    LostAnswerError,
    RateLimitedError,
    RejectedError,
    RejectedTwiceError,
    SecretError,
    TransientError,
)


class WantedError(RejectedError):
    """A person is wanted, and there is no login to begin."""

    reason = "login_required"


SOMETHING = "something"
# Way, error, and words of the sentence that decide.
FOLLOWS: list[tuple[str, AttemptError, str]] = [
    ("fetch", RejectedTwiceError(SOMETHING), "the state is rejected: no timer tries again"),
    ("fetch", RejectedError(SOMETHING), "the state is rejected"),
    ("fetch", LoginRefusedError(SOMETHING), "tokend login one"),
    ("fetch", WantedError(SOMETHING), "has to act at the upstream"),
    ("fetch", RateLimitedError(SOMETHING), "every provider of the host pauses, then"),
    ("fetch", RateLimitedError(SOMETHING, retry_after=30.0), "pauses for 30 s, as it asked"),
    ("fetch", ClockError(SOMETHING, offset=90.0), "with the offset"),
    ("fetch", ClockError(SOMETHING), "by backoff"),
    ("fetch", SecretError(SOMETHING), "nothing was sent"),
    ("fetch", TransientError(SOMETHING), "after 5 min at most"),
    ("fetch", TransientError(SOMETHING, retry_after=60.0), "not before 60 s"),
    ("refresh", LoginRefusedError(SOMETHING), "the login has ended"),
    ("refresh", RejectedError(SOMETHING), "the login stays; credentials"),
    ("refresh", LostAnswerError(SOMETHING), "may be spent: after 5 s something harmless"),
    ("refresh", TransientError(SOMETHING, may_be_spent=True), "the next refusal is final"),
    ("refresh", TransientError(SOMETHING), "the login stays; tried again by backoff"),
    ("login", LoginRefusedError(SOMETHING), "a person begins again with tokend login one"),
    ("issue", InvalidParametersError({"a": ["b"]}), "gets a 400"),
    ("issue", RejectedError(SOMETHING), "as a probe"),
    ("issue", RateLimitedError(SOMETHING, retry_after=9.0), "pauses for 9 s"),
    ("issue", TransientError(SOMETHING, repeatable=True), "repeated, at most twice"),
    ("issue", TransientError(SOMETHING), "not repeated"),
]


@pytest.mark.parametrize(("way", "error", "words"), FOLLOWS, ids=lambda value: getattr(value, "reason", str(value)))
def test_each_failure_says_what_follows(way: str, error: AttemptError, words: str) -> None:
    """The class of the error decides, and whether there is a login."""
    found = tried(MACHINE, b"{}")
    settings = made(LINKS if way == "issue" else PERSON)
    said = after_error("one", settings, Tried(way, found.stand_ins, found.at, error=error), error)  # type: ignore[arg-type]
    assert words in said


def test_a_login_is_kept_where_only_the_token_is_unusable() -> None:
    """The refresh token beside it is saved."""
    half = tried(PERSON, b'{"refresh_token": "fake-refresh", "access_token": "fake\\ntoken", "expires_in": 60}')
    assert half.error is not None
    assert after_error("one", made(PERSON), half, half.error).startswith("the login is kept")


def test_a_token_says_when_the_next_one_comes() -> None:
    """The lead of the table and of the kind, no end, and a token that is not kept."""
    made_of = {**MACHINE, "refresh_before": "10s"}
    token = tried(MACHINE, GRANTED).token
    assert token is not None
    assert "after 48 s" in after_token(made(MACHINE), token)
    assert "after 50 s" in after_token(made(made_of), token)
    endless = tried({**MACHINE, "zero_means": "never"}, b'{"access_token": "fake-token", "expires_in": 0}').token
    assert endless is not None
    assert "no timer" in after_token(made(MACHINE), endless)
    assert "after 1 h" in after_token(made({**MACHINE, "max_age": "1h"}), endless)
    assert "not kept" in after_token(made(LINKS), token)


def test_exit_codes_are_those_of_other_commands() -> None:
    """0 a token, 4 a person, 7 no token, 2 wrong parameters, 1 where the attempt could not be finished."""
    good = tried(MACHINE, GRANTED)
    assert (exit_code(good), outcome_word(good)) == (0, "token")
    refused = tried(MACHINE, b'{"error": "invalid_client"}', status=401)
    assert (exit_code(refused), outcome_word(refused)) == (4, "rejected")
    ended = tried(PERSON, b'{"error": "invalid_grant"}', status=400)
    assert (exit_code(ended), outcome_word(ended)) == (4, "login_required")
    assert (exit_code(down := tried(MACHINE, b"", status=503)), outcome_word(down)) == (7, "transient")
    wrong = tried(LINKS, b'{"data": {"errors": {"username": ["is bad"]}}}', status=400, given=VISITOR)
    assert (exit_code(wrong), outcome_word(wrong)) == (2, "parameters")
    unfit = Tried("issue", good.stand_ins, good.at, error=InvalidParametersError({"a": ["b"]}, is_sent=False))
    assert (exit_code(unfit), outcome_word(unfit)) == (2, "parameters")
    first = tried(PROJECTX, b'{"success": false}', way="renew")
    assert (exit_code(first), outcome_word(first)) == (1, "no_reply")
    broken = Tried("fetch", good.stand_ins, good.at, bug="ValueError")
    assert (exit_code(broken), outcome_word(broken)) == (1, "bug")
    alone = Tried("refresh", good.stand_ins, good.at, good.exchanges, granted=None)
    assert (exit_code(alone), outcome_word(alone)) == (7, "no_token")
