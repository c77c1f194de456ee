"""Serializers: tokens, statuses and failures as JSON-ready objects (`schemas` describes them)."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from tokend.plugin.settings import ProviderSettings
from tokend.values.secret import Secret
from tokend.values.status import Failure, ProviderStatus, SinkStatus
from tokend.values.tokens import Lease, Token, native, utc

# AWS's SDKs keep credentials until the end they are told, and most refuse those that tell none: a key pair without an
# end is asked for again after as long as AWS's own temporary ones usually live.
ASKED_AGAIN = timedelta(hours=1)


class ConfigState(Protocol):
    """What `GET /v1/status` says of the configuration. Called at each status request: must not block."""

    def __call__(self) -> tuple[datetime, str | None]:
        """When the configuration now in force was loaded (aware UTC), and why a later one was refused, or None."""


def ready_headers(token: Token, settings: ProviderSettings) -> dict[str, str]:
    """The headers to send with each call: the token's own, then the settings' on top, whatever their case."""
    merged = {name.lower(): (name, value.reveal()) for name, value in token.headers.items()}
    merged.update({name.lower(): (name, value) for name, value in settings.headers.items()})
    return dict(merged.values())


def key_pair(lease: Lease, now: datetime) -> dict[str, str] | None:
    """What AWS's SDKs take from a container's endpoint; None for a token that is no JSON object of AWS keys.

    They want all four (botocore and the SDK for JavaScript), and an empty ``Token`` is none to them. The token may
    have been written for `credential_process`, which calls the third SessionToken.
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
    """An on-demand token in the shape of a held one; it has no generation and is not replaced, so those are null."""
    shape = native(Lease(name, token, 0, None, ""))
    extra = {key: _clear(value) for key, value in token.extra.items()}
    headers = ready_headers(token, settings)
    return {**shape, "generation": None, "fingerprint": None, "headers": headers, "extra": extra}


def row(status: ProviderStatus) -> dict[str, Any]:
    """One token in the list and in events; never a secret."""
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


def status_row(status: ProviderStatus) -> dict[str, Any]:
    """One token in `GET /v1/status`; ``note`` only where there is something to remark."""
    return {
        **row(status),
        "required": status.required,
        "seconds_left": None if status.seconds_left is None else round(status.seconds_left, 3),
        "failures": status.failures,
        "last_error": _failure(status.last_error),
        "next_attempt_at": _utc(status.next_attempt_at),
        "sinks": [_sink(sink) for sink in status.sinks],
        **({} if status.note is None else {"note": status.note}),
    }


def _failure(failure: Failure | None) -> Mapping[str, str] | None:
    if failure is None:
        return None
    return {"class": failure.reason, "detail": failure.detail, "at": utc(failure.at)}


def _sink(sink: SinkStatus) -> dict[str, Any]:
    return {
        "kind": sink.kind,
        "target": sink.target,
        "path": sink.path,
        "state": sink.state,
        "last_success_at": _utc(sink.last_success_at),
        "error": sink.error,
    }


def _utc(moment: datetime | None) -> str | None:
    return None if moment is None else utc(moment)


def _clear(value: Any) -> Any:
    """Reveal what a reader of `issue` asked for, however deep it lies."""
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Mapping):
        return {key: _clear(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_clear(inner) for inner in value]
    return value
