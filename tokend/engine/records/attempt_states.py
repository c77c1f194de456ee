"""States of a provider's attempts, and the table of transitions between them. Pure.

Rules:

1. A request is noted (`UnderWay`) and saved before it is sent: a crash must not forget the request.
2. A success ends a run of failures (`Settled`).
3. A failure that says nothing about the credentials leads to `Failing`. It does not lead out of `Rejected`.
4. Rejected credentials lead to `Rejected`: no timer makes another attempt. `policy.failure` says what a rejection is,
   `policy.probes` which queries of on-demand kinds are sent nevertheless.
5. Only a success, other settings or secrets, or a person leads out of `Rejected` (``resumed``). Where requests are sent
   elsewhere, or in another way, the failures are forgotten, too (``without_failures``).
6. The daemon may die during an attempt, and a reload may cancel one. Such an attempt counts as ``interrupted``: the
   next attempt waits until the moment that was noted.

A state holds only its own fields. What the other states have is a class attribute, so that every state can be read
alike: ``last_attempt``, ``next_attempt``, ``failures``, ``rejected_secrets``. `TRANSITIONS` is the table; a test walks
through it. A new state is a class here, a row of the table, and its members in `codec`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import ClassVar

from tokend.values.instant import Instant
from tokend.values.status import Failure


@dataclass(frozen=True, slots=True)
class Failures:
    """Failed attempts since the last success.

    ``refusals`` counts those that refused the credentials. ``since`` is when the first one failed, None for on-demand
    kinds, which have no backoff. ``cost`` is the number of requests that the last one took: an outage has a budget of
    requests, not of attempts.
    """

    count: int = 0
    refusals: int = 0
    since: Instant | None = None
    last_error: Failure | None = None
    cost: int = 1


NO_FAILURES = Failures()


@dataclass(frozen=True, slots=True)
class Probe:
    """The next probe of rejected credentials of an on-demand kind: ``made`` probes failed before, ``at`` is its moment.

    A probe is a real caller's query; no timer makes it. Held kinds have none.
    """

    made: int
    at: Instant


@dataclass(frozen=True, slots=True)
class Moves:
    """Functions that give the moments of a state new boot times after a reboot (`record.after_reboot`)."""

    last_attempt: Callable[[Instant], Instant]
    next_attempt: Callable[[Instant], Instant]
    since: Callable[[Instant], Instant]

    def of_failures(self, failures: Failures) -> Failures:
        """Move the beginning of a run of failures."""
        return failures if failures.since is None else replace(failures, since=self.since(failures.since))


class AttemptState:
    """One state, and the transitions that are the same for most states. Use a subclass.

    ``last_attempt`` is when the last attempt ended, or began where its end is not known; None: no request was made.
    ``next_attempt`` is when the timer may make the next one; None: no failure delays it, or no timer makes it.
    ``rejected_secrets`` is the fingerprint of the rejected secrets.
    """

    __slots__ = ()

    last_attempt: Instant | None
    next_attempt: Instant | None
    failures: Failures
    rejected_secrets: str | None
    under_way: ClassVar[bool] = False

    def noted(self, now: Instant, next_attempt: Instant) -> "AttemptState":
        """Begin an attempt; the next one may be made at ``next_attempt`` if the result stays unknown."""
        return UnderWay(now, next_attempt, self.failures, self.rejected_secrets)

    def succeeded(self, ended: Instant | None) -> "AttemptState":
        """End an attempt that brought a token."""
        return Settled(ended)

    def failed(self, failures: Failures, *, ended: Instant | None, next_attempt: Instant | None) -> "AttemptState":
        """End an attempt after which another one may be made."""
        return Failing(ended, next_attempt, failures)

    def refused(self, failures: Failures, *, ended: Instant | None, secrets: str) -> "AttemptState":
        """End an attempt that rejected ``secrets`` for good."""
        return Rejected(ended, failures, secrets)

    def interrupted(self, now: Instant) -> "AttemptState":  # noqa: ARG002  # for states that are under way
        """End an attempt whose result nobody knows."""
        return self

    def resumed(self, refusals: int) -> "AttemptState":  # noqa: ARG002  # for states after a failure
        """Let the next attempt be made at once; ``refusals`` of the credentials still count."""
        return self

    def without_failures(self, refusals: int) -> "AttemptState":
        """Forget the failures and the backoff; ``refusals`` of the credentials still count."""
        return at_rest(self.last_attempt, None, Failures(refusals=refusals) if refusals else NO_FAILURES, None)

    def with_refusals(self, refusals: int) -> "AttemptState":
        """Count ``refusals`` of the credentials; the rest stays."""
        failures = replace(self.failures, refusals=refusals)
        return at_rest(self.last_attempt, self.next_attempt, failures, self.rejected_secrets)

    def moved(self, moves: Moves) -> "AttemptState":
        """Give the state the boot times of another boot."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Settled(AttemptState):
    """No failure since the last success, or no attempt yet."""

    last_attempt: Instant | None = None

    next_attempt: ClassVar[None] = None  # type: ignore[misc]
    failures: ClassVar[Failures] = NO_FAILURES  # type: ignore[misc]
    rejected_secrets: ClassVar[None] = None  # type: ignore[misc]

    def moved(self, moves: Moves) -> AttemptState:
        """Move the last attempt."""
        return self if self.last_attempt is None else Settled(moves.last_attempt(self.last_attempt))


