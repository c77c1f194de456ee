"""`Record`: all that must be remembered of one provider across a restart, and its form on disk.

Times are kept on both lines together with the boot id. After a reboot the boot line is void and is laid anew from
the wall clock: that is the only moment at which the wall clock is believed for a duration.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

import orjson

from tokend.machine.clock import is_plausible
from tokend.values.errors import StoreError
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.status import Failure
from tokend.values.tokens import JSON, Lease, Token

T = TypeVar("T")

VERSION = 1
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


def dump(name: str, record: Record, boot_id: str) -> bytes:
    """Write a record as JSON. It holds the token in clear: for a 0600 file in the state directory only."""
    lease = record.lease
    return orjson.dumps(
        {
            "version": VERSION,
            "name": name,
            "boot_id": boot_id,
            "lease": None
            if lease is None
            else {
                "token": _dump_token(lease.token),
                "generation": lease.generation,
                "refresh_at": _dump_instant(lease.refresh_at),
                "fingerprint": lease.fingerprint,
            },
            "account": record.account,
            "request": record.request,
            "proven": record.proven,
            "generation": record.generation,
            "lead_seconds": record.lead_seconds,
            "jitter": record.jitter,
            "adrift": record.adrift,
            "last_attempt": _dump_instant(record.last_attempt),
            "next_attempt": _dump_instant(record.next_attempt),
            "host_pause": _dump_instant(record.host_pause),
            "paused_host": record.paused_host,
            "failures": record.failures,
            "failing_since": _dump_instant(record.failing_since),
            "verdicts": record.verdicts,
            "rejected": record.rejected,
            "withdrawn": record.withdrawn,
            "cost": record.cost,
            "under_way": record.under_way,
            "last_error": None
            if record.last_error is None
            else {
                "reason": record.last_error.reason,
                "detail": record.last_error.detail,
                "at": record.last_error.at.isoformat(),
            },
        },
        option=orjson.OPT_INDENT_2,
    )


def load(content: bytes, *, boot_id: str, now: Instant) -> tuple[str, Record]:
    """Read what `dump` wrote. Raises `StoreError` (naming no content) where it is anything else."""
    try:
        document = orjson.loads(content)
        if document["version"] != VERSION:
            raise StoreError(f"it has version {document['version']!r}, this tokend reads version {VERSION}")
        record = _load_record(document)
        same_boot = bool(boot_id) and document["boot_id"] == boot_id
        return _text(document["name"]), record if same_boot else _after_reboot(record, now)
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
        raise StoreError("it is damaged: not a record that tokend wrote") from None


def laid_anew(record: Record, now: Instant) -> Record:
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


def _after_reboot(record: Record, now: Instant) -> Record:
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


def _load_record(document: Mapping[str, Any]) -> Record:
    lease, error = document["lease"], document["last_error"]
    return Record(
        lease=None
        if lease is None
        else Lease(
            name=_text(document["name"]),
            token=_load_token(lease["token"]),
            generation=_count(lease["generation"]),
            refresh_at=_load_instant(lease["refresh_at"]),
            fingerprint=_text(lease["fingerprint"]),
        ),
        account=_maybe(_text, document["account"]),
        request=_maybe(_text, document["request"]),
        proven=_maybe(_text, document["proven"]),
        generation=_count(document["generation"]),
        lead_seconds=_maybe(_number, document["lead_seconds"]),
        jitter=_number(document["jitter"]),
        adrift=_flag(document["adrift"]),
        last_attempt=_load_instant(document["last_attempt"]),
        next_attempt=_load_instant(document["next_attempt"]),
        host_pause=_load_instant(document["host_pause"]),
        paused_host=_maybe(_text, document["paused_host"]),
        failures=_count(document["failures"]),
        failing_since=_load_instant(document["failing_since"]),
        verdicts=_count(document["verdicts"]),
        rejected=_maybe(_text, document["rejected"]),
        withdrawn=_flag(document["withdrawn"]),
        # Early versions wrote neither.
        cost=_count(document.get("cost", 1)),
        under_way=_flag(document.get("under_way", False)),
        last_error=None
        if error is None
        else Failure(_text(error["reason"]), _text(error["detail"]), _aware(error["at"])),
    )


def _dump_token(token: Token) -> dict[str, Any]:
    return {
        "value": token.value.reveal(),
        "token_type": token.token_type,
        "issued_at": _dump_instant(token.issued_at),
        "expires_at": _dump_instant(token.expires_at),
        "headers": {name: value.reveal() for name, value in token.headers.items()},
        "extra": {
            key: {"secret": value.reveal()} if isinstance(value, Secret) else {"plain": value}
            for key, value in token.extra.items()
        },
        "renewal": None if token.renewal is None else token.renewal.reveal(),
    }


def _load_token(document: Mapping[str, Any]) -> Token:
    extra: dict[str, JSON | Secret] = {
        key: Secret(_text(value["secret"])) if "secret" in value else value["plain"]
        for key, value in document["extra"].items()
    }
    issued_at = _load_instant(document["issued_at"])
    if issued_at is None:
        raise ValueError("issued_at")
    return Token(
        value=Secret(_text(document["value"])),
        token_type=_text(document["token_type"]),
        issued_at=issued_at,
        expires_at=_load_instant(document["expires_at"]),
        headers={name: Secret(_text(value)) for name, value in document["headers"].items()},
        extra=extra,
        renewal=_maybe(lambda value: Secret(_text(value)), document["renewal"]),
    )


def _dump_instant(instant: Instant | None) -> list[Any] | None:
    return None if instant is None else [instant.wall.isoformat(), instant.boot]


def _load_instant(value: Any) -> Instant | None:
    return None if value is None else Instant(_aware(value[0]), _number(value[1]))


# A value of another type would be believed now and break what uses it later, at each start anew.
def _maybe(read: Callable[[Any], T], value: Any) -> T | None:
    return None if value is None else read(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("no number")
    return float(value)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("no whole number")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("no flag")
    return value


def _aware(value: Any) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("naive time")
    return moment
