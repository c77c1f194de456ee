"""Dates of a held token after a reboot, and with clocks that are wrong at first."""

import pytest

from tests.engine.records.test_record import FULL, HOUR, TOKEN, booted, loaded
from tests.expecting import present
from tokend.engine.records.record import Record, re_anchored
from tokend.engine.records.token_states import Held


def test_after_a_reboot_a_token_ends_when_the_wall_says_so() -> None:
    """docs/promises.md 35: stamps of the boot line are void."""
    now = booted(2)
    record = loaded(FULL, boot_id="other", now=now)
    assert isinstance(record.token, Held)
    assert record.token.adrift
    assert now.until(present(present(record.lease).token.expires_at)) == pytest.approx(10 * HOUR)
    assert now.until(present(present(record.lease).refresh_at)) == pytest.approx(7 * HOUR)
    assert present(present(record.lease).token.expires_at).wall == present(TOKEN.expires_at).wall


@pytest.mark.parametrize("hours", [-3, -24 * 365 * 56, 24 * 365 * 73])
def test_a_wrong_clock_at_boot_neither_expires_a_token_nor_lengthens_its_life(hours: int) -> None:
    """docs/promises.md 36: RTC in 1970 or 2099, or behind the issue: at most one life from now, no pause for ever."""
    now = booted(hours)
    record = loaded(FULL, boot_id="other", now=now)
    assert 0 < now.until(present(present(record.lease).token.expires_at)) <= 12 * HOUR + 1
    assert 0 <= now.until(present(record.next_attempt)) <= HOUR
    assert 0 <= now.until(present(record.host_pause).until) <= HOUR
    assert -HOUR <= now.until(present(record.last_attempt)) <= 0


def test_a_clock_set_after_boot_dates_the_token_again() -> None:
    """P6, wrong clock at boot: what had run out while the machine was off is noticed when the clock is right."""
    record = loaded(FULL, boot_id="other", now=booted(0))
    assert re_anchored(record, booted(0, boot=40.0)) is not record
    assert re_anchored(record, booted(0.0001, boot=10.0)) is record
    now = booted(13, boot=20.0)
    assert now.until(present(present(re_anchored(record, now).lease).token.expires_at)) == pytest.approx(-HOUR)


@pytest.mark.parametrize("hours", [-5, 24 * 365 * 73])
def test_a_clock_that_cannot_be_right_dates_nothing_again(hours: int) -> None:
    """Before the issue, or in another century."""
    record = loaded(FULL, boot_id="other", now=booted(1))
    assert re_anchored(record, booted(hours, boot=20.0)) is record


def test_a_lease_of_this_boot_is_never_dated_by_the_wall() -> None:
    """The boot line decides as long as there is one."""
    assert re_anchored(FULL, booted(20)) is FULL
    assert re_anchored(Record(), booted(20)) == Record()
