"""States of a provider's login, and the table of transitions between them. Pure.

    NoLogin      there is none: nobody has logged in, and no initial refresh token was used
    Ready        a login whose refresh token may be sent
    Exchanging   the journal: the refresh token is about to be sent, or was sent, or the daemon died meanwhile
    Lost         the refresh token was sent, and no answer arrived: it may be spent
    RefusedOnce  the server refused a refresh token that it had accepted before: it is sent once more
    Required     only a person brings another login: no timer sends anything

Rules:

1. `Exchanging` is saved durably before a byte leaves: no journal, no request.
2. Only an answer ends a login (``refused``). A lost answer never does.
3. A refresh token that may be spent, or that was never accepted, gets no second refusal.
4. Every refresh token that is granted is kept: ``granted`` leads to `Ready` from every state.

`policy.login_outcome` says which answer is which transition. `TRANSITIONS` is the table; a test walks through it. A new
state is a class here, a row of the table, and its members in `login_codec`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import ClassVar, TypeAlias

from tokend.values.instant import Instant
from tokend.values.logins import Login


@dataclass(frozen=True, slots=True)
class LoginMoves:
    """Functions that give the moments of a login new boot times after a reboot (`record.after_reboot`)."""

    upcoming: Callable[[Instant], Instant]
    dated: Callable[[Instant], Instant]

    def of_login(self, login: Login) -> Login:
        """Move the moments of a login."""
        return replace(
            login,
            obtained_at=self.dated(login.obtained_at),
            refreshed_at=self.dated(login.refreshed_at),
            ends_at=None if login.ends_at is None else self.dated(login.ends_at),
        )


class LoginState:
    """One state, and the transitions that change nothing in most states. Use a subclass.

    ``login`` is None where there is none. ``next_at`` is when the refresh token may be sent again after a lost answer,
    ``repeats`` how often it has been since; None and 0 in the other states.
    """

    __slots__ = ()

    login: Login | None
    next_at: Instant | None
    repeats: int
    is_exchanging: ClassVar[bool] = False
    is_required: ClassVar[bool] = False
    # Whether the server may have spent the refresh token in an exchange whose answer did not say so.
    may_be_spent: ClassVar[bool] = False

    def journalled(self) -> "LoginState":
        """Note that the refresh token is about to be sent."""
        return self

    def not_delivered(self) -> "LoginState":
        """End an exchange that never reached the server."""
        return self

    def undecided(self, *, may_be_spent: bool) -> "LoginState":  # noqa: ARG002  # for an exchange
        """End an exchange that the server answered without a decision; it may have spent the refresh token."""
        return self

    def lost(self, next_at: Instant) -> "LoginState":  # noqa: ARG002  # for an exchange
        """End an exchange whose answer nobody knows; the refresh token may be sent again at ``next_at``."""
        return self

    def refused(self) -> "LoginState":
        """End an exchange in which the server refused the refresh token, or note that there is none to be sent."""
        return self

    def hastened(self, now: Instant) -> "LoginState":  # noqa: ARG002  # for states that wait
        """Let one exchange be made now, because an admin asked for it."""
        return self

    def granted(self, login: Login) -> "LoginState":
        """Hold the login that an answer has brought, or that a person has."""
        return Ready(login)

    def moved(self, moves: LoginMoves) -> "LoginState":
        """Give the state the boot times of another boot."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class NoLogin(LoginState):
    """There is no login."""

    login: ClassVar[None] = None  # type: ignore[misc]
    next_at: ClassVar[None] = None  # type: ignore[misc]
    repeats: ClassVar[int] = 0  # type: ignore[misc]

    def refused(self) -> LoginState:
        """Require a login: there is none, and none is configured."""
        return Required(None)

    def moved(self, moves: LoginMoves) -> LoginState:  # noqa: ARG002  # it has no moments
        """Stay as it is."""
        return self


@dataclass(frozen=True, slots=True)
class Ready(LoginState):
    """A login whose refresh token may be sent. ``may_be_spent``: the next refusal is final."""

    login: Login
    may_be_spent: bool = False  # type: ignore[misc]

    next_at: ClassVar[None] = None  # type: ignore[misc]
    repeats: ClassVar[int] = 0  # type: ignore[misc]

    def journalled(self) -> LoginState:
        """Begin an exchange."""
        return Exchanging(self)

    def refused(self) -> LoginState:
        """Require a login where only the access token could be sent, and it has ended."""
        return _without_access_token(self)

    def moved(self, moves: LoginMoves) -> LoginState:
        """Move the login."""
        return replace(self, login=moves.of_login(self.login))


@dataclass(frozen=True, slots=True)
class RefusedOnce(LoginState):
    """The server refused a refresh token that it had accepted before, and nothing was lost: it is sent once more."""

    login: Login

    next_at: ClassVar[None] = None  # type: ignore[misc]
    repeats: ClassVar[int] = 0  # type: ignore[misc]

    def journalled(self) -> LoginState:
        """Begin the second exchange."""
        return Exchanging(self)

    def refused(self) -> LoginState:
        """Require a login where only the access token could be sent, and it has ended."""
        return _without_access_token(self)

    def moved(self, moves: LoginMoves) -> LoginState:
        """Move the login."""
        return RefusedOnce(moves.of_login(self.login))