@dataclass(frozen=True, slots=True)
class Interrupted(AttemptState):
    """The last attempt's result is unknown, and nothing had failed before it."""

    last_attempt: Instant | None
    next_attempt: Instant

    failures: ClassVar[Failures] = NO_FAILURES  # type: ignore[misc]
    rejected_secrets: ClassVar[None] = None  # type: ignore[misc]

    def resumed(self, refusals: int) -> AttemptState:  # noqa: ARG002  # nothing was refused
        """Forget the moment that was noted."""
        return Settled(self.last_attempt)

    def moved(self, moves: Moves) -> AttemptState:
        """Move both attempts."""
        last = None if self.last_attempt is None else moves.last_attempt(self.last_attempt)
        return Interrupted(last, moves.next_attempt(self.next_attempt))


@dataclass(frozen=True, slots=True)
class Failing(AttemptState):
    """The last attempt failed.

    ``next_attempt`` is None where the next one may be made at once, and for on-demand kinds, which have no timer.
    """

    last_attempt: Instant | None
    next_attempt: Instant | None
    failures: Failures

    rejected_secrets: ClassVar[None] = None  # type: ignore[misc]

    def resumed(self, refusals: int) -> AttemptState:
        """Drop the backoff."""
        return Failing(self.last_attempt, None, replace(self.failures, refusals=refusals))

    def moved(self, moves: Moves) -> AttemptState:
        """Move both attempts and the beginning of the failures."""
        last = None if self.last_attempt is None else moves.last_attempt(self.last_attempt)
        upcoming = None if self.next_attempt is None else moves.next_attempt(self.next_attempt)
        return Failing(last, upcoming, moves.of_failures(self.failures))


@dataclass(frozen=True, slots=True)
class Rejected(AttemptState):
    """The credentials were rejected; no timer makes another attempt. ``probe`` is None for held kinds."""

    last_attempt: Instant | None
    failures: Failures
    rejected_secrets: str
    probe: Probe | None = None

    next_attempt: ClassVar[None] = None  # type: ignore[misc]

    def failed(self, failures: Failures, *, ended: Instant | None, next_attempt: Instant | None) -> AttemptState:  # noqa: ARG002
        """Stay rejected: a secret that vanished and came back is the same secret."""
        return Rejected(ended, failures, self.rejected_secrets, self.probe)

    def refused(self, failures: Failures, *, ended: Instant | None, secrets: str) -> AttemptState:
        """Stay rejected after one more refusal."""
        return Rejected(ended, failures, secrets, self.probe)

    def with_refusals(self, refusals: int) -> AttemptState:
        """Count ``refusals`` of the credentials; the rest stays."""
        return replace(self, failures=replace(self.failures, refusals=refusals))

    def resumed(self, refusals: int) -> AttemptState:
        """Leave `Rejected`; the failures stay until a success."""
        return Failing(self.last_attempt, None, replace(self.failures, refusals=refusals))

    def moved(self, moves: Moves) -> AttemptState:
        """Move the last attempt, the beginning of the failures, and the probe."""
        last = None if self.last_attempt is None else moves.last_attempt(self.last_attempt)
        probe = None if self.probe is None else replace(self.probe, at=moves.next_attempt(self.probe.at))
        return Rejected(last, moves.of_failures(self.failures), self.rejected_secrets, probe)


