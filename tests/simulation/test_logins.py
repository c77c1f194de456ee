"""Logins that rotate: what may lose one, and what never does. The server's own log is the witness (`logins`)."""

import os

import pytest

from tests.simulation.logins import hang, simulate_logins

# 1,000 refreshes for each rotation; TOKEND_LOGIN_REFRESHES=10000 makes as many as a release was tried with.
SEEDS = 10
REFRESHES = int(os.environ.get("TOKEND_LOGIN_REFRESHES", "1000")) // SEEDS


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_grace_of_a_minute_loses_no_login(seed: int) -> None:
    """Kills at any point, lost answers, 5xx, pages, full disks: with a timeout of 30 s the repeat comes in time."""
    outcome = simulate_logins(seed, "grace", REFRESHES)
    assert outcome.broken == ()
    assert (outcome.lost, outcome.refreshes >= REFRESHES) == (0, True)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_strict_server_ends_a_login_only_where_its_answer_did_not_arrive(seed: int) -> None:
    """Otherwise no reuse, ever; no request without a journal, no two at once, nobody asked to log in for nothing."""
    outcome = simulate_logins(seed, "strict", REFRESHES)
    assert outcome.broken == ()
    assert outcome.refreshes >= REFRESHES


def test_the_faults_are_felt() -> None:
    """A witness of nothing would find nothing: processes die, and a strict server does end logins."""
    outcomes = [simulate_logins(seed, "strict", 60) for seed in range(3)]
    assert sum(outcome.kills for outcome in outcomes) >= 5
    assert sum(outcome.lost for outcome in outcomes) >= 3


def test_a_seed_is_one_course_of_things() -> None:
    """The same again, to the last line."""
    first, second, other = (simulate_logins(seed, "strict", 40) for seed in (1, 1, 2))
    assert first.digest == second.digest != other.digest


@pytest.mark.parametrize(("fault", "readers"), [("silent", 1000), ("page", 50), ("502-after", 50), ("reset", 50)])
def test_an_hour_without_an_answer_costs_nobody_a_login(fault: str, readers: int) -> None:
    """One request at a time and login, however many readers wait; none is sent to a browser; then all is well again."""
    result = hang(7, fault, readers=readers)
    assert result.broken == ()
    assert result.most_at_once == 1
    assert result.requests <= 80
    assert result.recovered
