"""Probes of rejected credentials of on-demand kinds: the queries of real callers that are let through. Pure.

A vendor may have rejected good credentials for a while (an account that was locked, a fault of its own), and an
on-demand kind has no timer that finds out. So one query is sent after 5, 10, 20 and 40 minutes, then one per hour. A
vendor that locks out who tries again sees no more than that.
"""

from dataclasses import replace

from tokend.engine.records.adrift import seconds_until
from tokend.engine.records.attempt_states import Probe, Rejected
from tokend.engine.records.record import Record
from tokend.values.instant import Instant

# Before each probe, counted from the rejection or from the probe before; the last pause repeats.
PAUSES_SECONDS = (300.0, 600.0, 1200.0, 2400.0, 3600.0)


def with_first_probe(record: Record, now: Instant) -> Record:
    """Plan the first probe of credentials that have just been rejected. A probe that was planned before stays."""
    attempts = record.attempts
    if not isinstance(attempts, Rejected) or attempts.probe is not None:
        return record
    return replace(record, attempts=replace(attempts, probe=_planned(0, now)))


def next_probe(record: Record, now: Instant) -> Instant | None:
    """Return when a query may be sent as a probe; None where the credentials are not rejected, or at once."""
    attempts = record.attempts
    probe = attempts.probe if isinstance(attempts, Rejected) else None
    return None if probe is None else now.after(seconds_until(probe.at, now))  # on the wall clock of now


def is_due(record: Record, now: Instant) -> bool:
    """Return whether a query may be sent although the credentials are rejected."""
    at = next_probe(record, now)
    return at is None or now.until(at) <= 0


def probing(record: Record, now: Instant) -> Record:
    """Count a probe that is about to be sent, and plan the next one. To be saved before the probe is sent."""
    attempts = record.attempts
    if not isinstance(attempts, Rejected):
        return record
    made = 1 if attempts.probe is None else attempts.probe.made + 1
    return replace(record, attempts=replace(attempts, probe=_planned(made, now)))


def unheard(record: Record, now: Instant) -> Record:
    """Repeat the last pause: the probe failed, but the vendor did not judge the credentials."""
    attempts = record.attempts
    if not isinstance(attempts, Rejected) or attempts.probe is None:
        return record
    return replace(record, attempts=replace(attempts, probe=_planned(max(0, attempts.probe.made - 1), now)))


def _planned(made: int, now: Instant) -> Probe:
    return Probe(made, now.after(PAUSES_SECONDS[min(made, len(PAUSES_SECONDS) - 1)]))
