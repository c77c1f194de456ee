"""Dates of HTTP headers (RFC 9110, section 5.6.7)."""

from datetime import UTC, datetime


def http_date(text: str) -> datetime | None:
    """Read a date as `Date` and `Retry-After` have it; returns aware UTC, None where ``text`` is no date."""
    # Loads calendar and locale: only where an upstream has answered with a date. The HTTP client has loaded it by then.
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None
