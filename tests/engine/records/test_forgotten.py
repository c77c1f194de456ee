"""Tokens that were forgotten: how many are remembered, and for how long."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.engine.records.test_record import FULL, HELD, HOUR, START
from tokend.engine.records.forgotten import MOST_FORGOTTEN, Forgotten, merged, remembered
from tokend.values.instant import Instant


def numbered(number: int, *, hours: float = 1) -> Forgotten:
    return Forgotten(f"{number:012x}", START.after(hours * HOUR))


@pytest.mark.parametrize(
    ("wall_hours", "boot_hours", "over"), [(2, 2, True), (0, 2, False), (2, 0, False), (0.9, 0.9, False)]
)
def test_a_token_is_over_when_both_clocks_say_so(wall_hours: float, boot_hours: float, over: bool) -> None:
    """A clock that was set back signs the same token again; one that was set ahead has ended nothing."""
    now = Instant(START.wall + timedelta(hours=wall_hours), START.boot + boot_hours * HOUR)
    assert numbered(1).is_over(now) is over
    assert not Forgotten("a" * 12, None).is_over(now)


def test_at_most_sixteen_are_kept_and_what_is_over_is_dropped_first() -> None:
    """A state file does not grow without end; the newest count. What is over stays while there is room."""
    assert remembered((numbered(0, hours=-1),), (HELD.lease,), START)[0] == numbered(0, hours=-1)
    old = (numbered(0, hours=-1), *(numbered(number) for number in range(1, MOST_FORGOTTEN)))
    kept = remembered(old, (HELD.lease, None), START)
    assert kept == (*old[1:], Forgotten(HELD.lease.fingerprint, HELD.lease.token.expires_at))
    full = remembered(kept, (replace(HELD.lease, fingerprint="f" * 12),), START)
    assert len(full) == MOST_FORGOTTEN == 16
    assert full[0] == kept[1]
    assert full[-1].fingerprint == "f" * 12


def test_one_token_is_remembered_once_with_its_newest_end() -> None:
    """Two lists are joined where a record gets the name of another."""
    assert merged((numbered(1), numbered(2)), (numbered(1, hours=5),)) == (numbered(1, hours=5), numbered(2))


def test_a_record_forgets_what_it_holds_and_what_an_admin_saw() -> None:
    """An attempt may have stored another token between the two."""
    seen = replace(HELD.lease, fingerprint="5" * 12)
    record = replace(FULL, forgotten=())
    after = record.with_forgotten((seen, None), START)
    assert after.withdrawn
    assert [one.fingerprint for one in after.forgotten] == ["5" * 12, HELD.lease.fingerprint]
    again = record.with_forgotten((record.lease,), START)
    assert [one.fingerprint for one in again.forgotten] == [HELD.lease.fingerprint]
