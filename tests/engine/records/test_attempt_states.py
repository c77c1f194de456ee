"""States of attempts: every state and every transition, against the written table."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tokend.engine.records import attempt_states
from tokend.engine.records.attempt_states import (
    NO_FAILURES,
    TRANSITIONS,
    AttemptState,
    Failing,
    Failures,
    Interrupted,
    Moves,
    Probe,
    Rejected,
    Settled,
    UnderWay,
    at_rest,
)
from tokend.values.instant import Instant

NOW = Instant(datetime(2026, 1, 1, tzinfo=UTC), 1000.0)
LATER = NOW.after(5)
THREE = Failures(3, 1, NOW)
STATES: list[AttemptState] = [
    Settled(),
    Settled(NOW),
    Interrupted(NOW, LATER),
    Interrupted(None, LATER),
    Failing(NOW, LATER, THREE),
    Failing(None, None, THREE),
    Rejected(NOW, THREE, "secrets"),
    Rejected(None, THREE, "secrets"),
    Rejected(NOW, THREE, "secrets", Probe(1, LATER)),
    UnderWay(NOW, LATER, NO_FAILURES, None),
    UnderWay(NOW, LATER, THREE, None),
    UnderWay(NOW, LATER, THREE, "secrets"),
]
MOVES: dict[str, Callable[..., AttemptState]] = {
    "noted": lambda state: state.noted(NOW, LATER),
    "succeeded": lambda state: state.succeeded(NOW),
    "failed": lambda state: state.failed(THREE, ended=NOW, next_attempt=LATER),
    "refused": lambda state: state.refused(THREE, ended=NOW, secrets="secrets"),
    "interrupted": lambda state: state.interrupted(NOW),
    "resumed": lambda state: state.resumed(1),
    "without_failures": lambda state, refusals=1: state.without_failures(refusals),
}


def test_the_table_has_every_state_and_every_transition() -> None:
    """A new state needs a row, and a new transition a column."""
    classes = {
        kind for kind in vars(attempt_states).values() if isinstance(kind, type) and issubclass(kind, AttemptState)
    }
    assert set(TRANSITIONS) == classes - {AttemptState} == {type(state) for state in STATES}
    assert all(set(row) == set(MOVES) for row in TRANSITIONS.values())


def test_every_transition_leads_where_the_table_says_and_everywhere_it_says() -> None:
    """Nothing leads elsewhere, and no cell of the table names a state that is never reached."""
    reached: dict[tuple[type[AttemptState], str], set[type[AttemptState]]] = {
        (kind, move): set() for kind, row in TRANSITIONS.items() for move in row
    }
    for state in STATES:
        for move, make in MOVES.items():
            for after in [make(state)] if move != "without_failures" else [make(state), make(state, 0)]:
                reached[type(state), move].add(type(after))
    assert reached == {(kind, move): set(kinds) for kind, row in TRANSITIONS.items() for move, kinds in row.items()}


@pytest.mark.parametrize("state", STATES, ids=repr)
def test_only_a_success_ends_a_run_of_failures(state: Any) -> None:
    """docs/promises.md P3: neither an interruption nor a person's wish makes an outage younger."""
    assert state.succeeded(NOW).failures is NO_FAILURES
    for move in ("noted", "interrupted", "resumed"):
        after = MOVES[move](state)
        assert (after.failures.count, after.failures.since) == (state.failures.count, state.failures.since)


@pytest.mark.parametrize("state", STATES, ids=repr)
def test_where_requests_go_elsewhere_the_failures_are_forgotten(state: Any) -> None:
    """The outage was another one's. The last attempt stays: its minimum interval still counts; refusals may."""
    for refusals in (0, 1):
        after = state.without_failures(refusals)
        assert after.failures == Failures(refusals=refusals)
        assert (after.last_attempt, after.rejected_secrets) == (state.last_attempt, None)
        assert after.next_attempt == (state.next_attempt if state.under_way else None)


def test_an_interrupted_attempt_counts_from_the_moment_that_it_is_found() -> None:
    """The request may have been sent later than the moment that was saved."""
    found = UnderWay(NOW, LATER, THREE, None).interrupted(LATER)
    assert found == Failing(LATER, LATER, THREE)
    assert UnderWay(NOW, LATER, NO_FAILURES, None).interrupted(LATER) == Interrupted(LATER, LATER)
    assert Settled(NOW).interrupted(LATER) == Settled(NOW)


@pytest.mark.parametrize("state", STATES, ids=repr)
def test_a_rejection_is_left_by_nothing_but_a_success_or_a_resumption(state: Any) -> None:
    """A restart, a failure of another kind and an attempt under way keep it."""
    if state.rejected_secrets is not None:
        for move in ("noted", "failed", "refused", "interrupted"):
            assert MOVES[move](state).rejected_secrets == "secrets"
    assert MOVES["resumed"](state).rejected_secrets is MOVES["succeeded"](state).rejected_secrets is None


@pytest.mark.parametrize("state", STATES, ids=repr)
def test_refusals_are_counted_without_leaving_the_state(state: Any) -> None:
    """Settled and Interrupted have none: counted there, they are the beginning of a failure."""
    after = state.with_refusals(2)
    assert after.failures.refusals == 2
    assert type(after) is (Failing if state.failures is NO_FAILURES and not state.under_way else type(state))
    assert type(after.with_refusals(0)) in (type(state), Failing)
    assert Settled(NOW).with_refusals(0) == Settled(NOW)


@pytest.mark.parametrize("state", STATES, ids=repr)
def test_every_state_gets_the_boot_times_of_another_boot(state: Any) -> None:
    """docs/promises.md 35: a state that forgot one would wait by a clock that does not exist any more."""
    moves = Moves(*(lambda moment, by=by: moment.after(by) for by in (100, 200, 300)))
    after = state.moved(moves)
    assert type(after) is type(state)
    for part, by in (("last_attempt", 100), ("next_attempt", 200)):
        before = getattr(state, part)
        assert getattr(after, part) == (None if before is None else before.after(by))
    since = state.failures.since
    assert after.failures.since == (None if since is None else since.after(300))
    assert (after.rejected_secrets, after.under_way) == (state.rejected_secrets, state.under_way)


def test_a_state_between_two_attempts_follows_from_its_values() -> None:
    """The codec and an interruption choose alike."""
    for state in STATES:
        if not state.under_way:
            again = at_rest(state.last_attempt, state.next_attempt, state.failures, state.rejected_secrets)
            assert again == (replace(state, probe=None) if isinstance(state, Rejected) else state)
    with pytest.raises(NotImplementedError):
        AttemptState.moved(Settled(), attempt_states.Moves(*[lambda moment: moment] * 3))


def test_rejected_credentials_keep_their_probe_until_they_are_tried_again() -> None:
    """Neither a failure nor a count of refusals nor a reboot forgets it."""
    state = Rejected(NOW, THREE, "secrets", Probe(1, LATER))
    for after in (
        state.failed(THREE, ended=NOW, next_attempt=None),
        state.refused(THREE, ended=NOW, secrets="secrets"),
        state.with_refusals(5),
    ):
        assert isinstance(after, Rejected)
        assert after.probe == state.probe
    assert state.with_refusals(5).failures.refusals == 5
    moved = state.moved(Moves(*[lambda moment: moment.after(7)] * 3))
    assert isinstance(moved, Rejected)
    assert moved.probe == Probe(1, LATER.after(7))
