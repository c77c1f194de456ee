"""The options of the sandbox."""

from typing import Any

import pytest

from tokend.sandbox import Options
from tokend.sandbox.options import parse_duration


@pytest.mark.parametrize(
    "options",
    [
        {"fail_rate": 1.5},
        {"fail_rate": float("nan")},
        {"clock_skew": float("inf")},
        {"no_projectx_exp": True, "projectx_expires_in_field": True, "ttl": 30.0},
    ],
)
def test_options_that_contradict_are_refused(options: Any) -> None:
    """The last would promise a minute and keep half of it."""
    with pytest.raises(ValueError, match=r"fail rate|clock skew|whole minutes"):
        Options(**options)


@pytest.mark.parametrize(
    ("text", "seconds"), [("1ms", 0.001), ("30s", 30), ("15m", 900), ("12h", 43200), ("1d", 86400)]
)
def test_durations_have_units(text: str, seconds: float) -> None:
    """[1-9][0-9]*(ms|s|m|h|d)."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "30", "0s", "1.5s", "-1s", "1 s", "01s", "1w", "999999999d", "٣s"])
def test_other_durations_are_errors(text: str) -> None:
    """A bare number is an error, like all else."""
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


def test_the_options_show_nothing_of_themselves() -> None:
    """Somebody may give a real secret."""
    assert "planted" not in repr(Options(tt_api_secret="planted"))
