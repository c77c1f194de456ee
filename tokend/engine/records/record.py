"""`Record`: everything that must be remembered of one provider across a restart.

A record is made of three sums: the state of its token (`token_states`), the state of its attempts (`attempt_states`),
and the state of its login (`login_states`).
Moments are kept as wall time and boot time together with the boot id. After a reboot boot times are void and are
computed from the wall clock: only then is the wall clock trusted for a duration.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from tokend.engine.records import token_states
from tokend.engine.records.adrift import adrift
from tokend.engine.records.attempt_states import AttemptState, Moves, Rejected, Settled
from tokend.engine.records.documents import Document, moved
from tokend.engine.records.forgotten import Forgotten, remembered
from tokend.engine.records.login_record import NO_LOGINS, LoginRecord
from tokend.engine.records.login_states import LoginMoves, LoginState
from tokend.engine.records.seen_file import SeenFile
from tokend.engine.records.token_states import NO_TOKEN, WITHDRAWN, Held, TokenState, Withdrawn
from tokend.values.instant import Instant
from tokend.values.status import Failure
from tokend.values.tokens import Lease

# The longest pause that an upstream can ask for (`plugin.response_status`).
LONGEST_PAUSE_SECONDS = 3600.0

SETTLED = Settled()


@dataclass(frozen=True, slots=True)
class HostPause:
    """The pause that a ``host`` asked for: nothing is sent to it before ``until``."""

    host: str
    until: Instant


@dataclass(frozen=True, slots=True)
class Record:
    """The stored state of one provider.

    ``generation`` is the last one ever used under this name, that of the lease unless the record `is_outdated`.
    ``account``, ``request``, ``connection`` and ``proven`` are `fingerprints` of the last token's account, of the last
    request, of the way that it took, and of the secrets that last gave a token (None: never). ``host_pause`` is the
    last pause that a host asked for; it may be over. ``forgotten`` are the tokens that must not be published again.
    ``documents`` are public ones that the kind keeps, the oldest first. ``seen`` is not None where the login is kept in
    a login file: ``login`` is what was read there then, and is not saved here.
    """

    generation: int = 0
    account: str | None = None
    request: str | None = None
    connection: str | None = None
    proven: str | None = None
    token: TokenState = NO_TOKEN
    attempts: AttemptState = SETTLED
    host_pause: HostPause | None = None
    forgotten: tuple[Forgotten, ...] = ()
    login: LoginRecord = NO_LOGINS
    documents: tuple[Document, ...] = ()
    seen: SeenFile | None = None

    @property
    def own_login(self) -> LoginRecord:
        """The logins that are kept in this record, and in no login file."""
        return self.login if self.seen is None else self.seen.own

    @property
    def lease(self) -> Lease | None:
        """The token held, valid or not."""
        return self.token.lease

    @property
    def is_outdated(self) -> bool:
        """Whether a newer token than the one held was published: this record was read from an old state."""
        lease = self.token.lease
        return lease is not None and lease.generation < self.generation

    @property
    def withdrawn(self) -> bool:
        """Whether the sinks must not hold the last token any longer."""
        return isinstance(self.token, Withdrawn)

    @property
    def last_attempt(self) -> Instant | None:
        """When the last attempt ended, or began where its end is not known; None: no request was made."""
        return self.attempts.last_attempt

    @property
    def next_attempt(self) -> Instant | None:
        """When the next attempt may be made after a failure, or after one without a known result."""
        return self.attempts.next_attempt

    @property
    def failures(self) -> int:
        """The number of failed attempts since the last success."""
        return self.attempts.failures.count

    @property
    def last_error(self) -> Failure | None:
        """The last failure since the last success."""
        return self.attempts.failures.last_error

    @property
    def rejected(self) -> bool:
        """Whether the credentials were rejected: no timer makes an attempt."""
        return self.attempts.rejected_secrets is not None

    @property
    def requires_login(self) -> bool:
        """Whether only a person brings another login: no timer makes an attempt."""
        return self.login.state.is_required

    @property
    def has_pauses(self) -> bool:
        """Whether the record has moments that count from when it is saved (`after_reboot`)."""
        attempts = self.attempts
        probe = attempts.probe if isinstance(attempts, Rejected) else None
        moments = (attempts.next_attempt, attempts.failures.since, self.host_pause, probe, self.login.state.next_at)
        return bool(self.forgotten) or any(moment is not None for moment in moments)

    def ended(self, now: Instant) -> Instant | None:
        """Compute ``last_attempt`` for an attempt that ends now; None for kinds that make no request.

        The minimum interval counts from the end: the request left some time after the attempt began (names are
        resolved, TLS is spoken), and a vendor counts from when it arrives.
        """
        return None if self.last_attempt is None else now

    def outdated_by(self, generation: int) -> "Record":
        """Note that ``generation`` was published under this name: generations never fall. The token held stays."""
        return self if generation <= self.generation else replace(self, generation=generation)

    def without_token(self) -> "Record":
        """Take the token away; the sinks must not hold it any longer either."""
        return replace(self, token=WITHDRAWN)

    def with_login_state(self, state: LoginState) -> "Record":
        """Put the login in use into another state."""
        return replace(self, login=replace(self.login, state=state))

    def with_notices(self, notices: tuple[str, ...]) -> "Record":
        """Remember the notices about the login in use; where its login file is not made yet, in this record."""
        seen = self.seen
        if seen is not None and not seen.number:
            seen = replace(seen, own=replace(seen.own, notices=notices))
        return replace(self, login=replace(self.login, notices=notices), seen=seen)

    def with_forgotten(self, leases: Iterable[Lease | None], now: Instant) -> "Record":
        """Take the token away, and remember it and those of ``leases``: none of them may be published again."""
        return replace(self.without_token(), forgotten=remembered(self.forgotten, (*leases, self.lease), now))


def re_anchored(record: Record, now: Instant) -> Record:
    """Correct the times of a lease from an earlier boot by the wall clock of now (`token_states.re_anchored`).

    Returns the same object if nothing changes.
    """
    token = record.token
    if not isinstance(token, Held) or (after := token_states.re_anchored(token, now)) is token:
        return record
    return replace(record, token=after)


def after_reboot(record: Record, now: Instant, *, saved_at: Instant | None) -> Record:
    """Compute the times of this boot. ``saved_at`` is when the record was saved, None if that is not known.

    A pause is never longer than what was left of it when it was saved (`adrift`).
    """
    token, pause, last = record.token, record.host_pause, record.last_attempt
    # Files of 0.1.0 do not say when they were saved; pauses begin with the end of an attempt.
    saved_at = saved_at or last

    def upcoming(moment: Instant) -> Instant:
        return adrift(moment, saved_at=saved_at, now=now, earliest=0.0, latest=LONGEST_PAUSE_SECONDS)

    def past(moment: Instant) -> Instant:
        return adrift(moment, saved_at=saved_at, now=now, earliest=-LONGEST_PAUSE_SECONDS, latest=0.0)

    def dated(moment: Instant) -> Instant:
        return adrift(moment, saved_at=None, now=now, earliest=-math.inf, latest=math.inf)

    # It was before this boot. A clock that may be wrong does not say how long before; the minimum intervals that count
    # from it are over when most machines have booted.
    before_this_boot = now.after(-min(now.boot, LONGEST_PAUSE_SECONDS))
    moves = Moves(last_attempt=lambda _: before_this_boot, next_attempt=upcoming, since=past)
    return replace(
        record,
        token=token_states.after_reboot(token, now) if isinstance(token, Held) else token,
        attempts=record.attempts.moved(moves),
        host_pause=None if pause is None else replace(pause, until=upcoming(pause.until)),
        forgotten=tuple(one.after_reboot(saved_at, now) for one in record.forgotten),
        login=record.login.moved(LoginMoves(upcoming, dated)),
        documents=moved(record.documents, dated),
        seen=None if record.seen is None else record.seen.moved(LoginMoves(upcoming, dated)),
    )
