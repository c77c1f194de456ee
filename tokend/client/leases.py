"""`Lease`: one token as a Python value, read from an answer of the daemon or from a token file."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tokend.client.errors import BadRequestError, NotRunningError
from tokend.client.transport import json_object

DEFAULT_FILES = "/run/tokend"
# Header of the daemon's answers, in lower case as `transport` returns it.
REQUEST_ID_PARAMETER = "request-id-parameter"
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)


@dataclass(frozen=True)
class Lease:
    """One token. The repr shows no secret.

    ``headers`` are ready to send. ``expires_at`` is aware UTC, None for a token without end. ``generation`` rises with
    each new token of a name, None for on-demand tokens. ``extra`` holds further values of an `issue`.
    ``request_id_parameter`` is the query parameter in which each call to the upstream needs a new request id (tt), None
    if it needs none.
    """

    name: str
    access_token: str = field(repr=False)
    token_type: str = "Bearer"  # noqa: S105  (a scheme's name)
    expires_at: datetime | None = None
    generation: int | None = None
    fingerprint: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    request_id_parameter: str | None = None


def read_lease(answer: Mapping[str, Any], path: str, headers: Mapping[str, str] | None = None) -> Lease:
    """Read a lease from an answer and its HTTP headers, or from a token file.

    Raises `NotRunningError` if there is none in it, and `BadRequestError` for the answer to a refresh of an on-demand
    token, whose rejected credentials the next issue tries again.
    """
    if "access_token" not in answer and answer.get("state") == "on_demand":
        raise BadRequestError(
            f"{answer.get('name')!r} is issued on demand, and a refresh gives no token; the next issue tries its "
            "credentials again",
            code="not_supported",
        )
    try:
        value, expires = _text(answer["access_token"]), _moment(answer.get("expires_at"))
        return Lease(
            name=_text(answer["name"]),
            access_token=value,
            token_type=_text(answer["token_type"]),
            expires_at=expires,
            generation=_generation(answer.get("generation")),
            fingerprint=None if answer.get("fingerprint") is None else _text(answer["fingerprint"]),
            # A file has no headers; this one is right for nearly all upstreams.
            headers=_headers(answer.get("headers", {"Authorization": f"Bearer {value}"})),
            extra=_mapping(answer.get("extra", {})),
            request_id_parameter=(headers or {}).get(REQUEST_ID_PARAMETER),
        )
    except (ValueError, KeyError):
        raise NotRunningError(f"what {path} gives is no token of tokend") from None


def read_request_id(answer: Mapping[str, Any], path: str) -> str:
    """Read a request id. Raises `NotRunningError` if there is none in the answer."""
    try:
        return _text(answer["request_id"])
    except (ValueError, KeyError):
        raise NotRunningError(f"what {path} gives is no request id of tokend") from None


def read_rows(answer: Mapping[str, Any], member: str, path: str) -> list[dict[str, Any]]:
    """Read a list of objects. Raises `NotRunningError` if the answer has none under this name."""
    rows = answer.get(member)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise NotRunningError(f"what {path} gives is no list of tokend: {member} is missing or of another type")
    return rows


def read_headers(answer: Mapping[str, Any], path: str) -> dict[str, str]:
    """Read the headers of a signature. Raises `NotRunningError` if there are none in the answer."""
    try:
        return _headers(answer["headers"])
    except (ValueError, KeyError):
        raise NotRunningError(f"what {path} gives is no signature of tokend") from None


def files_directory(explicit: str | None) -> Path:
    """Return the directory of the token files: ``explicit``, else $TOKEND_FILES, else /run/tokend."""
    return Path(explicit or os.environ.get("TOKEND_FILES") or DEFAULT_FILES)


def lease_from_file(directory: Path, name: str, min_ttl: float) -> Lease | None:
    """Return the token of its file (native layout); None unless it is this token and valid for ``min_ttl`` seconds."""
    if not _NAME.fullmatch(name):
        return None  # such a name is no file name, or leads out of the directory
    path = directory / f"{name}.json"
    try:
        answer = json_object(path.read_bytes(), str(path))
        lease = read_lease(answer, str(path))
    except (OSError, NotRunningError):
        return None
    if answer.get("version") != 1 or lease.name != name or "expires_at" not in answer:
        return None
    if lease.expires_at is None:
        return lease
    left = (lease.expires_at - datetime.now(UTC)).total_seconds()
    return lease if left > 0 and left >= min_ttl else None


def _headers(value: object) -> dict[str, str]:
    """Return headers to send. One with a control character would be another one, or two."""
    if not isinstance(value, dict):
        raise ValueError  # noqa: TRY004  (one error for all that is no answer)
    headers = {_text(name): _text(text) for name, text in value.items()}
    if _CONTROL.search("".join((*headers, *headers.values()))):
        raise ValueError
    return headers


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def _generation(value: object) -> int | None:
    if value is not None and type(value) is not int:
        raise ValueError
    return value


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError  # noqa: TRY004  (one error for all that is no answer)
    return value


def _moment(value: object) -> datetime | None:
    moment = None if value is None else datetime.fromisoformat(_text(value))
    if moment is not None and moment.tzinfo is None:
        raise ValueError
    return moment
