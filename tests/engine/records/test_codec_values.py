"""Values of a state file are checked when they are read."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tokend.engine.records.adrift import Adrift
from tokend.engine.records.codec_values import (
    count,
    dump_instant,
    flag,
    items,
    load_instant,
    mapping,
    maybe,
    moment,
    number,
    text,
)
from tokend.values.instant import Instant

WALL = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("instant", [Instant(WALL, 5.0), Adrift(WALL, 5.0), None])
def test_a_moment_comes_back(instant: Instant | None) -> None:
    """Also that it is of an earlier boot."""
    assert load_instant(dump_instant(instant)) == instant
    assert type(load_instant(dump_instant(instant))) is type(instant)


@pytest.mark.parametrize(
    ("read", "good", "bad"),
    [
        (text, "x", 1),
        (number, 1, True),
        (number, 1.5, "1"),
        (count, 1, 1.0),
        (count, 1, True),
        (flag, True, 1),
        (mapping, {}, []),
        (items, [], {}),
        (moment, [WALL.isoformat(), 5.0], None),
        (moment, [WALL.isoformat(), 5], ["2026-01-01T00:00:00", 5.0]),
    ],
)
def test_a_value_of_another_type_is_refused(read: Callable[[Any], Any], good: Any, bad: Any) -> None:
    """It would break what uses it later."""
    read(good)
    with pytest.raises((TypeError, ValueError)):
        read(bad)
    assert maybe(read, None) is None
    assert maybe(read, good) == read(good)
