"""The moment at which a refresh is due because the refresh token itself ends. Pure."""

from tokend.values.instant import Instant
from tokend.values.logins import Login
from tokend.values.tokens import Lease

# Before the end of a refresh token, as a share of its life; at most a day. So a login of 90 days whose every refresh
# gives another 90 is renewed a day before its end at the latest, and one of 30 minutes six minutes before.
LEAD_SHARE = 0.20
LONGEST_LEAD_SECONDS = 86400.0


def login_refresh_moment(login: Login | None, lease: Lease) -> Instant | None:
    """Compute when the login's own end asks for a refresh; None if it never does.

    It asks once: an end that a refresh does not move is no reason for another one.
    """
    if login is None or login.ends_at is None:
        return None
    life = login.refreshed_at.until(login.ends_at)
    moment = login.ends_at.after(-min(LEAD_SHARE * life, LONGEST_LEAD_SECONDS))
    return None if lease.token.issued_at.until(moment) <= 0 else moment
