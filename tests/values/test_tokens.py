"""Tokens and their native JSON."""

from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from tests.values.test_secret import NOW, PLANTED, lease
from tokend.values.secret import Secret
from tokend.values.tokens import Lease, Token, native, unix, utc


def test_the_native_form_has_the_documented_members_and_utc_ending_in_z() -> None:
    """version, name, access_token, token_type, four times, generation, fingerprint; whole seconds rounded down."""
    assert native(lease()) == {
        "version": 1,
        "name": "a",
        "access_token": PLANTED,
        "token_type": "Bearer",
        "issued_at": "2026-01-01T00:00:00Z",
        "expires_at": "2026-01-01T00:01:00Z",
        "expires_at_unix": 1767225660,
        "refresh_at": "2026-01-01T00:00:48Z",
        "generation": 7,
        "fingerprint": "0123456789ab",
    }


def test_a_token_without_an_end_has_null_expiries_and_is_always_valid() -> None:
    """expires_at may be null."""
    endless = Lease("a", Token(Secret("x"), "Bearer", NOW, None), 1, None, "f")
    assert [native(endless)[key] for key in ("expires_at", "expires_at_unix", "refresh_at")] == [None, None, None]
    assert endless.token.is_valid(NOW.after(1e9))


@given(st.datetimes(datetime(2024, 1, 1), datetime(2090, 1, 1)), st.integers(-14 * 60, 14 * 60))  # noqa: DTZ001
def test_written_times_agree_with_each_other_in_any_zone(moment: datetime, offset: int) -> None:
    """RFC 3339 text and Unix number are one moment, whatever zone it came in."""
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=offset)))
    assert datetime.fromisoformat(utc(aware)).timestamp() == unix(aware)
    assert 0 <= aware.timestamp() - unix(aware) < 1.001
