"""Dates of HTTP headers (RFC 9110, section 5.6.7)."""

from datetime import UTC, datetime


def http_date(text: str) -> datetime | None:
    """Parse the date of a `Date` or `Retry-After` header. Returns aware UTC; None if ``text`` is no date."""
    # Imported here: it loads calendar and locale. The HTTP client has loaded it anyway when a reply has arrived.
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None
