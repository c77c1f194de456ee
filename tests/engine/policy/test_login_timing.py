"""A refresh that is due because the refresh token itself ends."""

from dataclasses import replace

import pytest

from tests.engine.records.test_login_states import BARE, LOGIN, NOW
from tests.expecting import present
from tests.fake_logins import FakeLogin
from tokend.engine.policy.login_timing import is_last_of_login, login_refresh_moment
from tokend.engine.records.login_record import NO_LOGINS, LoginRecord
from tokend.engine.records.login_states import Ready, Required
from tokend.engine.records.record import Record
from tokend.engine.records.token_states import NO_TOKEN, Held
from tokend.values.secret import Secret
from tokend.values.tokens import Lease, Token

DAY = 86400.0


def lease(issued: float) -> Lease:
    at = NOW.after(issued)
    return Lease("a", Token(Secret("fake"), "Bearer", at, at.after(3600)), 1, None, "f")


@pytest.mark.parametrize(("life", "moment"), [(1800.0, 1440.0), (5 * DAY, 4 * DAY), (90 * DAY, 89 * DAY)])
def test_it_is_due_a_fifth_of_the_refresh_tokens_life_before_its_end_and_a_day_at_most(
    life: float, moment: float
) -> None:
    """Counted from when the refresh token came."""
    login = replace(LOGIN, refreshed_at=NOW, ends_at=NOW.after(life))
    assert login_refresh_moment(login, lease(0)) == NOW.after(moment)


def test_an_end_that_a_refresh_does_not_move_asks_once() -> None:
    """A token that was issued after the moment is the last of this login."""
    login = replace(LOGIN, refreshed_at=NOW, ends_at=NOW.after(5 * DAY))
    assert login_refresh_moment(login, lease(4 * DAY)) is None
    assert login_refresh_moment(login, lease(4 * DAY - 1)) is not None


def test_a_login_without_an_end_asks_for_nothing() -> None:
    """Nor does none at all."""
    assert login_refresh_moment(replace(LOGIN, ends_at=None), lease(0)) is None
    assert login_refresh_moment(None, lease(0)) is None
    assert login_refresh_moment(BARE, lease(0)) is None


def test_a_token_is_the_last_of_its_login_if_nothing_but_a_person_brings_another_one() -> None:
    """Its login has no refresh token, the kind needs one, and the token has not ended."""
    settings, renewing = FakeLogin(), FakeLogin(by_token=True)
    held = Record(token=Held(lease(0), None, 0.0), login=LoginRecord(Ready(BARE)))
    assert is_last_of_login(held, settings, NOW)
    assert not is_last_of_login(held, renewing, NOW)
    assert is_last_of_login(held, renewing, present(BARE.ends_at)) is False  # the token has ended, too
    late = replace(held, token=Held(lease(86400.0 - 60.0), None, 0.0))
    assert is_last_of_login(late, renewing, present(BARE.ends_at))
    for other in (
        replace(held, token=NO_TOKEN),
        replace(held, login=NO_LOGINS),
        replace(held, login=LoginRecord(Ready(LOGIN))),
        replace(held, login=LoginRecord(Required(BARE))),
        replace(held, token=Held(lease(-3600.0), None, 0.0)),
    ):
        assert not is_last_of_login(other, settings, NOW)
    for another in (FakeLogin(grant="client"), FakeLogin(alone=True)):
        assert not is_last_of_login(held, another, NOW)
