"""Measures of a soak: which gaps other clients would have had, and the slope of a line."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.soak import oracle, restarts, sampling, usage
from tests.soak.oracle import Absence, Attempt, Gap, perfect, punctual
from tests.soak.plan import Plan
from tests.soak.sampling import Sample


def token(arrived: float, life: int, took: float = 0.0) -> Attempt:
    return Attempt(arrived, oracle.TOKEN, took, 0.0, arrived + life)


def failure(arrived: float, what: str = "503", took: float = 0.0, pause: float = 0.0) -> Attempt:
    return Attempt(arrived, what, took, pause, None)


def found(attempts: list[Attempt], client: Callable[..., float]) -> list[Gap]:
    return list(oracle.gaps(attempts, client))


def test_without_failures_nobody_has_a_gap() -> None:
    """Both clients ask at half of the life; when tokend asked makes no difference."""
    attempts = [token(0, 20), token(10, 20), token(29, 20)]
    assert found(attempts, perfect) == found(attempts, punctual) == []


def test_a_client_has_as_many_tries_as_fit_between_half_of_the_life_and_its_end() -> None:
    """Of 20 s: at 10, 15 and 20 s. Answers come one after the other, whenever they are asked for."""
    two = [token(0, 20), failure(11), failure(18), token(30, 20)]
    assert found(two, perfect) == []
    three = [token(0, 20), failure(11), failure(18), failure(25), token(40, 20)]
    assert found(three, perfect) == [Gap(20, 25)]


def test_the_punctual_client_backs_off_at_its_longest() -> None:
    """5, 10, 20 s …, while the token is valid a quarter of what is left, but at least 5 s."""
    assert [punctual(n, 0) for n in (1, 2, 3, 7, 8)] == [5, 10, 20, 300, 300]
    assert punctual(3, 60) == 15
    assert punctual(3, 10) == 5
    three = [token(0, 20), failure(11), failure(18), failure(25), token(60, 20)]
    assert found(three, punctual) == [Gap(20, 40)]


def test_what_an_attempt_takes_and_what_retry_after_asks_for_counts() -> None:
    """A client that is kept waiting, or asked to wait, can do nothing about it."""
    attempts = [token(0, 20), failure(11, "silent", took=4), failure(20, "429 7", pause=7), token(30, 20, took=0.3)]
    (gap,) = found(attempts, perfect)
    # At 10, until 14; at 19, asked to wait until 26; the token took 0.3 s.
    assert (gap.begins, gap.ends) == pytest.approx((20, 26.3))


def test_before_the_first_token_the_first_attempt_begins_the_gap() -> None:
    """Nobody had anything then."""
    assert found([failure(3), token(9, 20)], perfect) == [Gap(3, 8)]


def test_where_the_next_answer_is_not_known_the_gap_ends_when_it_would_have_been_asked_for() -> None:
    """From then on tokend is late, whatever the answer would be."""
    assert found([token(0, 20), failure(12), failure(17)], perfect) == []
    assert found([token(0, 20), failure(12), failure(17), failure(22)], perfect) == [Gap(20, 25)]


def test_only_reads_in_a_gap_of_the_client_are_excused() -> None:
    """And for a moment after it, in which the token is on its way."""
    log = {"a": [token(0, 20), failure(11), failure(18), failure(25), token(40, 20)]}
    moments = [("a", 19.0), ("a", 21.0), ("a", 26.5), ("a", 27.5), ("b", 21.0)]
    assert oracle.inexcusable(moments, log, perfect) == [("a", 19.0), ("a", 27.5), ("b", 21.0)]


def test_a_vendors_own_pause_is_kept_by_every_client() -> None:
    """TT may be asked once in 10 s: of 40 s at 20 and 30 s. And what is minted, which nobody is asked for, has no
    excuse."""
    log = {"tt": [token(0, 40), failure(21), failure(31), failure(41), token(60, 40)]}
    assert list(oracle.gaps(log["tt"], perfect, interval_seconds=10)) == [Gap(40, 50)]
    reads = [("tt", 45.0), ("minted", 45.0)]
    assert oracle.inexcusable(reads, log, perfect, intervals={"tt": 10.0}) == [("minted", 45.0)]
    assert oracle.inexcusable(reads, log, perfect) == reads


AWAY = Absence(12, 14, 16)


def test_nobody_asks_while_there_is_no_daemon() -> None:
    """Who would have asked then asks as soon as it is back."""
    attempts = [token(0, 20), failure(16), failure(21), token(26, 20)]
    assert found(attempts, perfect) == []
    assert list(oracle.gaps([token(0, 15), token(16, 20)], perfect, absences=[Absence(7, 8, 16)])) == [Gap(15, 16)]
    assert list(oracle.gaps(attempts, perfect, absences=[Absence(9, 12, 16)])) == [Gap(20, 26)]


def test_what_a_restart_broke_off_is_nobodys_token() -> None:
    """Under way at the signal, or answered so shortly before it that nothing was saved yet; what the next daemon asks
    for before it is READY counts."""
    log = {"a": [token(5, 20), token(11.5, 20), token(13, 20), failure(15)], "b": [failure(10, "silent", took=4)]}
    kept = oracle.broken_off(log, [AWAY])
    assert [attempt.what for attempt in kept["a"]] == ["token", "broken off", "broken off", "503"]
    assert (kept["b"][0].what, kept["b"][0].ended) == ("broken off", 16)
    assert oracle.broken_off(log, []) == log


def test_a_restart_excuses_reads_and_connections_for_a_while_only() -> None:
    """Reads until what ran out meanwhile was asked for; connections that are older than the new daemon."""
    assert [AWAY.excuses(moment) for moment in (11.9, 12, 21, 21.1)] == [False, True, True, False]
    assert AWAY.broke(3, 12.1) and AWAY.broke(15, 15) and AWAY.broke(11, 20.9)
    assert not AWAY.broke(3, 11.9) and not AWAY.broke(16.1, 17) and not AWAY.broke(11, 21.1)


def test_a_request_for_a_token_that_is_not_due_is_seen() -> None:
    """Of 20 s at 9 s at the earliest: half of the life, and 5 % of jitter. After a failure other rules hold."""
    assert oracle.most_early({"a": [token(0, 20), token(9, 20), failure(19), failure(24)]}) == 0
    assert oracle.most_early({"a": [token(0, 20), failure(3)]}) == 6


def row(generation: int, *, valid: bool = True, expires_at: str = "1970-01-01T00:01:40Z") -> dict[str, Any]:
    return {"valid": valid, "generation": generation, "expires_at": expires_at}


def test_what_was_held_must_be_served_after_a_restart_unless_it_ran_out() -> None:
    """In the same generation or a later one."""
    before = {name: row(5) for name in ("same", "newer", "older", "gone", "invalid")} | {"never": row(5, valid=False)}
    after = {"same": row(5), "newer": row(6), "older": row(4), "invalid": row(5, valid=False)}
    assert restarts.compare(before, after, 99.0) == (5, ["older", "gone", "invalid"])
    assert restarts.compare(before, after, 101.0) == (0, [])


def test_requests_are_measured_from_one_to_the_next() -> None:
    """P3 is about all requests of one provider."""
    log = {"a": [token(0, 20), failure(9), failure(14.5), token(20, 20)], "b": [token(0, 60), token(50, 60)]}
    assert oracle.shortest_pauses(log) == (5.5, 9)
    assert oracle.busiest_minute(log) == 4


def sample(moment: float, *, cpu: float = 0.0, starved: float = 0.0, megabytes: float = 50.0, run: int = 1) -> Sample:
    return Sample(moment, moment, megabytes, 40, 15, cpu, starved, 1.0, run)


def test_the_slope_of_a_leak_is_seen_through_noise() -> None:
    """36 MB in an hour, up and down by half a megabyte."""
    samples = [sample(second, megabytes=50 + second / 100 + second % 2 / 2) for second in range(600)]
    assert sampling.per_hour(samples, "resident_megabytes") == pytest.approx(36, abs=0.1)
    assert sampling.slope([(1.0, 5.0)]) == 0


def broken(samples: list[Sample]) -> list[str]:
    """The bounds that they break, in a soak of 50 providers."""
    soak = Plan("/nowhere", samples[-1].moment, 50, 1, 10.0)
    return [row.name for row in usage.size(soak, samples) if row.holds is False]


def test_the_slope_of_a_short_run_is_shown_and_not_judged() -> None:
    """In its first minutes a process uses its parts for the first time; a long run that grows so fast leaks."""
    assert broken([sample(second, megabytes=64 + second / 6) for second in range(60)]) == []
    assert broken([sample(second, megabytes=64 + second / 100) for second in range(1800)]) == [
        "resident: slope, over 22 min of the longest"
    ]


def test_what_comes_up_in_a_short_run_is_bounded() -> None:
    """A leak that is large is seen in a minute."""
    assert broken([sample(second, megabytes=64 + second) for second in range(60)]) == ["resident: most above a start"]


def test_a_minute_counts_where_it_and_the_one_before_left_time_to_spare() -> None:
    """Who is behind has to catch up first."""
    cpu, starved, samples = 0.0, 0.0, []
    for second in range(300):
        cpu, starved = cpu + 0.4, starved + (0.6 if 60 <= second < 120 else 0.1)
        samples.append(sample(float(second), cpu=cpu, starved=starved))
    assert sampling.calm_minutes(samples) == {0, 3, 4}


def test_a_daemon_that_begins_again_is_measured_again() -> None:
    """Its processor time starts at nothing, and so does its memory."""
    cpu, samples = 0.0, []
    for second in range(120):
        cpu = 0.0 if second == 30 else cpu + 0.9
        samples.append(sample(float(second), cpu=cpu, run=1 if second < 30 else 2))
    assert sampling.calm_minutes(samples) == set()
    assert [len(run) for run in sampling.runs(samples)] == [30, 90]
