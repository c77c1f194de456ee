"""`TokenClient`: tokens as Python values, from the socket or, where that is away, from the token files."""

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
# How soon `watch` asks again where there is no daemon or no token.
PAUSE_SECONDS = 1.0
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)

# Beside a method called `list`, the built-in cannot be named.
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Lease:
    """One token. Its repr shows no secret.

    ``headers`` are ready to send; ``expires_at`` is aware UTC, None for a token without end; ``generation`` tells
    tokens of one name apart, None for on-demand ones; ``extra`` is what an `issue` brought besides.
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
    """Ask one tokend. Every method raises a `TokendError` subclass whose message says why.

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
        """A valid token, for at least ``min_ttl`` more seconds. Falls back to its file if the socket is away."""
        query = "" if min_ttl is None else "?" + urlencode({"min_ttl": f"{max(1, round(min_ttl * 1000))}ms"})
        try:
            return self._leased("GET", token_target(name) + query)
        except NotRunningError as error:
            if (lease := self._from_file(name, min_ttl or 0.0)) is None:
                raise error from None
            return lease

    def refresh(self, name: str, *, if_generation: int | None = None, reason: str | None = None) -> Lease:
        """Have a newer token fetched; with ``if_generation`` only if that is still the newest."""
        body = {"if_generation": if_generation, "reason": reason}
        return self._leased(
            "POST", token_target(name, "refresh"), {key: value for key, value in body.items() if value is not None}
        )

    def issue(self, name: str, /, **parameters: str) -> Lease:
        """Issue one on-demand token from parameters; wrong ones raise `BadRequestError` with ``errors`` per field."""
        return self._leased("POST", token_target(name, "issue"), parameters)

    def request_id(self, name: str) -> str:
        """A new id for one call (tt)."""
        return str(self.call("POST", token_target(name, "request-id"))["request_id"])

    def forget(self, name: str) -> None:
        """Drop a compromised token everywhere; admins only."""
        self.call("POST", token_target(name, "forget"))

    def list(self) -> Rows:
        """Names, kinds, states, expiries; never a secret."""
        return list(self.call("GET", "/v1/tokens")["tokens"])

    def status(self) -> dict[str, Any]:
        """All that tokend says of itself."""
        return self.call("GET", "/v1/status")

    def reload(self, *, dry_run: bool = False) -> Rows:
        """Have the configuration read again, wait until it is in force; returns the plan. Admins only."""
        return list(self.call("POST", "/v1/reload" + ("?dry_run=true" if dry_run else ""))["plan"])

    def watch(self, name: str) -> Iterator[Lease]:
        """Give the token now held, then each newer one as it comes. Waits for the daemon where it is away."""
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
        """Make any request of the socket's HTTP interface that is answered with a JSON object."""
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
        """The token file, native layout, if it is this token's, unexpired and lasts long enough; else None."""
        if not _NAME.fullmatch(name):
            return None  # not the name of a file, least of all of one elsewhere
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
    """The token of ``name``, valid now, and for ``min_ttl`` more seconds."""
    return TokenClient().get(name, min_ttl=min_ttl).access_token


def token_target(name: str, action: str | None = None) -> str:
    """The request target of a token or of one of its actions, whatever its name is made of."""
    return f"/v1/tokens/{quote(name, safe='', errors='surrogateescape')}" + ("" if action is None else f"/{action}")


def _lease(answer: Mapping[str, Any], path: str) -> Lease:
    """The lease that an answer describes. Raises `NotRunningError` where it describes none."""
    try:
        value, expires = _text(answer["access_token"]), _moment(answer.get("expires_at"))
        return Lease(
            name=_text(answer["name"]),
            access_token=value,
            token_type=_text(answer["token_type"]),
            expires_at=expires,
            generation=answer.get("generation"),
            fingerprint=answer.get("fingerprint"),
            # A file has no ready-made headers; nearly everybody wants this one.
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