@dataclass(frozen=True, slots=True)
class UnderWay(AttemptState):
    """An attempt is being made, or the daemon died during one.

    ``failures`` and ``rejected_secrets`` are those of the state before: only a result changes them.
    """

    last_attempt: Instant
    next_attempt: Instant
    failures: Failures
    rejected_secrets: str | None

    under_way: ClassVar[bool] = True

    def failed(self, failures: Failures, *, ended: Instant | None, next_attempt: Instant | None) -> AttemptState:
        """Fail as the state before would."""
        return self.interrupted(self.last_attempt).failed(failures, ended=ended, next_attempt=next_attempt)

    def interrupted(self, now: Instant) -> AttemptState:
        """Count from now: the request may have been sent as late as the daemon died."""
        return at_rest(now, self.next_attempt, self.failures, self.rejected_secrets)

    def with_refusals(self, refusals: int) -> AttemptState:
        """Count ``refusals`` of the credentials; the attempt goes on."""
        return replace(self, failures=replace(self.failures, refusals=refusals))

    def resumed(self, refusals: int) -> AttemptState:
        """Resume as the state before would."""
        return self.interrupted(self.last_attempt).resumed(refusals)

    def without_failures(self, refusals: int) -> AttemptState:
        """Forget the failures of the attempts before; this one goes on."""
        return replace(self, failures=Failures(refusals=refusals) if refusals else NO_FAILURES, rejected_secrets=None)

    def moved(self, moves: Moves) -> AttemptState:
        """Move both attempts and the beginning of the failures."""
        last, upcoming = moves.last_attempt(self.last_attempt), moves.next_attempt(self.next_attempt)
        return UnderWay(last, upcoming, moves.of_failures(self.failures), self.rejected_secrets)


def at_rest(
    last_attempt: Instant | None, next_attempt: Instant | None, failures: Failures, rejected_secrets: str | None
) -> AttemptState:
    """Choose the state between two attempts that has these values."""
    if rejected_secrets is not None:
        return Rejected(last_attempt, failures, rejected_secrets)
    if failures.count or failures.refusals:
        return Failing(last_attempt, next_attempt, failures)
    return Settled(last_attempt) if next_attempt is None else Interrupted(last_attempt, next_attempt)


_EACH: Mapping[str, tuple[type[AttemptState], ...]] = {
    "noted": (UnderWay,),
    "succeeded": (Settled,),
    "refused": (Rejected,),
}
# From a state, by a transition: the states that may follow. Several where the state before the attempt decides.
TRANSITIONS: Mapping[type[AttemptState], Mapping[str, tuple[type[AttemptState], ...]]] = MappingProxyType(
    {
        Settled: {
            **_EACH,
            "failed": (Failing,),
            "interrupted": (Settled,),
            "resumed": (Settled,),
            "without_failures": (Settled, Failing),
        },
        Interrupted: {
            **_EACH,
            "failed": (Failing,),
            "interrupted": (Interrupted,),
            "resumed": (Settled,),
            "without_failures": (Settled, Failing),
        },
        Failing: {
            **_EACH,
            "failed": (Failing,),
            "interrupted": (Failing,),
            "resumed": (Failing,),
            "without_failures": (Settled, Failing),
        },
        Rejected: {
            **_EACH,
            "failed": (Rejected,),
            "interrupted": (Rejected,),
            "resumed": (Failing,),
            "without_failures": (Settled, Failing),
        },
        UnderWay: {
            **_EACH,
            "failed": (Failing, Rejected),
            "interrupted": (Interrupted, Failing, Rejected),
            "resumed": (Settled, Failing),
            "without_failures": (UnderWay,),
        },
    }
)
