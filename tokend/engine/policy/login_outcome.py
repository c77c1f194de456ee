"""The outcome of an exchange for the login whose refresh token it sent: one table, and the state after it. Pure.

| outcome          | what was seen                                                       | the refresh token |
|------------------|---------------------------------------------------------------------|-------------------|
| not delivered    | no name, no connection, no TLS, a secret that cannot be read        | unspent           |
| undecided        | a complete answer that neither grants nor refuses                   | stays             |
| lost             | nothing, half an answer, an unacceptable 2xx, a bug, a daemon that  | may be spent      |
|                  | was killed                                                          |                   |
| refused          | the server refused the refresh token                                | see `Exchanging`  |
| client refused   | the server refused the client                                       | stays             |
| granted          | a token, a new refresh token, or both                               | accepted          |

A repeat after a lost answer needs an answer to something harmless first, and repeats become rarer. If the server has
spent the refresh token, the first repeat already counts as reuse, and more do no further harm; if it has not, giving up
would discard a valid login.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from tokend.engine.policy.login_change import InitialToken
from tokend.engine.records.login_record import LoginRecord
from tokend.engine.records.login_states import NO_LOGIN, LoginState
from tokend.values.errors import (
    ClockError,
    LoginRefusedError,
    LostAnswerError,
    RateLimitedError,
    RejectedError,
    SecretError,
    TransientError,
)
from tokend.values.instant import Instant
from tokend.values.logins import Granted, Login, LoginClient

# Before the first repeat after a lost answer, before the second, and so on; the last one repeats.
PAUSES_SECONDS = (5.0, 60.0, 300.0, 900.0, 3600.0)


# Two statements of one end differ by whole seconds and by the time of an exchange.
SAME_END_SECONDS = 10.0


class Outcome(Enum):
    """What came of an exchange that brought no token."""

    NOT_DELIVERED = "the server has not seen the refresh token"
    UNDECIDED = "a complete answer has decided nothing"
    LOST = "no complete, acceptable answer arrived"
    REFUSED = "the server refused the refresh token"
    CLIENT_REFUSED = "the server refused the client"


@dataclass(frozen=True, slots=True)
class Meaning:
    """One row: the error, and what it means."""

    error: type[Exception]
    outcome: Outcome
    where: Callable[[Exception], bool] = lambda error: True  # noqa: ARG005  # every error of the class


def _is_unsent(error: Exception) -> bool:
    return isinstance(error, TransientError) and not error.is_sent


def _is_unanswered(error: Exception) -> bool:
    return isinstance(error, TransientError) and not error.is_answered


# The first row that fits counts.
MEANINGS: tuple[Meaning, ...] = (
    Meaning(SecretError, Outcome.NOT_DELIVERED),
    Meaning(TransientError, Outcome.NOT_DELIVERED, where=_is_unsent),
    Meaning(LostAnswerError, Outcome.LOST),
    Meaning(TransientError, Outcome.LOST, where=_is_unanswered),
    Meaning(TransientError, Outcome.UNDECIDED),
    Meaning(RateLimitedError, Outcome.UNDECIDED),
    Meaning(ClockError, Outcome.UNDECIDED),
    Meaning(LoginRefusedError, Outcome.REFUSED),
    Meaning(RejectedError, Outcome.CLIENT_REFUSED),
    # A bug: it may have come before the request or after it.
    Meaning(Exception, Outcome.LOST),
)


def outcome_of(error: Exception) -> Outcome:
    """Look up what an error of `WithLogin.refresh` means for the login."""
    return next(row.outcome for row in MEANINGS if isinstance(error, row.error) and row.where(error))


def after_failure(state: LoginState, error: Exception, now: Instant) -> LoginState:
    """Compute the state after an exchange that brought no token."""
    outcome = outcome_of(error)
    if outcome is Outcome.NOT_DELIVERED:
        return state.not_delivered()
    if outcome is Outcome.LOST:
        return interrupted(state, now)
    if outcome is Outcome.REFUSED:
        return state.refused()
    # The client is refused, or nothing is decided.
    return state.undecided(may_be_spent=isinstance(error, TransientError) and error.may_be_spent)


def interrupted(state: LoginState, now: Instant) -> LoginState:
    """Compute the state after an exchange whose answer nobody knows; any other state stays as it is."""
    return state.lost(now.after(pause_seconds(state.repeats)))


def pause_seconds(repeats: int) -> float:
    """Compute the pause before the next repeat; so many ``repeats`` were made since the first answer was lost."""
    return PAUSES_SECONDS[min(repeats, len(PAUSES_SECONDS) - 1)]


def refreshed(logins: LoginRecord, granted: Granted) -> LoginRecord:
    """Compute the logins after an exchange of the refresh token in use that the server granted."""
    before = logins.login
    if before is None:
        return logins
    after = renewed(before, granted)
    logins = replace(logins, state=logins.state.granted(after))
    if before.ends_at is None or after.ends_at is None or before.ends_at.until(after.ends_at) < SAME_END_SECONDS:
        return logins
    return replace(logins, end_moves=True, notices=())


def renewed(login: Login, granted: Granted) -> Login:
    """Compute the login after a grant. Without a new refresh token the one that was sent stays, and is proven.

    Where there is none at all, the login ends with the new access token.
    """
    new = granted.refresh_token
    is_kept = new is None or not new or new == login.refresh_token
    if is_kept and login.refresh_token is None and granted.token is not None:
        ends_at = granted.token.expires_at
    else:
        ends_at = granted.refresh_ends_at or (login.ends_at if is_kept else None)
    # An end that stays where it was keeps the life that it had: else each refresh would ask for another one.
    stays = is_kept if ends_at is None else login.ends_at is not None and _is_near(login.ends_at, ends_at)
    return replace(
        login,
        refresh_token=login.refresh_token if new is None or is_kept else new,
        origin=granted.origin,
        refreshed_at=login.refreshed_at if stays else granted.answered_at,
        ends_at=ends_at,
        subject=login.subject if granted.subject is None else granted.subject,
        scopes=login.scopes if granted.scopes is None else granted.scopes,
        parameters={**login.parameters, **granted.parameters},
        was_accepted=is_kept,
    )


def accepted(logins: LoginRecord, granted: Granted, client: LoginClient, initial: InitialToken | None) -> LoginRecord:
    """Compute the logins after a person's. ``initial`` is the configured refresh token, which is not needed then.

    Without a refresh token the login ends with its access token. One with neither is none.
    """
    logins = replace(logins, initial=logins.initial if initial is None else initial.digest)
    if not granted.refresh_token and granted.token is None:
        return replace(logins, state=NO_LOGIN, end_moves=False, notices=())
    ends_at = granted.refresh_ends_at
    if not granted.refresh_token and granted.token is not None:
        ends_at = granted.token.expires_at
    login = Login(
        refresh_token=granted.refresh_token or None,
        client=client,
        origin=granted.origin,
        obtained_at=granted.answered_at,
        refreshed_at=granted.answered_at,
        ends_at=ends_at,
        subject=granted.subject,
        scopes=granted.scopes,
        parameters=granted.parameters,
    )
    return replace(logins, state=logins.state.granted(login), end_moves=False, notices=())


def _is_near(one: Instant, other: Instant) -> bool:
    return abs(one.until(other)) < SAME_END_SECONDS
