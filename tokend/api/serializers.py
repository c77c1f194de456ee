"""Serializers: tokens, statuses and failures as JSON-ready objects (`schemas` describes them)."""

import json
from collections.abc import Container, Mapping
from datetime import datetime, timedelta
from typing import Any

from tokend.plugin.settings import ProviderSettings
from tokend.values.secret import Secret
from tokend.values.status import (
    ClientReports,
    Failure,
    HookStatus,
    LoginStatus,
    PluginStatus,
    ProviderStatus,
    SinkStatus,
    State,
)
from tokend.values.tokens import Lease, Token, native, utc

# AWS's SDKs keep credentials until the end that the answer names, and most refuse an answer without one. So a key pair
# without an end is fetched again after the usual life of AWS's own temporary keys.
ASKED_AGAIN = timedelta(hours=1)


def key_pair(lease: Lease, now: datetime) -> dict[str, str] | None:
    """Return what AWS's SDKs read from a container's endpoint; None for a token that is no JSON object of AWS keys.

    botocore and the SDK for JavaScript want all four members, and take an empty ``Token`` for none. The token may have
    been written for `credential_process`, which calls the third member SessionToken.
    """
    try:
        keys = json.loads(lease.token.value.reveal())
        key, secret = keys["AccessKeyId"], keys["SecretAccessKey"]
        session = keys.get("Token") or keys.get("SessionToken") or ""
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    end = lease.token.expires_at
    shown = {"AccessKeyId": key, "SecretAccessKey": secret, "Token": session}
    shown["Expiration"] = utc(now + ASKED_AGAIN if end is None else end.wall)
    return shown if all(isinstance(value, str) for value in shown.values()) else None


def issued(name: str, token: Token, settings: ProviderSettings) -> dict[str, Any]:
    """Serialize an on-demand token like a held one. It has no generation and is not replaced: those are null."""
    shape = native(Lease(name, token, 0, None, ""))
    shape.pop("extra", None)  # it comes last
    extra = {key: _clear(value) for key, value in token.extra.items()}
    headers = settings.ready_headers(token)
    return {**shape, "generation": None, "fingerprint": None, "headers": headers, "extra": extra}


def held(lease: Lease, settings: ProviderSettings) -> dict[str, Any]:
    """Serialize a held token for its readers. ``extra`` only where its kind has members to show."""
    extra = _clear(settings.shown_extra(lease.token))
    shown = {**native(lease), "headers": settings.ready_headers(lease.token)}
    return {**shown, "extra": extra} if extra else shown


def row(status: ProviderStatus) -> dict[str, Any]:
    """Serialize one token for the list and for events; never a secret."""
    return {
        "name": status.name,
        "kind": status.kind,
        "state": status.state.value,
        "valid": status.valid,
        "expires_at": _utc(status.expires_at),
        "refresh_at": _utc(status.refresh_at),
        "generation": status.generation,
        "fingerprint": status.fingerprint,
    }


def status_row(status: ProviderStatus, *, admin: bool = False, readable: Container[str] = ()) -> dict[str, Any]:
    """Serialize one token for `GET /v1/status`; ``note`` only if there is one, uids of clients only for admins.

    ``readable`` are the tokens that the peer may read: it learns the names of no others.
    """
    return {
        **row(status),
        "required": status.required,
        "seconds_left": None if status.seconds_left is None else round(status.seconds_left, 3),
        "failures": status.failures,
        "last_error": _failure(status.last_error, admin=admin),
        "next_attempt_at": _utc(status.next_attempt_at),
        "paused_until": _utc(status.paused_until),
        "paused_by": status.paused_by,
        "paused_token": status.paused_token if admin or status.paused_token in readable else None,
        "reports": _reports(status.reports, admin=admin),
        "warnings": [{"code": one.code, "message": one.message} for one in status.warnings],
        "login": None if status.login is None else login_row(status.login),
        "sinks": [sink_row(sink) for sink in status.sinks],
        **({} if status.note is None else {"note": status.note}),
    }


