"""Ends of tokens of declared answers: the earliest of several, in each unit and zone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.plugin.declared.replies import answer
from tokend.plugin.declared.token_answer import TokenAnswerSettings
from tokend.plugin.declared.token_ends import token_end
from tokend.values.errors import TransientError
from tokend.values.secret import Secret

# The moment of the replies.
SENT = datetime(2026, 1, 1, tzinfo=UTC)


def life(relative: Any = None, absolute: Any = None, *, offset: float = 0.0, **keys: Any) -> float | None:
    """Return the seconds from the request to the end."""
    zero, longest = keys.pop("zero_means", "expired"), keys.pop("max_lifetime", None)
    reply = replace(answer().reply, offset=offset)
    end = token_end(
        reply, Secret("fake"), TokenAnswerSettings.model_validate(keys), host="api.example:443", relative=relative,
        absolute=absolute, zero_means=zero, max_lifetime=longest,
    )  # fmt: skip
    return None if end is None else reply.sent_at.until(end)


@pytest.mark.parametrize(
    ("said", "keys", "seconds"),
    [
        ((None, None), {}, None),
        ((60, None), {}, 60),
        ((60, None), {"unit": "m"}, 3600),
        (("90000", None), {"unit": "ms"}, 90),
        ((0.5, None), {"unit": "h"}, 1800),
        ((60, "2026-01-01T00:00:30Z"), {}, 30),
        ((None, "2026-01-01 05:31:00"), {"timezone": "Asia/Kolkata"}, 60),
        ((None, "2026-01-01T01:00:00+00:30"), {"timezone": "Asia/Kolkata"}, 1800),
        ((None, "2026-01-01 00:01:00"), {}, 60),
        ((None, None), {"lifetime": "2h"}, 7200),
        ((60, None), {"lifetime": "2h"}, 60),
        ((None, None), {"lifetime": "none"}, None),
        ((None, None), {"expires_daily": "06:00 Asia/Kolkata"}, 1800),
        ((60, None), {"expires_daily": "06:00 Asia/Kolkata"}, 60),
        ((7200, None), {"expires_daily": "06:00 Asia/Kolkata"}, 1800),
        ((None, None), {"expires_daily": "06:00 Asia/Kolkata", "lifetime": "1m"}, 1800),
        ((0, None), {"zero_means": "never"}, None),
        ((0, None), {"zero_means": "never", "lifetime": "1h"}, None),
        ((0, None), {"zero_means": "never", "expires_daily": "06:00 Asia/Kolkata"}, 1800),
        ((10**9, None), {"max_lifetime": timedelta(hours=1)}, 3600),
        ((1e300, None), {"max_lifetime": timedelta(hours=1)}, 3600),
        ((None, "2099-01-01"), {"max_lifetime": timedelta(hours=1)}, 3600),
        ((None, None), {"max_lifetime": timedelta(hours=1)}, 3600),
        ((60, None), {"max_lifetime": timedelta(hours=1)}, 60),
    ],
)
def test_the_earliest_end_counts(said: tuple[Any, Any], keys: dict[str, Any], seconds: float | None) -> None:
    """A longer promise than ``max_lifetime`` is cut; ``lifetime`` counts where nothing else says an end."""
    assert life(*said, **keys) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("said", "keys"),
    [
        ((0, None), {}), ((-1, None), {}), ((-1, None), {"max_lifetime": timedelta(hours=1)}), (("1h", None), {}),
        ((True, None), {}), (([], None), {"lifetime": "1h"}), ((10**9, None), {}), ((1e300, None), {}),
        ((500, None), {"unit": "d"}), ((None, "2025-12-31"), {}), ((None, "soon"), {}), ((None, "2099-01-01"), {}),
        ((10**9, None), {"expires_daily": "06:00 Asia/Kolkata"}),
    ],
)  # fmt: skip
def test_an_impossible_end_is_refused(said: tuple[Any, Any], keys: dict[str, Any]) -> None:
    """Whatever else may end the token."""
    with pytest.raises(TransientError):
        life(*said, **keys)


def test_times_are_those_of_the_servers_clock() -> None:
    """It says them: a clock an hour ahead reaches them an hour earlier."""
    assert life(None, "2026-01-01T02:00:00Z", offset=3600.0) == pytest.approx(3600)
    assert life(expires_daily="02:00 UTC", offset=3600.0) == pytest.approx(3600)
