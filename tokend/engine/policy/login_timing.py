"""The end of a login, and its meaning for the token: when a refresh is due, and whether there can be one. Pure."""

from tokend.engine.records.record import Record
from tokend.plugin.login import can_refresh, needs_persons_login
from tokend.plugin.settings import HeldSettings
from tokend.values.instant import Instant
from tokend.values.logins import Login
from tokend.values.tokens import Lease

# Before the end of a refresh token, as a share of its life; at most a day. So a login of 90 days whose every refresh
# gives another 90 is renewed a day before its end at the latest, and one of 30 minutes six minutes before.
LEAD_SHARE = 0.20
LONGEST_LEAD_SECONDS = 86400.0


def login_refresh_moment(login: Login | None, lease: Lease) -> Instant | None:
    """Compute when the login's own end asks for a refresh; None if it never does.

    It asks once: an end that a refresh does not move is no reason for another one. Without a refresh token it is the
    end of the access token, which has its own moment.
    """
    if login is None or login.ends_at is None or login.refresh_token is None:
        return None
    life = login.refreshed_at.until(login.ends_at)
    moment = login.ends_at.after(-min(LEAD_SHARE * life, LONGEST_LEAD_SECONDS))
    return None if lease.token.issued_at.until(moment) <= 0 else moment


def is_last_of_login(record: Record, settings: HeldSettings, now: Instant) -> bool:
    """Return whether the token held is valid, and only a person brings the next one: there is no refresh token."""
    lease, login = record.lease, record.login.login
    if lease is None or login is None or login.refresh_token is not None or record.requires_login:
        return False
    return lease.token.is_valid(now) and needs_persons_login(settings) and not can_refresh(settings, login, now)
