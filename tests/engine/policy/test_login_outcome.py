"""The outcome of an exchange for the login: the written table."""

from dataclasses import replace
from typing import Any

import pytest

from tests.engine.records.test_login_states import CLIENT, LOGIN, NOW, PROVEN
from tests.expecting import present
from tokend.engine.policy.login_change import InitialToken
from tokend.engine.policy.login_outcome import (
    MEANINGS,
    Outcome,
    accepted,
    after_failure,
    outcome_of,
    pause_seconds,
    refreshed,
)
from tokend.engine.records.login_record import NO_LOGINS, LoginRecord
from tokend.engine.records.login_states import (
    NO_LOGIN,
    Exchanging,
    LoginState,
    Lost,
    Ready,
    RefusedOnce,
    Required,
)
from tokend.values.errors import (
    AttemptError,
    ClockError,
    LoginRefusedError,
    LostAnswerError,
    RateLimitedError,
    RejectedError,
    SecretError,
    TransientError,
    WaitingError,
)
from tokend.values.logins import Granted
from tokend.values.secret import Secret
from tokend.values.tokens import Token

UNSENT = TransientError("no connection", is_sent=False)
ANSWERED = TransientError("403")
SPENT = TransientError("503", may_be_spent=True)
LOST = LostAnswerError("cut")
REFUSED = LoginRefusedError("invalid_grant")
CLIENT_REFUSED = RejectedError("invalid_client")

OUTCOMES: list[tuple[Exception, Outcome]] = [
    (UNSENT, Outcome.NOT_DELIVERED),
    (SecretError("empty"), Outcome.NOT_DELIVERED),
    (WaitingError("another token"), Outcome.NOT_DELIVERED),
    (LOST, Outcome.LOST),
    (TransientError("reset", is_answered=False), Outcome.LOST),
    (ANSWERED, Outcome.UNDECIDED),
    (SPENT, Outcome.UNDECIDED),
    (RateLimitedError("slow_down"), Outcome.UNDECIDED),
    (ClockError("an hour behind", offset=3600.0), Outcome.UNDECIDED),
    (REFUSED, Outcome.REFUSED),
    (CLIENT_REFUSED, Outcome.CLIENT_REFUSED),
    (AttemptError("a bug"), Outcome.LOST),
    (RuntimeError("a bug"), Outcome.LOST),
]

FRESH, KNOWN, DOUBTED = Ready(LOGIN), Ready(PROVEN), Ready(PROVEN, may_be_spent=True)
ONCE, FIRST, AGAIN = RefusedOnce(PROVEN), Lost(PROVEN, NOW), Lost(PROVEN, NOW, 3)
# The state before the exchange, what came of it, the state after it.
TABLE: list[tuple[Any, Exception, LoginState]] = [
    (FRESH, UNSENT, FRESH),
    (ONCE, UNSENT, ONCE),
    (AGAIN, UNSENT, AGAIN),
    (FRESH, ANSWERED, FRESH),
    (FRESH, SPENT, Ready(LOGIN, may_be_spent=True)),
    (DOUBTED, ANSWERED, DOUBTED),
    (ONCE, SPENT, ONCE),
    (AGAIN, ANSWERED, DOUBTED),
    (FRESH, LOST, Lost(LOGIN, NOW.after(5), 0)),
    (ONCE, LOST, Lost(PROVEN, NOW.after(5), 0)),
    (FIRST, LOST, Lost(PROVEN, NOW.after(60), 1)),
    (AGAIN, LOST, Lost(PROVEN, NOW.after(3600), 4)),
    (FRESH, REFUSED, Required(LOGIN)),
    (KNOWN, REFUSED, ONCE),
    (DOUBTED, REFUSED, Required(PROVEN)),
    (ONCE, REFUSED, Required(PROVEN)),
    (FIRST, REFUSED, Required(PROVEN)),
    (KNOWN, CLIENT_REFUSED, KNOWN),
    (FIRST, CLIENT_REFUSED, DOUBTED),
]


@pytest.mark.parametrize(("error", "outcome"), OUTCOMES, ids=lambda one: str(one))
def test_every_error_has_its_outcome(error: Exception, outcome: Outcome) -> None:
    """The first row that fits counts."""
    assert outcome_of(error) is outcome


def test_every_row_of_the_table_is_met() -> None:
    """No error of an attempt is without a row, and no row without an error."""
    met = {next(row for row in MEANINGS if isinstance(error, row.error) and row.where(error)) for error, _ in OUTCOMES}
    assert met == set(MEANINGS)
    assert {outcome for _, outcome in OUTCOMES} == set(Outcome)


@pytest.mark.parametrize(("before", "error", "after"), TABLE, ids=lambda one: repr(one)[:40])
def test_what_came_of_an_exchange_decides_what_becomes_of_the_login(
    before: Any, error: Exception, after: LoginState
) -> None:
    """Row by row."""
    assert after_failure(Exchanging(before), error, NOW) == after


def test_the_pauses_before_repeats_grow_to_an_hour() -> None:
    """Five seconds, 1, 5 and 15 minutes, then hourly."""
    assert [pause_seconds(repeats) for repeats in range(7)] == [5, 60, 300, 900, 3600, 3600, 3600]


GRANTED = Granted("https://login.example:443", NOW.after(9))


def after(before: LoginState, granted: Granted) -> Any:
    return refreshed(LoginRecord(Exchanging(before)), granted).login  # type: ignore[arg-type]


