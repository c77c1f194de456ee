"""`LoginRecord`: everything that is remembered of one provider's logins. Pure.

A login outlives access tokens, `forget`, and a changed table. One whose client or kind is not the table's is set aside:
it is used again when the table is changed back, and dropped after 30 days.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from tokend.engine.records.login_states import NO_LOGIN, LoginMoves, LoginState
from tokend.values.instant import Instant
from tokend.values.logins import Login, LoginClient
from tokend.values.secret import Secret

ASIDE_SECONDS = 30 * 86400.0


@dataclass(frozen=True, slots=True)
class SetAside:
    """A login that is not in use since ``at``. ``initial`` is that of its `LoginRecord`.

    ``logged_out``: a person ended it here. It is kept until the server has confirmed, and is never used again.
    """

    state: LoginState
    at: Instant
    initial: str | None = None
    logged_out: bool = False

    @property
    def refresh_token(self) -> Secret | None:
        """What identifies the login: times get other values at a reboot."""
        return None if self.state.login is None else self.state.login.refresh_token

    def is_over(self, now: Instant) -> bool:
        """Return whether it has been kept for long enough, on both time lines: no clock that is set drops a login."""
        return -now.until(self.at) >= ASIDE_SECONDS and (now.wall - self.at.wall).total_seconds() >= ASIDE_SECONDS

    def fits(self, client: LoginClient) -> bool:
        """Return whether a table with this client uses it again."""
        return not self.logged_out and self.state.login is not None and self.state.login.client == client


@dataclass(frozen=True, slots=True)
class LoginRecord:
    """The login in use, and those set aside, the oldest first.

    ``initial`` is the digest of the configured (initial) refresh token that was used last, None if none was.
    ``end_moves``: a refresh has moved the end of the login in use. ``notices`` are those that persons have got about
    this login (`policy.login_notices`).
    """

    state: LoginState = NO_LOGIN
    initial: str | None = None
    aside: tuple[SetAside, ...] = ()
    end_moves: bool = False
    notices: tuple[str, ...] = ()

    @property
    def login(self) -> Login | None:
        """The login in use."""
        return self.state.login

    def has_over(self, now: Instant) -> bool:
        """Return whether a login that was set aside has been kept for long enough."""
        return bool(self.aside) and any(one.is_over(now) for one in self.aside)

    def without_over(self, now: Instant) -> "LoginRecord":
        """Drop the logins that were set aside and have been kept for long enough."""
        kept = tuple(one for one in self.aside if not one.is_over(now))
        return self if len(kept) == len(self.aside) else replace(self, aside=kept)

    def for_client(self, client: LoginClient | None, now: Instant) -> "LoginRecord":
        """Set the login of another client aside, use the one of this client again, and drop what is over.

        ``client`` is None for settings that use no login.
        """
        record = self.without_over(now)
        if record.login is not None and record.login.client != client:
            record = record.without_login(now)
        elif record.login is None and client is None:
            record = replace(record, state=NO_LOGIN)
        if client is None or record.login is not None:
            return record
        fitting = [one for one in record.aside if one.fits(client)]
        if not fitting:
            return record
        newest = fitting[-1]
        rest = tuple(one for one in record.aside if one is not newest)
        return LoginRecord(newest.state, newest.initial, rest)

    def without_login(self, now: Instant, *, logged_out: bool = False) -> "LoginRecord":
        """Set the login in use aside. Its initial refresh token still counts as used if the server may have spent it.

        A refresh token that no server has accepted may be used again: the table named the wrong client or server.
        """
        if (login := self.login) is None:
            return self
        aside = (*self.aside, SetAside(self.state, now, self.initial, logged_out))
        is_used = logged_out or login.origin is not None or self.state.is_exchanging or self.state.may_be_spent
        return LoginRecord(NO_LOGIN, self.initial if is_used else None, aside)

    @property
    def kept(self) -> Login | None:
        """The login in use, else the one that was set aside last and is not ended."""
        aside = (one.state.login for one in reversed(self.aside) if not one.logged_out)
        return self.login or next(aside, None)

    @property
    def logged_out(self) -> tuple[Login, ...]:
        """The logins that a person has ended."""
        found = (one.state.login for one in self.aside if one.logged_out)
        return tuple(login for login in found if login is not None)

    def without_aside(self, ended: Collection[Login]) -> "LoginRecord":
        """Drop the logins that are not in use, but for those that a person has ended and that are not in ``ended``."""
        known = [login.refresh_token for login in ended]
        return replace(
            self, aside=tuple(one for one in self.aside if one.logged_out and one.refresh_token not in known)
        )

    def with_aside(self, other: "LoginRecord", now: Instant) -> "LoginRecord":
        """Set the logins of another record aside here: its name is taken."""
        older = other.without_login(now).aside
        return replace(self, aside=(*older, *self.aside)) if older else self

    def moved(self, moves: LoginMoves) -> "LoginRecord":
        """Give every login the boot times of another boot."""
        aside = tuple(replace(one, state=one.state.moved(moves), at=moves.dated(one.at)) for one in self.aside)
        return replace(self, state=self.state.moved(moves), aside=aside)


NO_LOGINS = LoginRecord()
