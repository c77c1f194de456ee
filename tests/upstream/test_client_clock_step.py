"""A wall clock that is set while a request is on its way is no offset of the upstream's (docs/promises.md P6, 26)."""

from datetime import UTC, datetime, timedelta

import pytest

from tokend.upstream.client import _offset
from tokend.values.instant import Instant

SENT = Instant(datetime(2026, 1, 1, tzinfo=UTC), 1000.0)


@pytest.mark.parametrize("skew", [0, 4000, -4000])
@pytest.mark.parametrize("step", [-21600, -90, 0, 90, 21600])
def test_only_the_upstreams_own_offset_is_learned(step: int, skew: int) -> None:
    """Else a token would be said to live hours longer than it does: the offset is relative to the moment of sending."""
    received = Instant(SENT.wall + timedelta(seconds=10 + step), SENT.boot + 10)
    learned = _offset(SENT.wall + timedelta(seconds=5 + skew), SENT, received)
    assert learned == pytest.approx(skew, abs=1)
