"""Meaning of a bare status, and the check of a token's text."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.upstream.clocks import StandingClock
from tokend.plugin.http_exchange import UpstreamReply
from tokend.plugin.response_status import refuse, refused_twice, retry_after, token_value
from tokend.values.errors import (
    AttemptError,
    ClockError,
    RateLimitedError,
    RejectedError,
    RejectedTwiceError,
    TransientError,
)

NOW = 1_700_000_000


def answer(status: int = 429, *, offset: float = 0.0, date: float | None = None, **headers: str) -> UpstreamReply:
    """A reply with a body that must not be quoted."""
    when = None if date is None else datetime.fromtimestamp(date, UTC)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return UpstreamReply(status, names, b"planted", StandingClock(NOW).instant(), when, offset)


def refusal(reply: UpstreamReply) -> AttemptError:
    """Return the error that a reply raises."""
    with pytest.raises(AttemptError) as caught:
        refuse(reply, "host:443")
    assert "host:443" in str(caught.value)
    assert str(reply.status) in str(caught.value)
    assert "planted" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("30", 30), (" 30 ", 30), ("1", 5), ("5", 5), ("3600", 3600), ("86400", 3600), ("999999999", 3600)],
)
def test_retry_after_in_seconds_is_clamped(value: str, seconds: float) -> None:
    """docs/promises.md 4: 5 s to 1 h."""
    error = refusal(answer(retry_after=value))
    assert isinstance(error, RateLimitedError)
    assert error.retry_after == seconds


@pytest.mark.parametrize("value", ["0", "-5", "1e30", "soon", "", "30s", "1.5", "NaN", "9" * 40, "Wed", "\x00"])
def test_a_senseless_retry_after_is_none(value: str) -> None:
    """docs/promises.md 4: then the backoff decides."""
    error = refusal(answer(retry_after=value))
    assert isinstance(error, RateLimitedError)
    assert error.retry_after is None


def test_retry_after_as_a_date_is_relative_to_the_replys_own_date() -> None:
    """docs/promises.md 5: two minutes stay two minutes if the upstream's clock is a day off."""
    theirs = datetime.fromtimestamp(NOW + 86400, UTC)
    when = format_datetime(theirs + timedelta(seconds=120), usegmt=True)
    assert retry_after(answer(date=NOW + 86400, retry_after=when)) == 120
    assert retry_after(answer(date=NOW + 2 * 86400, retry_after=when)) is None
    assert retry_after(answer(retry_after=when)) == 3600


@given(st.text(max_size=40))
def test_no_retry_after_is_a_crash(value: str) -> None:
    """Any header gives None or a pause within the limits."""
    pause = retry_after(answer(retry_after=value))
    assert pause is None or 5 <= pause <= 3600


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
def test_5xx_is_transient_and_repeatable(status: int) -> None:
    """docs/promises.md 6."""
    error = refusal(answer(status))
    assert isinstance(error, TransientError)
    assert error.repeatable


@pytest.mark.parametrize("status", [204, 400, 403, 404, 407, 409, 418, 422])
def test_other_statuses_are_transient_and_not_repeatable(status: int) -> None:
    """docs/promises.md 25: a status without a known meaning says nothing about the credentials."""
    error = refusal(answer(status))
    assert isinstance(error, TransientError)
    assert not error.repeatable


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_refused_in_words(status: int) -> None:
    """docs/promises.md 21."""
    assert "redirect" in str(refusal(answer(status)))


def test_401_is_a_refusal() -> None:
    """docs/promises.md 24."""
    assert isinstance(refusal(answer(401, offset=59)), RejectedError)


def test_a_second_refusal_names_the_first_and_keeps_the_vendors_words() -> None:
    """The words are for admins."""
    error = RejectedError("a.example answered 401")
    error.said = "fake words"
    final = refused_twice(error, "renew")
    assert (type(final), final.detail) == (RejectedTwiceError, "a.example answered 401; renew was refused, too")
    assert final.said == "fake words"


@pytest.mark.parametrize("offset", [-3600, 61])
def test_401_with_a_far_clock_may_be_the_clocks_fault(offset: float) -> None:
    """The caller learns the offset and retries once."""
    error = refusal(answer(401, offset=offset))
    assert isinstance(error, ClockError)
    assert error.offset == offset


@pytest.mark.parametrize("value", ["x", "a b", "~!", "x" * 520, "ghs_a.b.c", "aB3dE5" * 14 + "aB3"])
def test_visible_ascii_is_a_token(value: str) -> None:
    """RFC 6749, A.12: tokens are opaque, of any length."""
    assert token_value(value, "host").reveal() == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        " planted",
        "planted ",
        None,
        True,
        17,
        [],
        ["planted"],
        {},
        "planted\n",
        "pla\x00nted",
        "planted\x7f",
        "plänted",
        "\ud800",
    ],
)
def test_anything_else_is_no_token_and_is_not_echoed(value: Any) -> None:
    """docs/promises.md 13 and 20."""
    with pytest.raises(TransientError) as caught:
        token_value(value, "host")
    assert "pla" not in str(caught.value)
