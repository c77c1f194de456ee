"""`TokenClient`: tokens as Python values, from the socket or, without a daemon, from the token files."""

import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from tokend.client.errors import NotRunningError, UnavailableError, refusal
from tokend.client.transport import TIMEOUT_SECONDS, exchange, find_socket, json_object

DEFAULT_FILES = "/run/tokend"
LONG_POLL_SECONDS = 60
# Pause of `watch` between two requests while there is no daemon or no token.
PAUSE_SECONDS = 1.0
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)

# In a class with a method called `list`, annotations cannot name the built-in.
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Lease:
    """One token. The repr shows no secret.

    ``headers`` are ready to send. ``expires_at`` is aware UTC, None for a token without end. ``generation`` rises with
    each new token of a name, None for on-demand tokens. ``extra`` holds further values of an `issue`.
    """

    name: str
    access_token: str = field(repr=False)
    token_type: str = "Bearer"  # noqa: S105  (a scheme's name)
    expires_at: datetime | None = None
    generation: int | None = None
    fingerprint: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


class TokenClient:
    """Client of one daemon. Every method raises a subclass of `TokendError`, whose message gives the reason.

    ``socket`` is its path [default: $TOKEND_SOCKET, else the usual places], ``files`` the directory of the token
    files that `get` falls back to [default: $TOKEND_FILES, else /run/tokend], ``timeout`` seconds per request.
    """

    def __init__(
        self, socket: str | None = None, *, files: str | None = None, timeout: float = TIMEOUT_SECONDS
    ) -> None:
        self._socket = socket
        self._files = Path(files or os.environ.get("TOKEND_FILES") or DEFAULT_FILES)
        self._timeout = timeout

    def get(self, name: str, *, min_ttl: float | None = None) -> Lease:
        """Return a token that is valid for at least ``min_ttl`` more seconds; from its file if there is no daemon."""
        query = "" if min_ttl is None else "?" + urlencode({"min_ttl": f"{max(1, round(min_ttl * 1000))}ms"})
        try:
            return self._leased("GET", token_target(name) + query)
        except NotRunningError as error:
            if (lease := self._from_file(name, min_ttl or 0.0)) is None:
                raise error from None
            return lease

    def refresh(self, name: str, *, if_generation: int | None = None, reason: str | None = None) -> Lease:
        """Request a newer token and wait for it. With ``if_generation`` only if that generation is still the newest."""
        body = {"if_generation": if_generation, "reason": reason}
        return self._leased(
            "POST", token_target(name, "refresh"), {key: value for key, value in body.items() if value is not None}
        )

    def issue(self, name: str, /, **parameters: str) -> Lease:
        """Issue one on-demand token from parameters. Raises `BadRequestError`, whose ``errors`` has texts per field."""
        return self._leased("POST", token_target(name, "issue"), parameters)

    def request_id(self, name: str) -> str:
        """Return a new request id, for kinds that need one per call (tt)."""
        return str(self.call("POST", token_target(name, "request-id"))["request_id"])

    def forget(self, name: str) -> None:
        """Drop a compromised token everywhere. For admins."""
        self.call("POST", token_target(name, "forget"))

    def list(self) -> Rows:
        """Return names, kinds, states and expiries of all tokens; never a secret."""
        return list(self.call("GET", "/v1/tokens")["tokens"])

    def status(self) -> dict[str, Any]:
        """Return the object of ``GET /v1/status``."""
        return self.call("GET", "/v1/status")

    def reload(self, *, dry_run: bool = False) -> Rows:
        """Make the daemon read its configuration again, or (``dry_run``) only plan it. Returns the plan. For admins."""
        return list(self.call("POST", "/v1/reload" + ("?dry_run=true" if dry_run else ""))["plan"])

    def watch(self, name: str) -> Iterator[Lease]:
        """Yield the present token, then each newer one, for ever. Waits for the daemon while there is none."""
        generation: int | None = None
        while True:
            headers = [("Prefer", f"wait={LONG_POLL_SECONDS}")]
            if generation is not None:
                headers.append(("If-None-Match", f'"{generation}"'))
            try:
                path, status, body = self._exchange("GET", token_target(name), headers, b"", LONG_POLL_SECONDS + 10)
                if status >= 400:
                    raise refusal(status, body)
            except (NotRunningError, UnavailableError):
                time.sleep(PAUSE_SECONDS)
                continue
            if status == 200:
                lease = _lease(json_object(body, path), path)
                generation = lease.generation
                yield lease

    def call(self, method: str, target: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Make any request of the HTTP interface whose answer is a JSON object; return that object."""
        return self._call(method, target, body)[1]

    def _leased(self, method: str, target: str, body: Mapping[str, Any] | None = None) -> Lease:
        path, answer = self._call(method, target, body)
        return _lease(answer, path)

    def _call(self, method: str, target: str, body: Mapping[str, Any] | None) -> tuple[str, dict[str, Any]]:
        headers = [("Accept", "application/json")]
        content = b""
        if body is not None:
            headers.append(("Content-Type", "application/json"))
            content = json.dumps(body).encode()
        path, status, answer = self._exchange(method, target, headers, content, self._timeout)
        if status >= 400:
            raise refusal(status, answer)
        return path, json_object(answer, path)

    def _exchange(
        self, method: str, target: str, headers: Sequence[tuple[str, str]], body: bytes, timeout: float
    ) -> tuple[str, int, bytes]:
        path = find_socket(self._socket)
        status, _, answer = exchange(path, method, target, headers=headers, body=body, timeout=timeout)
        return path, status, answer

    def _from_file(self, name: str, min_ttl: float) -> Lease | None:
        """Return the token of its file (native layout); None unless it is this token and valid long enough."""
        if not _NAME.fullmatch(name):
            return None  # such a name is no file name, or leads out of the directory
        path = self._files / f"{name}.json"
        try:
            answer = json_object(path.read_bytes(), str(path))
            lease = _lease(answer, str(path))
        except (OSError, NotRunningError):
            return None
        if answer.get("version") != 1 or lease.name != name or "expires_at" not in answer:
            return None
        if lease.expires_at is None:
            return lease
        left = (lease.expires_at - datetime.now(UTC)).total_seconds()
        return lease if left > 0 and left >= min_ttl else None


def token(name: str, *, min_ttl: float | None = None) -> str:
    """Return the access token of ``name``, valid now and for ``min_ttl`` more seconds."""
    return TokenClient().get(name, min_ttl=min_ttl).access_token


def token_target(name: str, action: str | None = None) -> str:
    """Return the request target of a token or of one of its actions. The name may have any characters."""
    return f"/v1/tokens/{quote(name, safe='', errors='surrogateescape')}" + ("" if action is None else f"/{action}")


def _lease(answer: Mapping[str, Any], path: str) -> Lease:
    """Read a lease from an answer or a token file. Raises `NotRunningError` if there is none in it."""
    try:
        value, expires = _text(answer["access_token"]), _moment(answer.get("expires_at"))
        return Lease(
            name=_text(answer["name"]),
            access_token=value,
            token_type=_text(answer["token_type"]),
            expires_at=expires,
            generation=answer.get("generation"),
            fingerprint=answer.get("fingerprint"),
            # A file has no headers; this one is right for nearly all upstreams.
            headers=answer.get("headers", {"Authorization": f"Bearer {value}"}),
            extra=answer.get("extra", {}),
        )
    except (ValueError, KeyError):
        raise NotRunningError(f"what {path} gives is no token of tokend") from None


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def _moment(value: object) -> datetime | None:
    moment = None if value is None else datetime.fromisoformat(_text(value))
    if moment is not None and moment.tzinfo is None:
        raise ValueError
    return moment
