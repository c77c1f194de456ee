"""Dates of tokens that were found in a text: impossible ends, lifetimes, and the token that is held already."""

from datetime import timedelta
from typing import Any

import pytest

from tests.plugin.token_texts import AWS, exec_credential, found, jwt, oauth, part, token
from tests.providers.live import NOW, at
from tokend.plugin.found_token import Source
from tokend.plugin.token_formats import Format
from tokend.values.errors import TransientError
from tokend.values.secret import Secret
from tokend.values.tokens import Token

LIVES: list[Any] = [0, -1, "0", "3600abc", True, [], {}, 1e30, 401 * 86400]
ENDS: list[Any] = [NOW - 1, 0, "yesterday", NOW + 401 * 86400, False]
IMPOSSIBLE: list[tuple[Format, Any]] = [
    *(("oauth", oauth(expires_in=life)) for life in LIVES),
    *(("oauth", oauth(expires_at=end)) for end in ENDS),
    ("raw", jwt(exp=NOW - 1)),
    ("raw", jwt(exp=NOW)),
    ("native", {"access_token": "fake-token", "expires_at": "2001-01-01T00:00:00Z"}),
    ("exec-credential", exec_credential(token="fake-token", expirationTimestamp="soon")),
    ("aws", {**AWS, "Expiration": "2001-01-01T00:00:00Z"}),
]


@pytest.mark.parametrize(("form", "said"), IMPOSSIBLE)
def test_an_impossible_end_makes_the_token_worthless(form: Format, said: Any) -> None:
    """docs/promises.md 15 to 18: no loop, and no token that is never renewed."""
    with pytest.raises(TransientError, match="command mint printed"):
        token(said, form)


def test_seconds_that_were_over_before_the_text_was_read_are_over() -> None:
    """A file that was written an hour ago with a token of half an hour."""
    for said, lifetime in ((oauth(expires_in=1800), None), (oauth(), timedelta(minutes=30))):
        with pytest.raises(TransientError, match="printed a token that has expired already"):
            token(said, age=3600, lifetime=lifetime)


def test_an_old_file_with_a_young_token_is_no_token_of_400_days() -> None:
    """The times of a file may be those of an archive: only seconds count from them."""
    assert token(jwt(exp=NOW + 60), "raw", age=NOW - 86400.0).expires_at == at(NOW + 60)
    assert token(oauth(expires_at=NOW + 60), age=NOW - 86400.0).issued_at == at(NOW)


def held(said: Any, form: Format = "oauth", **more: Any) -> Token:
    """The token as it was read 100 seconds ago."""
    return found(said, form).token(now=at(NOW - 100), counted_from=at(NOW - 100), **more)


@pytest.mark.parametrize(
    ("before", "now", "end"),
    [
        (oauth(expires_at=NOW + 600), oauth(expires_at=NOW + 900), 900),  # the source says so
        (oauth(expires_at=NOW + 600), oauth(expires_at=NOW + 300), 300),
        (oauth(expires_at=NOW + 600), oauth(expires_at=NOW + 600.4), None),  # another reading of the clock
        (oauth(expires_in=600), oauth(expires_in=600), None),  # a cached answer
        (oauth(expires_in=600), oauth(), None),  # says nothing: the end stays
        (oauth(expires_at=NOW + 600), oauth(access_token="fake-other", expires_at=NOW + 900), None),
    ],
)
def test_only_a_time_moves_the_end_of_the_token_that_is_held(before: Any, now: Any, end: float | None) -> None:
    """docs/promises.md 19. The seconds of an answer that a program keeps would prolong its token for ever."""
    made = token(now, previous=held(before))
    assert made.is_extended == (end is not None)
    assert end is None or made.expires_at == at(NOW + end)


def test_another_lifetime_dates_the_token_held_again() -> None:
    """The lifetime counts from when the token was first seen, however often it is read."""
    old = held(oauth(), lifetime=timedelta(minutes=10))
    assert not token(oauth(), previous=old, lifetime=timedelta(minutes=10)).is_extended
    made = token(oauth(), previous=old, lifetime=timedelta(minutes=20))
    assert (made.is_extended, made.issued_at, made.expires_at) == (True, at(NOW - 100), at(NOW + 1100))
    endless = token(oauth(), previous=held(oauth()), lifetime=timedelta(minutes=20))
    assert (endless.is_extended, endless.expires_at) == (True, at(NOW + 1100))


def test_a_signature_that_is_shorter_than_the_last_one_is_cut() -> None:
    """The header names the key, and the signatures of one key have one length. What a program has printed is whole."""
    file = Source("file /run/fake", "holds")

    def held(text: str) -> Token:
        return found(text, "raw", file).token(now=at(NOW), counted_from=at(NOW), previous=before)

    before = Token(Secret(jwt(exp=NOW + 60)), "Bearer", at(NOW - 9), at(NOW + 60))
    whole = jwt(exp=NOW + 600)
    assert held(whole).expires_at == at(NOW + 600)
    for cut in range(1, 6):
        with pytest.raises(TransientError, match="file /run/fake holds the beginning of a JWT"):
            held(whole[:-cut])
    assert token(whole[:-1], "raw", previous=before).value.reveal() == whole[:-1]
    other_key = f"{part(alg='HS256', kid='2')}.{part(exp=NOW + 600)}.Zg"
    assert held(other_key).value.reveal() == other_key
