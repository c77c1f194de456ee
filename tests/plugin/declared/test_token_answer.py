"""Keys of an answer with a token: what their values may be."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from tokend.plugin.declared.token_answer import TokenAnswerSettings


def table(**keys: Any) -> TokenAnswerSettings:
    return TokenAnswerSettings.model_validate(keys)


@pytest.mark.parametrize(
    ("written", "seconds"), [("24h", 86400.0), ("none", None), (timedelta(seconds=5), 5.0), (None, None)]
)
def test_a_lifetime_is_a_duration_or_none(written: Any, seconds: float | None) -> None:
    """The word says that a token without an end is meant."""
    assert table(lifetime=written).lifetime_seconds == seconds


@pytest.mark.parametrize(
    "keys", [{"lifetime": "never"}, {"lifetime": 5}, {"lifetime": "0s"}, {"unit": "seconds"}, {"extra": {"a b": "x"}},
             {"extra": {"a": "x"}, "secret_extra": {"a": "y"}}, {"token_type": "a["}, {"timezone": "Nowhere"}],
)  # fmt: skip
def test_a_key_that_cannot_work_is_refused(keys: dict[str, Any]) -> None:
    """At its own place."""
    with pytest.raises(ValidationError) as caught:
        table(**keys)
    assert len(caught.value.errors()) == 1


def test_units_are_those_of_durations_and_smaller_ones() -> None:
    """Seconds, if nothing is said."""
    assert [table(unit=unit).unit_seconds for unit in ("ms", "s", "m", "h", "d")] == [0.001, 1, 60, 3600, 86400]
    assert table().unit_seconds == 1
