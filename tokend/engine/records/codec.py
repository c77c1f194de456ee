"""The JSON form of a `Record` in a state file: encode, decode, version. Pure.

The form of version 1 is flat, as 0.1.0 wrote it: the members of all states stand side by side, and those that a state
does not have are null, 0 or false (docs/decisions/0012). The count of refusals has the name that 0.1.0 gave it.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

import orjson

from tokend.engine.records.adrift import Adrift
from tokend.engine.records.attempt_states import NO_FAILURES, AttemptState, Failures, Probe, Rejected, UnderWay, at_rest
from tokend.engine.records.forgotten import Forgotten
from tokend.engine.records.record import HostPause, Record, after_reboot
from tokend.engine.records.token_states import NO_TOKEN, WITHDRAWN, Held, TokenState
from tokend.values.errors import StoreError
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.status import Failure
from tokend.values.tokens import JSON, Lease, Token

T = TypeVar("T")
VERSION = 1


def dump(name: str, record: Record, boot_id: str, saved_at: Instant | None = None) -> bytes:
    """Encode a record as JSON. It holds the token in clear: for a 0600 file in the state directory only.

    ``saved_at`` is now, None if nothing of the record counts from it.
    """
    held = record.token if isinstance(record.token, Held) else None
    attempts, failures, pause = record.attempts, record.attempts.failures, record.host_pause
    probe = attempts.probe if isinstance(attempts, Rejected) else None
    return orjson.dumps(
        {
            "version": VERSION,
            "name": name,
            "boot_id": boot_id,
            "lease": None if held is None else _dump_lease(held.lease),
            "account": record.account,
            "request": record.request,
            "proven": record.proven,
            "generation": record.generation,
            "lead_seconds": None if held is None else held.lead_seconds,
            "jitter": 0.0 if held is None else held.jitter,
            "adrift": held is not None and held.adrift,
            "last_attempt": _dump_instant(attempts.last_attempt),
            "next_attempt": _dump_instant(attempts.next_attempt),
            "host_pause": None if pause is None else _dump_instant(pause.until),
            "paused_host": None if pause is None else pause.host,
            "failures": failures.count,
            "failing_since": _dump_instant(failures.since),
            "verdicts": failures.refusals,
            "rejected": attempts.rejected_secrets,
            **({} if probe is None else {"probes": probe.made, "next_probe": _dump_instant(probe.at)}),
            "withdrawn": record.withdrawn,
            "cost": failures.cost,
            "under_way": attempts.under_way,
            "last_error": _dump_failure(failures.last_error),
            # 0.1.0 ignores members that it does not know.
            **({} if held is None or held.max_age_seconds is None else {"max_age_seconds": held.max_age_seconds}),
            **({} if record.connection is None else {"connection": record.connection}),
            **({} if saved_at is None else {"saved_at": _dump_instant(saved_at)}),
            **({"forgotten": _dump_forgotten(record.forgotten)} if record.forgotten else {}),
        },
        option=orjson.OPT_INDENT_2,
    )


def load(content: bytes, *, boot_id: str, now: Instant) -> tuple[str, Record]:
    """Decode what `dump` encoded, by this version or by 0.1.0. Raises `StoreError` for anything else, quoting nothing.

    Boot times of another boot are replaced by ones computed from the wall clock.
    """
    try:
        document = orjson.loads(content)
        if document["version"] != VERSION:
            raise StoreError(f"it has version {document['version']!r}, this tokend reads version {VERSION}")
        record = _record(document)
        saved_at = _load_instant(document.get("saved_at"))
        same_boot = bool(boot_id) and document["boot_id"] == boot_id
        return _text(document["name"]), record if same_boot else after_reboot(record, now, saved_at=saved_at)
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
        raise StoreError("it is damaged: not a record that tokend wrote") from None


def _record(document: Mapping[str, Any]) -> Record:
    return Record(
        generation=_count(document["generation"]),
        account=_maybe(_text, document["account"]),
        request=_maybe(_text, document["request"]),
        connection=_maybe(_text, document.get("connection")),
        proven=_maybe(_text, document["proven"]),
        token=_token_state(document),
        attempts=_attempt_state(document),
        host_pause=_host_pause(document),
        forgotten=tuple(
            Forgotten(fingerprint, _load_instant(until)) for fingerprint, until in document.get("forgotten", {}).items()
        ),
    )


def _token_state(document: Mapping[str, Any]) -> TokenState:
    lease, lead, withdrawn = document["lease"], document["lead_seconds"], _flag(document["withdrawn"])
    lead = None if lead is None else _number(lead)
    jitter, adrift = _number(document["jitter"]), _flag(document["adrift"])
    if lease is None:
        return WITHDRAWN if withdrawn else NO_TOKEN
    max_age = _maybe(_number, document.get("max_age_seconds"))
    return Held(_load_lease(_text(document["name"]), lease), lead, jitter, adrift, max_age)


def _attempt_state(document: Mapping[str, Any]) -> AttemptState:
    last, upcoming = _load_instant(document["last_attempt"]), _load_instant(document["next_attempt"])
    rejected, failures = _maybe(_text, document["rejected"]), _failures(document)
    # Versions before 0.1.0 did not write ``under_way``.
    if _flag(document.get("under_way", False)) and last is not None and upcoming is not None:
        return UnderWay(last, upcoming, failures, rejected)
    state = at_rest(last, upcoming, failures, rejected)
    # 0.1.0 knew no probes.
    made, at = _count(document.get("probes", 0)), _load_instant(document.get("next_probe"))
    return replace(state, probe=Probe(made, at)) if isinstance(state, Rejected) and at is not None else state


def _failures(document: Mapping[str, Any]) -> Failures:
    count, refusals = _count(document["failures"]), _count(document["verdicts"])
    cost = _count(document.get("cost", 1))  # versions before 0.1.0 did not write it
    since, error = document["failing_since"], document["last_error"]
    if not count and not refusals and since is None and error is None:
        return NO_FAILURES  # nearly all records
    return Failures(count, refusals, _load_instant(since), _load_failure(error), cost)


def _host_pause(document: Mapping[str, Any]) -> HostPause | None:
    host, until = _maybe(_text, document["paused_host"]), _load_instant(document["host_pause"])
    return None if host is None or until is None else HostPause(host, until)


def _dump_lease(lease: Lease) -> dict[str, Any]:
    return {
        "token": _dump_token(lease.token),
        "generation": lease.generation,
        "refresh_at": _dump_instant(lease.refresh_at),
        "fingerprint": lease.fingerprint,
    }


def _load_lease(name: str, document: Mapping[str, Any]) -> Lease:
    return Lease(
        name=name,
        token=_load_token(document["token"]),
        generation=_count(document["generation"]),
        refresh_at=_load_instant(document["refresh_at"]),
        fingerprint=_text(document["fingerprint"]),
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


def _dump_failure(failure: Failure | None) -> dict[str, str] | None:
    if failure is None:
        return None
    said = {} if failure.said is None else {"said": failure.said}
    return {"reason": failure.reason, "detail": failure.detail, "at": failure.at.isoformat(), **said}


def _load_failure(document: Mapping[str, Any] | None) -> Failure | None:
    if document is None:
        return None
    said = _maybe(_text, document.get("said"))  # 0.1.0 had none
    return Failure(_text(document["reason"]), _text(document["detail"]), _aware(document["at"]), said)


def _dump_forgotten(forgotten: tuple[Forgotten, ...]) -> dict[str, Any]:
    return {one.fingerprint: _dump_instant(one.until) for one in forgotten}


def _dump_instant(instant: Instant | None) -> list[Any] | None:
    if instant is None:
        return None
    plain = [instant.wall.isoformat(), instant.boot]
    return [*plain, True] if isinstance(instant, Adrift) else plain  # 0.1.0 does not look at a third element


def _load_instant(value: Any) -> Instant | None:
    if value is None:
        return None
    boot = value[1]
    if len(value) > 2 and _flag(value[2]):
        return Adrift(_aware(value[0]), _number(boot))
    return Instant(_aware(value[0]), boot if type(boot) is float else _number(boot))  # three of them in each lease


# A value of another type would be accepted now and break what uses it later, at every start again.
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
