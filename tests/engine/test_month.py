"""The promises P2, P3, P6 and P8 over simulated weeks. A failure names its seed: `simulate(seed=…)` shows it again."""

import pytest

from tests.engine.simulation import simulate


def test_a_month_of_a_hundred_providers_breaks_no_promise():
    """30 simulated days of 100 providers: docs/promises.md P2, P3, P6, P8, and not more requests than lives ask for."""
    month = simulate(seed=20260101, days=30, size=100)
    assert month.broken == []
    assert all(upstream.calls for host, upstream in month.world.upstreams.items() if host != "one")


@pytest.mark.parametrize("seed", range(8))
def test_other_weeks_break_none_either(seed):
    """The same for a few providers under other fates."""
    assert simulate(seed=seed, days=7, size=12).broken == []


def test_one_seed_is_one_course_of_things():
    """P10: the same seed makes the same requests at the same moments."""

    def requests():
        week = simulate(seed=3, days=5, size=12)
        return {host: upstream.calls for host, upstream in week.world.upstreams.items()}

    assert requests() == requests()
