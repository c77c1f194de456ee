"""States of a login: every state and every transition, against the written table."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tokend.engine.records import login_states
from tokend.engine.records.login_states import (
    NO_LOGIN,
    TRANSITIONS,
    Exchanging,
    LoginMoves,
    LoginState,
    Lost,
    NoLogin,
    Ready,
    RefusedOnce,
    Required,
)
from tokend.values.instant import Instant
from tokend.values.logins import Login, LoginClient
from tokend.values.secret import Secret

NOW = Instant(datetime(2026, 1, 1, tzinfo=UTC), 1000.0)
LATER = NOW.after(60)
CLIENT = LoginClient("fake-login", "https://login.example/token", "fake-client")
LOGIN = Login(Secret("fake-refresh"), CLIENT, "https://login.example:443", NOW, NOW, NOW.after(86400))
PROVEN = replace(LOGIN, was_accepted=True)
# The server gave no refresh token.
BARE = replace(LOGIN, refresh_token=None)
SENDABLE: list[Ready | RefusedOnce | Lost] = [
    Ready(LOGIN),
    Ready(PROVEN),
    Ready(PROVEN, may_be_spent=True),
    RefusedOnce(PROVEN),
    Lost(LOGIN, NOW, 2),
    Ready(BARE),
    RefusedOnce(replace(BARE, was_accepted=True)),
    Lost(BARE, NOW, 1),
]
STATES: list[LoginState] = [
    NO_LOGIN,
    *SENDABLE,
    *[Exchanging(before) for before in SENDABLE],
    Required(LOGIN),
    Required(BARE),
    Required(None),
]
MOVES: dict[str, Callable[[LoginState], LoginState]] = {
    "journalled": lambda state: state.journalled(),
    "not_delivered": lambda state: state.not_delivered(),
    "undecided": lambda state: state.undecided(may_be_spent=False),
    "lost": lambda state: state.lost(LATER),
    "refused": lambda state: state.refused(),
    "hastened": lambda state: state.hastened(NOW),
    "granted": lambda state: state.granted(LOGIN),
}


def test_the_table_has_every_state_and_every_transition() -> None:
    """A new state needs a row, and a new transition a column."""
    classes = {kind for kind in vars(login_states).values() if isinstance(kind, type) and issubclass(kind, LoginState)}
    assert set(TRANSITIONS) == classes - {LoginState} == {type(state) for state in STATES}
    assert all(set(row) == set(MOVES) for row in TRANSITIONS.values())


def test_every_transition_leads_where_the_table_says_and_everywhere_it_says() -> None:
    """Nothing leads elsewhere, and no cell of the table names a state that is never reached."""
    reached: dict[tuple[type[LoginState], str], set[type[LoginState]]] = {
        (kind, move): set() for kind, row in TRANSITIONS.items() for move in row
    }
    for state in STATES:
        for move, make in MOVES.items():
            reached[type(state), move].add(type(make(state)))
    assert reached == {(kind, move): set(kinds) for kind, row in TRANSITIONS.items() for move, kinds in row.items()}


@pytest.mark.parametrize("state", STATES, ids=repr)
def test_nothing_but_a_grant_replaces_a_login(state: LoginState) -> None:
    """Only an answer ends a login, and then it is still known which one."""
    for move, make in MOVES.items():
        if move != "granted":
            assert make(state).login == state.login
    assert state.granted(PROVEN) == Ready(PROVEN)


def test_an_exchange_that_was_not_delivered_changes_nothing() -> None:
    """The refresh token is unspent: what was known of it is known still."""
    for before in SENDABLE:
        assert before.journalled().not_delivered() == before


@pytest.mark.parametrize(
    ("before", "is_final"),
    [
        (Ready(LOGIN), True),  # it was never accepted
        (Ready(PROVEN), False),
        (Ready(PROVEN, may_be_spent=True), True),
        (RefusedOnce(PROVEN), True),
        (Lost(PROVEN, NOW), True),
    ],
    ids=repr,
)
def test_a_refusal_is_final_unless_the_refresh_token_was_accepted_and_nothing_was_lost(
    before: LoginState, is_final: bool
) -> None:
    """It is sent once more then."""
    after = before.journalled().refused()
    assert isinstance(after, Required if is_final else RefusedOnce)


def test_that_a_refresh_token_may_be_spent_is_known_until_another_one_comes() -> None:
    """A 503 after a lost answer, or after a page, changes nothing about it."""
    cases: list[tuple[Ready | Lost, bool]] = [
        (Lost(PROVEN, NOW), False),
        (Ready(PROVEN, may_be_spent=True), False),
        (Ready(PROVEN), True),
    ]
    for before, flag in cases:
        assert Exchanging(before).undecided(may_be_spent=flag) == Ready(PROVEN, may_be_spent=True)
    assert Exchanging(Ready(PROVEN)).undecided(may_be_spent=False) == Ready(PROVEN)
    assert Exchanging(RefusedOnce(PROVEN)).undecided(may_be_spent=True) == RefusedOnce(PROVEN)


def test_repeats_are_counted_from_the_first_lost_answer() -> None:
    """The exchange that was lost first is no repeat."""
    state: LoginState = Ready(LOGIN)
    counted = []
    for _ in range(3):
        state = state.journalled()
        counted.append(state.repeats)
        state = state.lost(LATER)
    assert counted == [0, 1, 2]
    assert state == Lost(LOGIN, LATER, 2)


def test_a_person_hastens_a_repeat_and_gets_one_attempt_for_a_required_login() -> None:
    """The next refusal of that one is final."""
    assert Lost(LOGIN, LATER, 2).hastened(NOW) == Lost(LOGIN, NOW, 2)
    assert Required(PROVEN).hastened(NOW) == Ready(PROVEN, may_be_spent=True)
    assert Required(None).hastened(NOW) == Required(None)


@pytest.mark.parametrize("state", STATES, ids=repr)
def test_a_reboot_moves_every_moment_and_nothing_else(state: LoginState) -> None:
    """The same state, with the boot times of the new boot."""

    def dated(moment: Instant) -> Instant:
        return replace(moment, boot=moment.boot + 5)

    moved = state.moved(LoginMoves(upcoming=lambda moment: moment.after(7), dated=dated))
    assert type(moved) is type(state)
    if moved.login is not None and state.login is not None:
        assert moved.login.obtained_at == dated(state.login.obtained_at)
        assert moved.login.ends_at == dated(NOW.after(86400))
        assert moved.login.refresh_token == state.login.refresh_token
    if state.next_at is not None:
        assert moved.next_at == state.next_at.after(7)
    endless = Ready(replace(LOGIN, ends_at=None)).moved(LoginMoves(dated, dated)).login
    assert endless is not None
    assert endless.ends_at is None


def test_a_state_says_how_a_reboot_moves_it() -> None:
    """A new one that does not would lose its moments."""
    with pytest.raises(NotImplementedError):
        LoginState().moved(LoginMoves(lambda moment: moment, lambda moment: moment))


def test_no_login_has_nothing() -> None:
    """It is one value."""
    assert NoLogin() == NO_LOGIN
    assert (NO_LOGIN.login, NO_LOGIN.next_at, NO_LOGIN.repeats) == (None, None, 0)


def test_a_login_without_a_refresh_token_is_over_when_there_is_nothing_to_send() -> None:
    """No request says so, and no admin's wish brings it back: a person has to log in."""
    for state in (Ready(BARE), RefusedOnce(BARE), Lost(BARE, NOW)):
        assert state.refused() == Required(BARE)
        assert Required(BARE).hastened(NOW) == Required(BARE)
    for other in (Ready(LOGIN), RefusedOnce(LOGIN), Lost(LOGIN, NOW)):
        assert other.refused() == other
