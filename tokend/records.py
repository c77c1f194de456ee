"""`Record`: all that must be remembered of one provider across a restart, and its form on disk.

Times are kept on both lines together with the boot id. After a reboot the boot line is void and is laid anew from
the wall clock: that is the only moment at which the wall clock is believed for a duration.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from tokend.errors import StoreError
from tokend.instant import Instant
from tokend.secret import Secret
from tokend.status import Failure
from tokend.tokens import JSON, Lease, Token

VERSION = 1


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of one provider.

    ``account`` and ``request`` are the fingerprints under which ``lease`` was obtained. ``generation`` is the last
    one ever used. ``last_attempt`` is when the last request was sent; ``next_attempt`` when the next may be after a
    failure (None: no failure, or none by timer). ``verdicts`` counts verdicts on the credentials in a row;
    ``rejected`` is the fingerprint of the secrets that were rejected, None if they were not. ``withdrawn`` says that
    the sinks must not hold the last token any longer.
    """

    lease: Lease | None = None
    account: str | None = None
    request: str | None = None
    generation: int = 0
    last_attempt: Instant | None = None
    next_attempt: Instant | None = None
    failures: int = 0
    verdicts: int = 0
    rejected: str | None = None
    withdrawn: bool = False
    last_error: Failure | None = None


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
            "generation": record.generation,
            "last_attempt": _dump_instant(record.last_attempt),
            "next_attempt": _dump_instant(record.next_attempt),
            "failures": record.failures,
            "verdicts": record.verdicts,
            "rejected": record.rejected,
            "withdrawn": record.withdrawn,
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
        same_boot = bool(boot_id) and document["boot_id"] == boot_id
        return document["name"], _load_record(document, lambda value: _load_instant(value, now, same_boot=same_boot))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise StoreError("it is damaged: not a record that tokend wrote") from None


def _load_record(document: Mapping[str, Any], instant: "Any") -> Record:
    lease, error = document["lease"], document["last_error"]
    return Record(
        lease=None
        if lease is None
        else Lease(
            name=document["name"],
            token=_load_token(lease["token"], instant),
            generation=int(lease["generation"]),
            refresh_at=instant(lease["refresh_at"]),
            fingerprint=str(lease["fingerprint"]),
        ),
        account=document["account"],
        request=document["request"],
        generation=int(document["generation"]),
        last_attempt=instant(document["last_attempt"]),
        next_attempt=instant(document["next_attempt"]),
        failures=int(document["failures"]),
        verdicts=int(document["verdicts"]),
        rejected=document["rejected"],
        withdrawn=bool(document["withdrawn"]),
        last_error=None
        if error is None
        else Failure(str(error["reason"]), str(error["detail"]), datetime.fromisoformat(error["at"])),
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


def _load_token(document: Mapping[str, Any], instant: "Any") -> Token:
    extra: dict[str, JSON | Secret] = {
        key: Secret(value["secret"]) if "secret" in value else value["plain"]
        for key, value in document["extra"].items()
    }
    issued_at = instant(document["issued_at"])
    if issued_at is None:
        raise ValueError("issued_at")
    return Token(
        value=Secret(document["value"]),
        token_type=str(document["token_type"]),
        issued_at=issued_at,
        expires_at=instant(document["expires_at"]),
        headers={name: Secret(value) for name, value in document["headers"].items()},
        extra=extra,
        renewal=None if document["renewal"] is None else Secret(document["renewal"]),
    )


def _dump_instant(instant: Instant | None) -> list[Any] | None:
    return None if instant is None else [instant.wall.isoformat(), instant.boot]


def _load_instant(value: Any, now: Instant, *, same_boot: bool) -> Instant | None:
    if value is None:
        return None
    wall, boot = datetime.fromisoformat(value[0]), float(value[1])
    if wall.tzinfo is None:
        raise ValueError("naive time")
    return Instant(wall, boot if same_boot else now.boot + (wall - now.wall).total_seconds())


def renamed(record: Record, name: str) -> Record:
    """The same record under another name."""
    return record if record.lease is None else replace(record, lease=replace(record.lease, name=name))
