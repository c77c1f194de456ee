"""A refusal of a signature: the clock's fault where `Date` says so, else the credentials'."""

from datetime import UTC, datetime

import pytest

from tests.providers.live import NOW, at
from tokend.plugin.http_exchange import UpstreamReply
from tokend.plugin.signing_time import refuse_signed
from tokend.values.errors import AttemptError, ClockError, RejectedError


def refusal(offset: float, *, signed: float = 0.0, dated: bool = True) -> AttemptError:
    """Return the error of a request that was signed ``signed`` seconds after our clock's present moment."""
    date = datetime.fromtimestamp(NOW + offset, UTC) if dated else None
    reply = UpstreamReply(401, {}, b"", at(NOW), date, offset)
    with pytest.raises(AttemptError) as raised:
        refuse_signed(reply, "refused", signed_at=NOW + signed)
    return raised.value


@pytest.mark.parametrize("offset", [90.0, -90.0, 7.0])
def test_a_date_that_is_measurably_off_is_the_clock(offset: float) -> None:
    """The message says which clock is behind; the next attempt uses the offset."""
    error = refusal(offset)
    assert isinstance(error, ClockError)
    assert error.offset == offset
    assert f"{abs(offset):.0f} s {'behind' if offset > 0 else 'ahead of'}" in str(error)


@pytest.mark.parametrize(
    ("offset", "signed", "dated"), [(0.0, 0.0, True), (5.5, 0.0, True), (90.0, 89.3, True), (90.0, 0.0, False)]
)
def test_a_refusal_of_the_right_time_is_about_the_credentials(offset: float, signed: float, dated: bool) -> None:
    """No difference, a small one, one that was corrected already, and a reply without `Date`."""
    assert type(refusal(offset, signed=signed, dated=dated)) is RejectedError
