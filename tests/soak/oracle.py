"""Comparison for reads without a token: what other clients would have held, given the same answers of the upstream.

Of each provider the answers are known in their order. A client that asks at other moments gets the same answers, one
after the other: so much of the upstream is out of anybody's hands. Two clients are compared with tokend:

- the *perfect* one: asks from half of the token's life on, and then again as soon as docs/promises.md P3 allows it (5 s
  after the end of an attempt, and what Retry-After asks for), until there is a new token;
- the *punctual* one: of docs/refreshing.md, with the longest of each random pause, and never a moment late.

What tokend did worse than the punctual client is a fault of tokend (or of a machine that had no time for it); what
that one did worse than the perfect client is the price of backing off.
"""

import bisect
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

FLOOR_SECONDS = 5.0
LEAD_SHARE = 0.5
TOKEN, BROKEN_OFF = "token", "broken off"
# From the upstream's answer to the reader's: the exchange, the disk, the loop.
SLACK_SECONDS = 2.0
NO_INTERVALS: Mapping[str, float] = {}
# From a token's answer until it is on the disk: killed before that, tokend never had it.
SAVE_SECONDS = 1.0
# From READY on, until everything that ran out meanwhile has been asked for: fifty at once, then a hundred a second.
CATCH_UP_SECONDS = 5.0
# A kept connection that is gone is seen at the next read over it.
NOTICE_SECONDS = 5.0
# The lead of half a life, and the jitter of 5 % that may make it longer.
DUE_SHARE = 0.45


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request as the upstream saw it: ``arrived`` in Unix seconds, for how long it ``took`` the client, for how
    many seconds the client had to ``pause``, and the end of the token that it got."""

    arrived: float
    what: str
    took: float
    pause: float
    expires_at: float | None

    @property
    def ended(self) -> float:
        """When the client had its answer, or gave up."""
        return self.arrived + self.took


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which a client holds no valid token: from a token's end until the next one came."""

    begins: float
    ends: float


@dataclass(frozen=True, slots=True)
class Absence:
    """A time without a daemon (Unix seconds): from the signal that ended it, past the moment when it was ``gone``, to
    the moment when the next one was READY."""

    began: float
    gone: float
    ended: float

    def excuses(self, moment: float) -> bool:
        """Return whether a read at this moment may be without a token."""
        return self.began <= moment <= self.ended + CATCH_UP_SECONDS

    def broke(self, began: float, seen: float) -> bool:
        """Return whether it broke a connection that was used since ``began`` and was seen to be broken then."""
        return began <= self.ended and self.began <= seen <= self.ended + NOTICE_SECONDS


# Seconds from the end of the n-th failed attempt in a row to the next one, given what was left of the token then.
Pause = Callable[[int, float], float]


def perfect(failures: int, seconds_left: float) -> float:
    """As soon as it is allowed."""
    return FLOOR_SECONDS


def punctual(failures: int, seconds_left: float) -> float:
    """The backoff of docs/refreshing.md, at its longest."""
    longest = min(300.0, FLOOR_SECONDS * 2.0 ** (failures - 1))
    if seconds_left > 0:
        longest = min(longest, seconds_left / 4)
    return max(FLOOR_SECONDS, longest)


def read_log(path: Path) -> dict[str, list[Attempt]]:
    """The upstream's log, by provider."""
    found: dict[str, list[Attempt]] = {}
    with path.open() as lines:
        for line in lines:
            if line.endswith("\n"):  # else it is just being written
                arrived, name, what, took, pause, expires_at = json.loads(line)
                found.setdefault(name, []).append(Attempt(arrived, what, took, pause, expires_at))
    return found


def broken_off(log: Mapping[str, Sequence[Attempt]], absences: Sequence[Absence]) -> dict[str, list[Attempt]]:
    """The log without what nobody could keep: an answer that came when there was no daemon, or that was not saved yet
    when it died, is a failure that ends with the next daemon."""
    return {name: [_broken_off(attempt, absences) for attempt in attempts] for name, attempts in log.items()}


def _broken_off(attempt: Attempt, absences: Sequence[Absence]) -> Attempt:
    for absence in absences:
        if attempt.arrived <= absence.gone and attempt.ended >= absence.began - SAVE_SECONDS:
            took = absence.ended - attempt.arrived
            return replace(attempt, what=BROKEN_OFF, took=took, pause=0.0, expires_at=None)
    return attempt


