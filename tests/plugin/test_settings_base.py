"""Types of settings fields."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tests.config.written import in_words
from tokend.plugin.settings_base import LONGEST_DURATION, Duration, Lead, Percentage, parse_duration

LEAD: TypeAdapter[Any] = TypeAdapter(Lead)
DURATION: TypeAdapter[Any] = TypeAdapter(Duration)


@given(st.integers(1, LONGEST_DURATION // timedelta(milliseconds=1)))
def test_every_duration_survives_being_written_and_read(milliseconds: int) -> None:
    """Every unit gives exactly the same duration."""
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(in_words(duration)) == duration
    assert parse_duration(f"{milliseconds}ms") == duration


@given(st.text(max_size=8) | st.from_regex(r"[0-9.+-]{0,3} ?[a-zµ]{0,2}", fullmatch=True))
def test_nothing_else_is_a_duration(text: str) -> None:
    """A duration is a whole number above 0 and one of five units, in ASCII, without spaces."""
    number = text.rstrip("smhd")
    right = (
        number.isascii() and number.isdigit() and number[0] != "0" and text[len(number) :] in {"ms", "s", "m", "h", "d"}
    )
    try:
        parse_duration(text)
    except ValueError as error:
        assert not right or "ten years" in str(error)
    else:
        assert right


@pytest.mark.parametrize("text", ["0s", "00ms", "0d"])
def test_a_duration_of_nothing_is_refused_as_too_short(text: str) -> None:
    """The form of these texts is right."""
    with pytest.raises(ValueError, match=r"^a duration is at least 1ms$"):
        parse_duration(text)


@pytest.mark.parametrize("value", [5, 5.0, True, None, "", "5", "0s", "05s", "5 s", "5S", "-5s", "1.5h", "1h30m", "٥s"])
def test_bare_numbers_and_other_spellings_are_errors(value: object) -> None:
    """The unit is never implied."""
    with pytest.raises(ValidationError, match="a duration is"):
        DURATION.validate_python(value)


@pytest.mark.parametrize("text", ["3661d", "999999999999d", "99999999999999999999d", "9" * 400 + "ms"])
def test_more_than_ten_years_is_a_typing_error(text: str) -> None:
    """No number causes an overflow."""
    with pytest.raises(ValueError, match="at most ten years"):
        parse_duration(text)


def test_a_lead_is_a_duration_or_a_share() -> None:
    """A share is 1 % to 99 %."""
    assert LEAD.validate_python("10m") == timedelta(minutes=10)
    for percent in range(1, 100):
        lead = LEAD.validate_python(f"{percent}%")
        assert isinstance(lead, Percentage)
        assert lead == pytest.approx(percent / 100)
    for wrong in ("0%", "100%", "05%", "20 %", "%", "12.5%", 0.2, 20):
        with pytest.raises(ValidationError, match="a share of the token's life"):
            LEAD.validate_python(wrong)
