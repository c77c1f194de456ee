"""Notices to persons about a login: before a fixed end in steps, and once when another login is required. Pure.

Each is given once for a login, also over restarts: `LoginRecord.notices` remembers it. An end that refreshes move needs
no person.
"""

from dataclasses import dataclass

from tokend.engine.records.login_record import LoginRecord
from tokend.values.instant import Instant
from tokend.values.logins import Login

HOUR, DAY = 3600.0, 86400.0
STEPS_SECONDS = (14 * DAY, 7 * DAY, 3 * DAY, DAY, 6 * HOUR, HOUR)
REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class DueNotice:
    """A notice that is due now.

    ``notices`` is what the record remembers after it; ``ends_at`` is None where another login is required.
    """

    notices: tuple[str, ...]
    ends_at: Instant | None = None


def steps_before_end(logins: LoginRecord) -> tuple[float, ...]:
    """Return the steps before the end of the login in use, in seconds: those below half of its life."""
    login = _with_fixed_end(logins)
    if login is None or login.ends_at is None:
        return ()
    half = login.obtained_at.until(login.ends_at) / 2
    return tuple(step for step in STEPS_SECONDS if step < half)


def due_notice(logins: LoginRecord, now: Instant) -> DueNotice | None:
    """Return the notice that is due; None for none, and for one that was given. Of several steps the last counts."""
    if logins.state.is_required:
        return None if REQUIRED in logins.notices else DueNotice((*logins.notices, REQUIRED))
    login, passed = _with_fixed_end(logins), _passed(logins, now)
    if login is None or login.ends_at is None or not passed or now.until(login.ends_at) <= 0:
        return None
    if _name(passed[-1]) in logins.notices:
        return None
    required = (REQUIRED,) if REQUIRED in logins.notices else ()
    return DueNotice((*required, *(_name(step) for step in passed)), login.ends_at)


def next_notice_at(logins: LoginRecord, now: Instant) -> Instant | None:
    """Return when the next step comes; None if none does."""
    login = _with_fixed_end(logins)
    if login is None or login.ends_at is None:
        return None
    moments = [login.ends_at.after(-step) for step in steps_before_end(logins)]
    return next((moment for moment in moments if now.until(moment) > 0), None)


def ends_soon(logins: LoginRecord, now: Instant) -> bool:
    """Return whether the first step before the end is over."""
    return bool(_passed(logins, now))


def _passed(logins: LoginRecord, now: Instant) -> tuple[float, ...]:
    login = _with_fixed_end(logins)
    if login is None or login.ends_at is None:
        return ()
    left = now.until(login.ends_at)
    return tuple(step for step in steps_before_end(logins) if left <= step)


def _with_fixed_end(logins: LoginRecord) -> Login | None:
    return None if logins.end_moves or logins.state.is_required else logins.login


def _name(step: float) -> str:
    return f"{step / HOUR:g}h"
