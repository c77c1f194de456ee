"""The JSON form of a `Record` in a state file: encode, decode, version. Pure.

The form of version 1 is flat, as 0.1.0 wrote it: the members of all states stand side by side, and those that a state
does not have are null, 0 or false (docs/decisions/0012). The count of refusals has the name that 0.1.0 gave it. Version
2 adds the members ``login`` (`login_codec`) and ``documents``; a record that has neither is written as version 1.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from tokend.engine.records.attempt_states import NO_FAILURES, AttemptState, Failures, Probe, Rejected, UnderWay, at_rest
from tokend.engine.records.codec_values import aware, count, dump_instant, flag, load_instant, maybe, number, text
from tokend.engine.records.documents import dump_documents, load_documents
from tokend.engine.records.forgotten import Forgotten
from tokend.engine.records.login_codec import dump_logins, load_logins
from tokend.engine.records.login_record import NO_LOGINS
from tokend.engine.records.record import HostPause, Record, after_reboot
from tokend.engine.records.seen_file import dump_seen, load_seen
from tokend.engine.records.token_states import NO_TOKEN, WITHDRAWN, Held, TokenState
from tokend.values.errors import StoreError
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.status import Failure
from tokend.values.tokens import JSON, Lease, Token

# A record without a login and without documents is written as version 1: an older tokend goes on with it.
VERSION, VERSION_WITHOUT_LOGIN = 2, 1


def dump(name: str, record: Record, boot_id: str, saved_at: Instant | None = None) -> bytes:
    """Encode a record as JSON. It holds the token in clear: for a 0600 file in the state directory only.

    ``saved_at`` is now, None if nothing of the record counts from it.
    """
    held = record.token if isinstance(record.token, Held) else None
    attempts, failures, pause = record.attempts, record.attempts.failures, record.host_pause
    probe = attempts.probe if isinstance(attempts, Rejected) else None
    login, seen = record.own_login, record.seen
    has_login = login != NO_LOGINS or seen is not None or bool(record.documents)
    return orjson.dumps(
        {
            "version": VERSION if has_login else VERSION_WITHOUT_LOGIN,
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
            "last_attempt": dump_instant(attempts.last_attempt),
            "next_attempt": dump_instant(attempts.next_attempt),
            "host_pause": None if pause is None else dump_instant(pause.until),
            "paused_host": None if pause is None else pause.host,
            "failures": failures.count,
            "failing_since": dump_instant(failures.since),
            "verdicts": failures.refusals,
            "rejected": attempts.rejected_secrets,
            **({} if probe is None else {"probes": probe.made, "next_probe": dump_instant(probe.at)}),
            "withdrawn": record.withdrawn,
            "cost": failures.cost,
            "under_way": attempts.under_way,
            "last_error": _dump_failure(failures.last_error),
            # 0.1.0 ignores members that it does not know.
            **({} if held is None or held.max_age_seconds is None else {"max_age_seconds": held.max_age_seconds}),
            **({} if record.connection is None else {"connection": record.connection}),
            **({} if saved_at is None else {"saved_at": dump_instant(saved_at)}),
            **({"forgotten": _dump_forgotten(record.forgotten)} if record.forgotten else {}),
            **({"login": dump_logins(login)} if has_login else {}),
            **({} if seen is None else {"login_file": dump_seen(seen)}),
            **({"documents": dump_documents(record.documents)} if record.documents else {}),
        },
        option=orjson.OPT_INDENT_2,
    )


def load(content: bytes, *, boot_id: str, now: Instant) -> tuple[str, Record]:
    """Decode what `dump` encoded, by this version or by 0.1.0. Raises `StoreError` for anything else, quoting nothing.

    Boot times of another boot are replaced by ones computed from the wall clock.
    """
    try:
        document = orjson.loads(content)
        if document["version"] not in (VERSION_WITHOUT_LOGIN, VERSION):
            raise StoreError(f"it has version {document['version']!r}, this tokend reads versions 1 and {VERSION}")
        record = _record(document)
        saved_at = load_instant(document.get("saved_at"))
        same_boot = bool(boot_id) and document["boot_id"] == boot_id
        return text(document["name"]), record if same_boot else after_reboot(record, now, saved_at=saved_at)
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
        raise StoreError("it is damaged: not a record that tokend wrote") from None


def _record(document: Mapping[str, Any]) -> Record:
    return Record(
        generation=count(document["generation"]),
        account=maybe(text, document["account"]),
        request=maybe(text, document["request"]),
        connection=maybe(text, document.get("connection")),
        proven=maybe(text, document["proven"]),
        token=_token_state(document),
        attempts=_attempt_state(document),
        host_pause=_host_pause(document),
        forgotten=tuple(
            Forgotten(fingerprint, load_instant(until)) for fingerprint, until in document.get("forgotten", {}).items()
        ),
        **_logins(document),
        documents=load_documents(document["documents"]) if "documents" in document else (),
    )


def _logins(document: Mapping[str, Any]) -> dict[str, Any]:
    own = load_logins(document["login"]) if "login" in document else NO_LOGINS
    if "login_file" not in document:
        return {"login": own}
    # What is in the file is not known before it is read.
    return {"login": NO_LOGINS, "seen": load_seen(document["login_file"], own)}


def _token_state(document: Mapping[str, Any]) -> TokenState:
    lease, lead, withdrawn = document["lease"], document["lead_seconds"], flag(document["withdrawn"])
    lead = None if lead is None else number(lead)
    jitter, adrift = number(document["jitter"]), flag(document["adrift"])
    if lease is None:
        return WITHDRAWN if withdrawn else NO_TOKEN
    max_age = maybe(number, document.get("max_age_seconds"))
    return Held(_load_lease(text(document["name"]), lease), lead, jitter, adrift, max_age)


def _attempt_state(document: Mapping[str, Any]) -> AttemptState:
    last, upcoming = load_instant(document["last_attempt"]), load_instant(document["next_attempt"])
    rejected, failures = maybe(text, document["rejected"]), _failures(document)
    # Versions before 0.1.0 did not write ``under_way``.
    if flag(document.get("under_way", False)) and last is not None and upcoming is not None:
        return UnderWay(last, upcoming, failures, rejected)
    state = at_rest(last, upcoming, failures, rejected)
    # 0.1.0 knew no probes.
    made, at = count(document.get("probes", 0)), load_instant(document.get("next_probe"))
    return replace(state, probe=Probe(made, at)) if isinstance(state, Rejected) and at is not None else state


def _failures(document: Mapping[str, Any]) -> Failures:
    failed, refusals = count(document["failures"]), count(document["verdicts"])
    cost = count(document.get("cost", 1))  # versions before 0.1.0 did not write it
    since, error = document["failing_since"], document["last_error"]
    if not failed and not refusals and since is None and error is None:
        return NO_FAILURES  # nearly all records
    return Failures(failed, refusals, load_instant(since), _load_failure(error), cost)


def _host_pause(document: Mapping[str, Any]) -> HostPause | None:
    host, until = maybe(text, document["paused_host"]), load_instant(document["host_pause"])
    return None if host is None or until is None else HostPause(host, until)


def _dump_lease(lease: Lease) -> dict[str, Any]:
    return {
        "token": dump_token(lease.token),
        "generation": lease.generation,
        "refresh_at": dump_instant(lease.refresh_at),
        "fingerprint": lease.fingerprint,
    }


def _load_lease(name: str, document: Mapping[str, Any]) -> Lease:
    return Lease(
        name=name,
        token=load_token(document["token"]),
        generation=count(document["generation"]),
        refresh_at=load_instant(document["refresh_at"]),
        fingerprint=text(document["fingerprint"]),
    )


def dump_token(token: Token) -> dict[str, Any]:
    """Encode a token, in clear."""
    return {
        "value": token.value.reveal(),
        "token_type": token.token_type,
        "issued_at": dump_instant(token.issued_at),
        "expires_at": dump_instant(token.expires_at),
        "headers": {name: value.reveal() for name, value in token.headers.items()},
        "extra": {
            key: {"secret": value.reveal()} if isinstance(value, Secret) else {"plain": value}
            for key, value in token.extra.items()
        },
        "renewal": None if token.renewal is None else token.renewal.reveal(),
    }


def load_token(document: Mapping[str, Any]) -> Token:
    """Decode what `dump_token` encoded. Raises ValueError, LookupError or TypeError for anything else."""
    extra: dict[str, JSON | Secret] = {
        key: Secret(text(value["secret"])) if "secret" in value else value["plain"]
        for key, value in document["extra"].items()
    }
    issued_at = load_instant(document["issued_at"])
    if issued_at is None:
        raise ValueError("issued_at")
    return Token(
        value=Secret(text(document["value"])),
        token_type=text(document["token_type"]),
        issued_at=issued_at,
        expires_at=load_instant(document["expires_at"]),
        headers={name: Secret(text(value)) for name, value in document["headers"].items()},
        extra=extra,
        renewal=maybe(lambda value: Secret(text(value)), document["renewal"]),
    )


def _dump_failure(failure: Failure | None) -> dict[str, str] | None:
    if failure is None:
        return None
    said = {} if failure.said is None else {"said": failure.said}
    return {"reason": failure.reason, "detail": failure.detail, "at": failure.at.isoformat(), **said}


def _load_failure(document: Mapping[str, Any] | None) -> Failure | None:
    if document is None:
        return None
    said = maybe(text, document.get("said"))  # 0.1.0 had none
    return Failure(text(document["reason"]), text(document["detail"]), aware(document["at"]), said)


def _dump_forgotten(forgotten: tuple[Forgotten, ...]) -> dict[str, Any]:
    return {one.fingerprint: dump_instant(one.until) for one in forgotten}
