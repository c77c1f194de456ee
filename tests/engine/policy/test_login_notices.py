"""Notices about a login: when they are due, and that each is due once."""

from dataclasses import replace

import pytest

from tests.engine.records.test_login_states import LOGIN, NOW
from tokend.engine.policy.login_notices import DAY, HOUR, due_notice, ends_soon, next_notice_at, steps_before_end
from tokend.engine.records.login_record import NO_LOGINS, LoginRecord
from tokend.engine.records.login_states import Ready, Required


def lasting(seconds: float, **more: object) -> LoginRecord:
    """A login of this life, which began now."""
    return replace(LoginRecord(Ready(replace(LOGIN, ends_at=NOW.after(seconds)))), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("life", "steps"),
    [
        (90 * DAY, (14 * DAY, 7 * DAY, 3 * DAY, DAY, 6 * HOUR, HOUR)),
        (28 * DAY, (7 * DAY, 3 * DAY, DAY, 6 * HOUR, HOUR)),
        (7 * DAY, (3 * DAY, DAY, 6 * HOUR, HOUR)),
        (DAY, (6 * HOUR, HOUR)),
        (2 * HOUR, ()),
        (2 * HOUR + 1, (HOUR,)),
    ],
)
def test_the_steps_are_those_below_half_of_the_life(life: float, steps: tuple[float, ...]) -> None:
    """A login of an hour needs no notice at once."""
    assert steps_before_end(lasting(life)) == steps


def test_a_week_gives_four_notices_each_once() -> None:
    """Three days, a day, six hours and an hour before the end."""
    logins, given = lasting(7 * DAY), []
    now = NOW
    while (upcoming := next_notice_at(logins, now)) is not None:
        assert due_notice(logins, now) is None
        now = upcoming
        notice = due_notice(logins, now)
        assert notice is not None
        assert notice.ends_at == NOW.after(7 * DAY)
        given.append((7 * DAY - NOW.until(now)) / HOUR)
        logins = replace(logins, notices=notice.notices)
    assert given == [72, 24, 6, 1]
    assert due_notice(logins, NOW.after(7 * DAY + 1)) is None


def test_of_several_steps_that_passed_meanwhile_one_notice_comes() -> None:
    """The daemon did not run for days."""
    logins = lasting(30 * DAY)
    notice = due_notice(logins, NOW.after(29 * DAY + HOUR))
    assert notice is not None
    after = replace(logins, notices=notice.notices)
    assert due_notice(after, NOW.after(29 * DAY + HOUR)) is None
    assert due_notice(after, NOW.after(30 * DAY - HOUR)) is not None


def test_an_end_that_moves_or_is_over_or_unknown_needs_no_notice() -> None:
    """Refreshes bring a later one; after the end another notice comes: a login is required."""
    soon = NOW.after(7 * DAY - HOUR)
    for logins in (NO_LOGINS, lasting(7 * DAY, end_moves=True), LoginRecord(Ready(replace(LOGIN, ends_at=None)))):
        assert due_notice(logins, soon) is None
        assert next_notice_at(logins, soon) is None
        assert not ends_soon(logins, soon)
        assert steps_before_end(logins) == ()
    assert due_notice(lasting(7 * DAY), NOW.after(7 * DAY)) is None
    assert ends_soon(lasting(7 * DAY), soon)
    assert not ends_soon(lasting(7 * DAY), NOW.after(DAY))


def test_a_login_that_is_required_is_noted_once_whatever_was_noted_before() -> None:
    """With or without a login that was refused; a later step does not forget it."""
    for login in (LOGIN, None):
        logins = LoginRecord(Required(login), notices=("72h",))
        notice = due_notice(logins, NOW)
        assert notice is not None
        assert (notice.ends_at, notice.notices) == (None, ("72h", "required"))
        assert due_notice(replace(logins, notices=notice.notices), NOW) is None
        assert next_notice_at(logins, NOW) is None
    again = due_notice(lasting(7 * DAY, notices=("required",)), NOW.after(7 * DAY - HOUR))
    assert again is not None
    assert "required" in again.notices
