"""`Record`: all that must be remembered of one provider across a restart, and its form on disk.

Times are kept on both lines together with the boot id. After a reboot the boot line is void and is laid anew from
the wall clock: that is the only moment at which the wall clock is believed for a duration.
"""

from dataclasses import dataclass, replace

from tokend.machine.clock import is_plausible
from tokend.values.instant import Instant
from tokend.values.status import Failure
from tokend.values.tokens import Lease

# The longest pause that an upstream can ask for (`http.verdict`): a wall clock that moved must not make it longer.
LONGEST_PAUSE_SECONDS = 3600.0
# Where the wall clock shows a time before the last attempt, it tells nothing of the next. Our own pauses are no longer
# than this.
LONGEST_PAUSE_WITHOUT_A_CLOCK_SECONDS = 300.0
# Less is slewing.
DRIFT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of one provider.

    ``account`` says whose token ``lease`` is, ``request`` what was last asked (`identity`); ``proven`` is the
    fingerprint of the secrets that last brought a token. ``generation`` is the last one ever used. ``lead_seconds``
    and ``jitter`` are what ``lease.refresh_at`` was made of. ``adrift`` says that the lease is from an earlier boot.
    ``last_attempt`` is when the last attempt ended, or began where its end is not known; ``next_attempt`` when the
    next may be after a failure, or after an attempt whose end is not known (None: neither, or none by timer);
    ``host_pause`` until when ``paused_host`` asked to be left alone; ``failing_since`` when the first of ``failures``
    in a row was. ``verdicts`` counts verdicts on the credentials since the last success; ``rejected`` is the
    fingerprint of the secrets that were rejected, None if they were not. ``withdrawn`` says that the sinks must not
    hold the last token any longer. ``cost`` is how many requests the last failed attempt took; ``under_way`` says that
    nobody knows yet what came of the last attempt.
    """

    lease: Lease | None = None
    account: str | None = None
    request: str | None = None
    proven: str | None = None
    generation: int = 0
    lead_seconds: float | None = None
    jitter: float = 0.0
    adrift: bool = False
    last_attempt: Instant | None = None
    next_attempt: Instant | None = None
    host_pause: Instant | None = None
    paused_host: str | None = None
    failures: int = 0
    failing_since: Instant | None = None
    verdicts: int = 0
    rejected: str | None = None
    withdrawn: bool = False
    last_error: Failure | None = None
    cost: int = 1  # an outage has a budget of requests, not of attempts
    under_way: bool = False


def re_anchored(record: Record, now: Instant) -> Record:
    """The record with the times of a lease from an earlier boot as the wall clock tells them now.

    A clock that was wrong at boot is set soon after; until the first token of this boot, the wall is all there is.
    While it shows a time before the lease began (or no time at all), nothing can be said, and nothing changes.
    """
    if record.lease is None or not record.adrift or not is_plausible(now.wall):
        return record
    issued = record.lease.token.issued_at
    age = (now.wall - issued.wall).total_seconds()
    if age < 0 or abs(age - issued.until(now)) < DRIFT_SECONDS:
        return record
    return replace(record, lease=_dated(record.lease, now.boot - age))


def after_reboot(record: Record, now: Instant) -> Record:
    """Lay the boot line anew. Pauses last at most as long as pauses do, and nothing expires on an absurd clock."""
    lease = record.lease
    if lease is not None:
        age = (now.wall - lease.token.issued_at.wall).total_seconds() if is_plausible(now.wall) else 0.0
        lease = _dated(lease, now.boot - max(age, 0.0))
    # It was before this boot; how long before, a clock that may be wrong does not tell. The floors that count from it
    # are over when most machines have booted.
    last_attempt = None if record.last_attempt is None else now.after(-min(now.boot, LONGEST_PAUSE_SECONDS))
    behind = record.last_attempt is not None and record.last_attempt.wall > now.wall
    longest = LONGEST_PAUSE_WITHOUT_A_CLOCK_SECONDS if behind else LONGEST_PAUSE_SECONDS
    return replace(
        record,
        lease=lease,
        adrift=lease is not None,
        last_attempt=last_attempt,
        failing_since=_within(record.failing_since, now, earliest=-LONGEST_PAUSE_SECONDS, latest=0.0),
        next_attempt=_within(record.next_attempt, now, earliest=0.0, latest=longest),
        host_pause=_within(record.host_pause, now, earliest=0.0, latest=LONGEST_PAUSE_SECONDS),
    )


def _dated(lease: Lease, issued_boot: float) -> Lease:
    """The lease with its boot line beginning at ``issued_boot``; its wall times and its life stay."""
    origin = lease.token.issued_at.wall

    def moved(moment: Instant | None) -> Instant | None:
        return None if moment is None else replace(moment, boot=issued_boot + (moment.wall - origin).total_seconds())

    token = replace(
        lease.token,
        issued_at=replace(lease.token.issued_at, boot=issued_boot),
        expires_at=moved(lease.token.expires_at),
    )
    return replace(lease, token=token, refresh_at=moved(lease.refresh_at))


def _within(moment: Instant | None, now: Instant, *, earliest: float, latest: float) -> Instant | None:
    if moment is None:
        return None
    return now.after(min(max((moment.wall - now.wall).total_seconds(), earliest), latest))