def gaps(
    attempts: Sequence[Attempt], pause: Pause, *, interval_seconds: float = 0.0, absences: Sequence[Absence] = ()
) -> Iterator[Gap]:
    """When a client with this pause would have been without a valid token, in order. The first token's wait counts from
    the first attempt, for before it nobody had anything. ``interval_seconds`` is the vendor's least pause; and nobody
    asks while he is absent."""

    def longest(failures: int, seconds_left: float) -> float:
        return max(pause(failures, seconds_left), interval_seconds)

    held: Attempt | None = None
    for round_ in _rounds(attempts):
        first = round_[0].arrived if held is None else held.arrived + LEAD_SHARE * (_end(held) - held.arrived)
        expires = round_[0].arrived if held is None else _end(held)
        came = _came(round_, first, expires, longest, absences)
        if came > expires:
            yield Gap(expires, came)
        held = round_[-1]


def _rounds(attempts: Sequence[Attempt]) -> Iterator[Sequence[Attempt]]:
    """From after a token up to the next one; the last round may have none."""
    start = 0
    for index, attempt in enumerate(attempts, start=1):
        if attempt.what == TOKEN:
            yield attempts[start:index]
            start = index
    if start < len(attempts):
        yield attempts[start:]


def _came(round_: Sequence[Attempt], first: float, expires: float, pause: Pause, absences: Sequence[Absence]) -> float:
    """When the client would have had the new token; where the round has none, when it would have asked for more."""
    moment = _back(first, absences)
    for failures, attempt in enumerate(round_, start=1):
        moment += attempt.took
        if attempt.what != TOKEN:
            moment = _back(moment + max(pause(failures, expires - moment), attempt.pause), absences)
    return moment


def _back(moment: float, absences: Sequence[Absence]) -> float:
    """This moment, or when the client is back."""
    return next((absence.ended for absence in absences if absence.began <= moment < absence.ended), moment)


def _end(attempt: Attempt) -> float:
    if attempt.expires_at is None:
        raise ValueError("only a token has an end")
    return attempt.expires_at


def inexcusable(
    moments: Iterable[tuple[str, float]],
    log: Mapping[str, Sequence[Attempt]],
    pause: Pause,
    *,
    intervals: Mapping[str, float] = NO_INTERVALS,
    absences: Sequence[Absence] = (),
) -> list[tuple[str, float]]:
    """Those of these (provider, moment) in which the client held a token, and for `SLACK_SECONDS` had held it.

    ``intervals`` are the vendors' least pauses, by provider. Who is not in the log mints for himself and has no excuse.
    """
    known = {
        name: list(gaps(attempts, pause, interval_seconds=intervals.get(name, 0.0), absences=absences))
        for name, attempts in log.items()
    }
    begins = {name: [gap.begins for gap in found] for name, found in known.items()}
    found = []
    for name, moment in moments:
        index = bisect.bisect_right(begins.get(name, []), moment) - 1
        if index < 0 or moment > known[name][index].ends + SLACK_SECONDS:
            found.append((name, moment))
    return found


def shortest_pauses(log: Mapping[str, Sequence[Attempt]]) -> tuple[float, float]:
    """The least seconds between two requests of one provider: after a failure, and after a token."""
    after_failure = after_token = float("inf")
    for attempts in log.values():
        for before, now in itertools.pairwise(attempts):
            seconds = now.arrived - before.arrived
            if before.what == TOKEN:
                after_token = min(after_token, seconds)
            else:
                after_failure = min(after_failure, seconds)
    return after_failure, after_token


def most_early(log: Mapping[str, Sequence[Attempt]]) -> float:
    """By how many seconds a request came before the token held was due for one, at most; negative where none did.

    A daemon that asks at its start for what it holds already would show here.
    """
    return max(
        (
            DUE_SHARE * (_end(before) - before.arrived) - (now.arrived - before.arrived)
            for attempts in log.values()
            for before, now in itertools.pairwise(attempts)
            if before.what == TOKEN
        ),
        default=0.0,
    )


def busiest_minute(log: Mapping[str, Sequence[Attempt]]) -> int:
    """The most requests that one provider made within 60 s."""
    most = 0
    for attempts in log.values():
        first = 0
        for index, attempt in enumerate(attempts):
            while attempt.arrived - attempts[first].arrived > 60:
                first += 1
            most = max(most, index - first + 1)
    return most
