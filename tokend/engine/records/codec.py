"""The JSON form of a `Record` in a state file: encode, decode, version. Pure."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

import orjson

from tokend.engine.records.record import Record, after_reboot
from tokend.values.errors import StoreError
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.status import Failure
from tokend.values.tokens import JSON, Lease, Token

T = TypeVar("T")
VERSION = 1


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
        return _text(document["name"]), record if same_boot else after_reboot(record, now)
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
        raise StoreError("it is damaged: not a record that tokend wrote") from None


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