@pytest.mark.parametrize("missing", [None, Secret(""), LOGIN.refresh_token])
def test_without_a_new_refresh_token_the_old_one_stays_and_is_proven(missing: Secret | None) -> None:
    """Missing, empty, or the same again."""
    login = after(AGAIN, replace(GRANTED, refresh_token=missing))
    assert login == replace(PROVEN, refresh_token=LOGIN.refresh_token, parameters={})
    extended = after(FRESH, replace(GRANTED, refresh_token=missing, refresh_ends_at=NOW.after(500)))
    assert (extended.ends_at, extended.refreshed_at) == (NOW.after(500), NOW.after(9))


def test_a_new_refresh_token_has_an_end_of_its_own_and_is_not_proven() -> None:
    """What is known of the account stays."""
    known = Ready(replace(PROVEN, subject="somebody", scopes=("a",), origin=None, parameters={"x": Secret("fake")}))
    login = after(known, replace(GRANTED, refresh_token=Secret("fake-new"), parameters={"y": Secret("fake-y")}))
    assert (login.refresh_token, login.ends_at, login.was_accepted) == (Secret("fake-new"), None, False)
    assert (login.subject, login.scopes, set(login.parameters)) == ("somebody", ("a",), {"x", "y"})
    assert (login.origin, login.obtained_at, login.refreshed_at) == (GRANTED.origin, NOW, NOW.after(9))
    told = after(known, replace(GRANTED, subject="somebody else", scopes=()))
    assert (told.subject, told.scopes) == ("somebody else", ())


def test_an_end_that_stays_where_it_was_keeps_the_life_that_it_had() -> None:
    """A new refresh token with the old end does not begin another life; one with a later end does."""
    for end, came in [(86400, NOW), (86405, NOW), (86420, NOW.after(9))]:
        login = after(KNOWN, replace(GRANTED, refresh_token=Secret("fake-new"), refresh_ends_at=NOW.after(end)))
        assert (login.refreshed_at, login.ends_at) == (came, NOW.after(end))


def test_a_grant_without_a_login_changes_nothing() -> None:
    """It was ended meanwhile."""
    assert refreshed(NO_LOGINS, GRANTED) is NO_LOGINS


def test_a_persons_login_replaces_the_one_before_and_the_configured_refresh_token_is_not_needed() -> None:
    """Only another one counts from then on."""
    granted = replace(GRANTED, refresh_token=Secret("fake-new"), subject="somebody", scopes=("a",))
    initial = InitialToken(Secret("fake-initial"), "digest")
    logins = accepted(LoginRecord(Required(PROVEN), "before"), granted, CLIENT, initial)
    assert isinstance(logins.state, Ready)
    assert (logins.state.login.refresh_token, logins.state.login.client) == (Secret("fake-new"), CLIENT)
    assert logins.initial == "digest"
    assert accepted(LoginRecord(Required(None), "before"), granted, CLIENT, None).initial == "before"
    assert accepted(LoginRecord(Required(PROVEN)), GRANTED, CLIENT, None).state == NO_LOGIN


@pytest.mark.parametrize("missing", [None, Secret("")])
def test_a_login_without_a_refresh_token_ends_with_its_access_token(missing: Secret | None) -> None:
    """Whatever is said of a refresh token's end."""
    token = Token(Secret("fake-access"), "Bearer", NOW.after(9), NOW.after(3609))
    granted = replace(GRANTED, token=token, refresh_token=missing, refresh_ends_at=NOW.after(99), subject="somebody")
    logins = accepted(LoginRecord(Required(PROVEN), "before"), granted, CLIENT, None)
    login = present(logins.login)
    assert (login.refresh_token, login.ends_at, login.subject) == (None, NOW.after(3609), "somebody")
    endless = accepted(NO_LOGINS, replace(granted, token=replace(token, expires_at=None)), CLIENT, None)
    assert present(endless.login).ends_at is None


def test_an_access_token_that_was_got_by_another_one_moves_the_end_of_its_login() -> None:
    """A refresh token that comes after all counts from then on."""
    token = Token(Secret("fake-newer"), "Bearer", NOW, NOW.after(9000))
    bare = Ready(replace(LOGIN, refresh_token=None, ends_at=NOW.after(3600)))
    moved = refreshed(LoginRecord(Exchanging(bare)), replace(GRANTED, token=token))
    assert (present(moved.login).refresh_token, present(moved.login).ends_at) == (None, NOW.after(9000))
    assert moved.end_moves
    assert after(bare, GRANTED).ends_at == NOW.after(3600)  # the answer's token is unusable
    login = after(bare, replace(GRANTED, token=token, refresh_token=Secret("fake-new")))
    assert (login.refresh_token, login.ends_at) == (Secret("fake-new"), None)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (Ready(LOGIN), False),
        (Ready(LOGIN, may_be_spent=True), True),
        (Exchanging(Ready(LOGIN)), False),
        (Exchanging(Ready(LOGIN, may_be_spent=True)), True),
        (Exchanging(Lost(LOGIN, NOW)), True),
        (Lost(LOGIN, NOW), True),
        (RefusedOnce(LOGIN), False),
        (Required(LOGIN), False),
        (NO_LOGIN, False),
    ],
)
def test_a_refresh_token_may_be_spent_after_an_answer_that_was_lost_or_was_none(
    state: LoginState, expected: bool
) -> None:
    """In the journal, too: of the exchanges before it."""
    assert state.may_be_spent is expected