@dataclass(frozen=True, slots=True)
class Lost(LoginState):
    """An answer was lost. Before each repeat the server must answer something harmless (`WithLogin.probe_server`)."""

    login: Login
    next_at: Instant
    repeats: int = 0

    may_be_spent: ClassVar[bool] = True

    def journalled(self) -> LoginState:
        """Begin a repeat."""
        return Exchanging(self)

    def refused(self) -> LoginState:
        """Require a login where only the access token could be sent, and it has ended."""
        return _without_access_token(self)

    def hastened(self, now: Instant) -> LoginState:
        """Let the repeat be made now."""
        return replace(self, next_at=now)

    def moved(self, moves: LoginMoves) -> LoginState:
        """Move the login and the next repeat."""
        return Lost(moves.of_login(self.login), moves.upcoming(self.next_at), self.repeats)


Sendable: TypeAlias = Ready | RefusedOnce | Lost


@dataclass(frozen=True, slots=True)
class Exchanging(LoginState):
    """The journal of one exchange: the state ``before`` it."""

    before: Sendable

    next_at: ClassVar[None] = None  # type: ignore[misc]
    is_exchanging: ClassVar[bool] = True

    @property
    def login(self) -> Login:  # type: ignore[override]
        """The login whose refresh token is sent."""
        return self.before.login

    @property
    def repeats(self) -> int:  # type: ignore[override]
        """The number of repeats, with this one."""
        return self.before.repeats + 1 if self.is_repeat else 0

    @property
    def is_repeat(self) -> bool:
        """Whether the refresh token has been sent before, and the answer was lost."""
        return isinstance(self.before, Lost)

    @property
    def may_be_spent(self) -> bool:  # type: ignore[override]
        """Whether the server may have spent the refresh token before this exchange."""
        return self.is_repeat or (isinstance(self.before, Ready) and self.before.may_be_spent)

    def not_delivered(self) -> LoginState:
        """Return to the state before."""
        return self.before

    def undecided(self, *, may_be_spent: bool) -> LoginState:
        """Keep the refresh token. That it may be spent is known until another one comes."""
        if isinstance(self.before, RefusedOnce):
            return self.before
        return Ready(self.login, may_be_spent=may_be_spent or self.may_be_spent)

    def lost(self, next_at: Instant) -> LoginState:
        """Keep the refresh token, for another repeat."""
        return Lost(self.login, next_at, self.repeats)

    def refused(self) -> LoginState:
        """Believe the refusal, unless the refresh token was accepted before, is surely unspent, and this is the
        first."""
        surprising = isinstance(self.before, Ready) and self.login.was_accepted and not self.may_be_spent
        return RefusedOnce(self.login) if surprising else Required(self.login)

    def moved(self, moves: LoginMoves) -> LoginState:
        """Move the state before."""
        before = self.before.moved(moves)
        assert isinstance(before, Ready | RefusedOnce | Lost)  # noqa: S101  # a move changes no class
        return Exchanging(before)


@dataclass(frozen=True, slots=True)
class Required(LoginState):
    """Only a person brings another login. ``login`` is the one that the server refused, None where there was none."""

    login: Login | None

    next_at: ClassVar[None] = None  # type: ignore[misc]
    repeats: ClassVar[int] = 0  # type: ignore[misc]
    is_required: ClassVar[bool] = True

    def hastened(self, now: Instant) -> LoginState:  # noqa: ARG002  # it waits for no moment
        """Try the refused refresh token once more: the next refusal is final."""
        return self if self.login is None or self.login.refresh_token is None else Ready(self.login, may_be_spent=True)

    def moved(self, moves: LoginMoves) -> LoginState:
        """Move the login."""
        return Required(None if self.login is None else moves.of_login(self.login))


def _without_access_token(state: Sendable) -> LoginState:
    return state if state.login.refresh_token is not None else Required(state.login)


NO_LOGIN = NoLogin()

_STAYS = ("not_delivered", "undecided", "lost", "refused")


def _row(kind: type[LoginState], **others: tuple[type[LoginState], ...]) -> Mapping[str, tuple[type[LoginState], ...]]:
    stays = dict.fromkeys((*_STAYS, "journalled", "hastened"), (kind,))
    return {**stays, "granted": (Ready,), **others}


# From a state, by a transition: the states that may follow. Several where the state before the exchange decides.
TRANSITIONS: Mapping[type[LoginState], Mapping[str, tuple[type[LoginState], ...]]] = MappingProxyType(
    {
        NoLogin: _row(NoLogin, refused=(Required,)),
        Ready: _row(Ready, journalled=(Exchanging,), refused=(Ready, Required)),
        RefusedOnce: _row(RefusedOnce, journalled=(Exchanging,), refused=(RefusedOnce, Required)),
        Lost: _row(Lost, journalled=(Exchanging,), refused=(Lost, Required)),
        Exchanging: _row(
            Exchanging,
            not_delivered=(Ready, RefusedOnce, Lost),
            undecided=(Ready, RefusedOnce),
            lost=(Lost,),
            refused=(RefusedOnce, Required),
        ),
        Required: _row(Required, hastened=(Required, Ready)),
    }
)
