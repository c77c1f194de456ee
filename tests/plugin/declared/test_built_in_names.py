"""Built-in names: one instant in each form, counters that only rise, texts that are new for each attempt."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest

from tokend.plugin.declared.built_in_names import BUILT_IN, COUNTERS, Moment, next_counter, unix_nanoseconds

AT = datetime(2020, 12, 8, 9, 8, 7, 715, tzinfo=UTC)


def test_an_instant_has_the_same_time_in_each_form() -> None:
    """Rounded down, so that it is never later than it is. A day of one digit has two."""
    names = ("now_s", "now_ms", "now_us", "now_ns", "now_iso", "now_rfc1123")
    assert [Moment(AT).value(name) for name in names] == [
        1607418487, 1607418487000, 1607418487000715, 1607418487000715000,
        "2020-12-08T09:08:07.000Z", "Tue, 08 Dec 2020 09:08:07 GMT",
    ]  # fmt: skip
    elsewhere = Moment(AT.astimezone(timezone(timedelta(hours=5, minutes=30))))
    assert [elsewhere.value(name) for name in names] == [Moment(AT).value(name) for name in names]


def test_large_times_are_exact() -> None:
    """A float would have lost the last digits."""
    assert unix_nanoseconds(datetime(2286, 11, 20, 17, 46, 39, 999999, tzinfo=UTC)) == 9_999_999_999_999_999_000


@pytest.mark.parametrize(("name", "now"), [("counter_ms", 1607418487000), ("counter_us", 1607418487000715)])
def test_a_counter_is_the_time_or_one_more_than_the_last(name: str, now: int) -> None:
    """A clock that was set back repeats no value."""
    assert next_counter(name, 0, AT) == now
    assert next_counter(name, now, AT) == now + 1
    assert next_counter(name, now + 5000, AT) == now + 5001
    assert next_counter("counter_ns", 0, AT) == 1607418487000715000


def test_unique_texts_are_new_for_each_moment() -> None:
    """And the same within one."""
    one, other = Moment(AT), Moment(AT)
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", str(one.value("uuid")))
    assert re.fullmatch("[0-9a-f]{32}", str(one.value("random_hex")))
    for name in ("uuid", "random_hex"):
        assert one.value(name) == one.value(name) != other.value(name)


def test_each_built_in_name_but_the_parts_of_a_request_has_a_value() -> None:
    """A counter has the one that was given."""
    moment = Moment(AT, dict.fromkeys(COUNTERS, 9))
    assert all(moment.value(name) for name in BUILT_IN[5:])
    assert moment.value("counter_ns") == 9