def login_row(login: LoginStatus) -> dict[str, Any]:
    """Serialize a login, for the status of its token and for events; ``step`` only where there is no command."""
    return {
        "state": login.state,
        "subject": login.subject,
        "obtained_at": _utc(login.obtained_at),
        "ends_at": _utc(login.ends_at),
        "scopes_missing": list(login.scopes_missing),
        "command": login.command,
        **({} if login.step is None else {"step": login.step}),
    }


def plugin_row(plugin: PluginStatus) -> dict[str, Any]:
    """Return a plug-in as administrators see it."""
    return {
        "file": plugin.file,
        "package": plugin.package,
        "version": plugin.version,
        "providers": list(plugin.providers),
        "sinks": list(plugin.sinks),
        "error": plugin.error,
    }


def left_out(name: str) -> dict[str, str | None]:
    """Return the reason for which a provider that a start went on without keeps the daemon from being ready."""
    detail = "its kind, that of one of its sinks, or its vendor cannot be used"
    return {"token": name, "state": State.PENDING.value, "sink": None, "detail": detail}


def not_ready(status: ProviderStatus, lease: Lease | None) -> list[dict[str, str | None]]:
    """Return the reasons for which a token keeps the daemon from being ready: the token itself, or its sinks.

    A sink that was right with an older token than ``lease`` is still being written to.
    """
    if not status.required or status.state is State.ON_DEMAND:
        return []
    name, state = status.name, status.state.value
    if not status.valid:
        detail = f"there is no valid token, its state is {state}"
        if status.last_error is not None:
            detail = status.last_error.detail
        if status.state is State.LOGIN_REQUIRED and status.login is not None:
            detail = status.login.advice.sentence
        return [{"token": name, "state": state, "sink": None, "detail": detail}]
    issued = None if lease is None else lease.token.issued_at.wall
    return [
        {"token": name, "state": state, "sink": sink.label, "detail": why}
        for sink in status.sinks
        if sink.required and (why := _lateness(sink, issued)) is not None
    ]


def _lateness(sink: SinkStatus, issued: datetime | None) -> str | None:
    """Say why a sink does not hold a token that was issued then; None if it does."""
    if sink.state != "ok":
        return sink.error or f"the sink's state is {sink.state}"
    if issued is not None and sink.last_success_at is not None and sink.last_success_at < issued:
        return "the sink does not hold the newest token yet"
    return None


def _failure(failure: Failure | None, *, admin: bool) -> Mapping[str, str] | None:
    if failure is None:
        return None
    return {"class": failure.reason, "detail": failure.whole if admin else failure.detail, "at": utc(failure.at)}


def _reports(reports: ClientReports, *, admin: bool) -> dict[str, Any]:
    shown = {"count": reports.count, "last_at": _utc(reports.last_at), "reason": reports.reason}
    return {**shown, "uid": reports.uid} if admin else shown


def _hook(hook: HookStatus | None) -> dict[str, Any] | None:
    return None if hook is None else {"state": hook.state, "since": _utc(hook.since)}


def sink_row(sink: SinkStatus) -> dict[str, Any]:
    """Serialize one sink, for the status of its token and for events."""
    return {
        "kind": sink.kind,
        "label": sink.label,
        "target": sink.target,
        "path": sink.path,
        "state": sink.state,
        "last_success_at": _utc(sink.last_success_at),
        "error": sink.error,
        "repairs": sink.repairs,
        "found_uid": sink.found_uid,
        "hook": _hook(sink.hook),
        "generation": sink.generation,
        "store_version": sink.store_version,
        "drift": sink.drift,
        "remark": sink.remark,
        **({} if sink.required else {"required": False}),
    }


def _utc(moment: datetime | None) -> str | None:
    return None if moment is None else utc(moment)


def _clear(value: Any) -> Any:
    """Reveal all secrets in the extra members of an issued token, at any depth."""
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Mapping):
        return {key: _clear(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_clear(inner) for inner in value]
    return value
