"""Dates of HTTP headers."""

from datetime import UTC, datetime

import pytest

from tokend.plugin.http_date import http_date

MOMENT = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 09:49:37 +0100",
    ],
)
def test_every_form_of_the_rfc_is_aware_utc(text: str) -> None:
    """The three forms of RFC 9110, section 5.6.7; a missing zone is GMT, another one is converted."""
    found = http_date(text)
    assert found == MOMENT
    assert found.tzinfo is UTC


@pytest.mark.parametrize("text", ["", "soon", "120", "Sun, 32 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 25:00:00 GMT"])
def test_what_is_no_date_is_none(text: str) -> None:
    """A vendor's odd header must not fail an exchange."""
    assert http_date(text) is None
