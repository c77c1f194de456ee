"""Rate limits of readers and of hosts."""

import pytest

from tests.engine.policy.test_refresh_timing import START
from tokend.engine.policy.rate_limits import Allowance, HostLimits


def test_readers_have_three_attempts_and_then_one_per_five_minutes() -> None:
    """The allowance: three at once, then one per 5 min."""
    allowance = Allowance()
    assert [allowance.take(START) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert allowance.take(START) == pytest.approx(300.0)
    assert allowance.take(START.after(299)) == pytest.approx(1.0)
    assert allowance.take(START.after(301)) == 0.0
    assert allowance.take(START.after(301)) > 290


def test_a_hosts_pause_is_never_shortened_and_ends_by_itself() -> None:
    """Retry-After binds all providers of a host."""
    limits = HostLimits()
    limits.block("one:443", START.after(100))
    limits.block("one:443", START.after(10))
    assert limits.seconds("one:443", START) == pytest.approx(100)
    assert limits.seconds("other:443", START) == 0.0
    assert limits.seconds("one:443", START.after(101)) == 0.0
    assert limits.seconds(None, START) == 0.0
