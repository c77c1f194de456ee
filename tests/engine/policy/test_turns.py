"""Turns of providers that share an account."""

from datetime import UTC, datetime
from itertools import pairwise

from tokend.engine.policy.turns import Turns, Urgency
from tokend.values.instant import Instant

NOW = Instant(datetime(2026, 1, 1, tzinfo=UTC), 1000.0)


def urgency(ends: float | None, *, holds: bool = True, last: float | None = None) -> Urgency:
    moments = [None if seconds is None else NOW.after(seconds) for seconds in (ends, last)]
    return Urgency.of(moments[0], moments[1], holds=holds)


def test_who_has_no_token_goes_first_then_who_ends_first_then_who_asked_longest_ago() -> None:
    """A token without an end can wait longest."""
    order = [
        urgency(None, holds=False),
        urgency(None, holds=False, last=-60),
        urgency(None, holds=False, last=-10),
        urgency(-20),
        urgency(5),
        urgency(None),
    ]
    assert all(first < second for first, second in pairwise(order))


def test_only_those_that_are_due_and_of_one_account_count() -> None:
    """Names tell two that are alike apart."""
    turns = Turns()
    turns.wait("key", "a", due=NOW, urgency=urgency(60))
    turns.wait("key", "b", due=NOW.after(1), urgency=urgency(5))
    turns.wait("another", "c", due=NOW, urgency=urgency(1))
    turns.wait(None, "d", due=NOW, urgency=urgency(1))
    assert [turns.is_first(name, NOW) for name in "abcd"] == [True, True, True, True]
    assert [turns.is_first(name, NOW.after(1)) for name in "ab"] == [False, True]
    turns.leave("b")
    turns.leave("b")
    assert turns.is_first("a", NOW.after(1))
    turns.wait("key", "b", due=NOW, urgency=urgency(60))
    assert [turns.is_first(name, NOW) for name in "ab"] == [True, False]
    turns.wait("another", "a", due=NOW, urgency=urgency(0))
    assert [turns.is_first(name, NOW) for name in "abc"] == [True, True, False]
