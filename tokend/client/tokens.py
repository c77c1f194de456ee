"""`TokenClient`: tokens as Python values, from the socket or, where that is away, from the token files."""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from tokend.client.transport import TIMEOUT_SECONDS, NotRunningError, UnavailableError, exchange, find_socket, refusal

DEFAULT_FILES = "/run/tokend"
LONG_POLL_SECONDS = 60

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

    def __str__(self) -> str:
        return repr(self)


class TokenClient:
    """Ask one tokend. Every method raises a `TokendError` subclass whose message says why."""

    def __init__(
        self, socket: str | None = None, *, files: str | None = None, timeout: float = TIMEOUT_SECONDS
    ) -> None:
        self._socket = socket
        self._files = Path(files or os.environ.get("TOKEND_FILES") or DEFAULT_FILES)
        self._timeout = timeout

    def get(self, name: str, *, min_ttl: float | None = None) -> Lease:
        """A valid token, for at least ``min_ttl`` more seconds. Falls back to its file if the socket is away."""
        query = {} if min_ttl is None else {"min_ttl": f"{max(1, round(min_ttl * 1000))}ms"}
        try:
            return _lease(self._json("GET", f"{_path(name)}?{urlencode(query)}" if query else _path(name)))
        except NotRunningError as error:
            return self._from_file(name, min_ttl or 0.0, error)

    def refresh(self, name: str, *, if_generation: int | None = None, reason: str | None = None) -> Lease:
        """Have a newer token fetched; with ``if_generation`` only if that is still the newest."""
        body = {"if_generation": if_generation, "reason": reason}
        return _lease(self._json("POST", f"{_path(name)}/refresh", {k: v for k, v in body.items() if v is not None}))

    def issue(self, name: str, **parameters: str) -> Lease:
        """Issue one on-demand token."""
        return _lease(self._json("POST", f"{_path(name)}/issue", parameters))

    def request_id(self, name: str) -> str:
        """A new id for one call (tt)."""
        return str(self._json("POST", f"{_path(name)}/request-id")["request_id"])

    def forget(self, name: str) -> None:
        """Drop a compromised token everywhere; admins only."""
        self._json("POST", f"{_path(name)}/forget")

    def list(self) -> "Rows":
        """Names, kinds, states, expiries; never a secret."""
        return list(self._json("GET", "/v1/tokens")["tokens"])

    def status(self) -> dict[str, Any]:
        """All that tokend says of itself."""
        return self._json("GET", "/v1/status")

    def reload(self, *, dry_run: bool = False) -> "Rows":
        """Have the configuration read again, wait until it is in force; returns the plan. Admins only."""
        return list(self._json("POST", "/v1/reload" + ("?dry_run=true" if dry_run else ""))["plan"])

    def watch(self, name: str) -> Iterator[Lease]:
        """Give the token now held, then each newer one as it comes. Waits for the daemon where it is away."""
        generation: int | None = None
        while True:
            headers = [("Prefer", f"wait={LONG_POLL_SECONDS}")]
            if generation is not None:
                headers.append(("If-None-Match", f'"{generation}"'))
            try:
                status, _, body = self._exchange("GET", _path(name), headers, b"", LONG_POLL_SECONDS + 10)
            except NotRunningError:
                time.sleep(1)
                continue
            if status == 200:
                lease = _lease(json.loads(body))
                generation = lease.generation
                yield lease
            elif status != 304:
                error = refusal(status, body)
                if not isinstance(error, UnavailableError):
                    raise error
                time.sleep(1)

    def _json(self, method: str, target: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        headers = [("Accept", "application/json")]
        content = b""
        if body is not None:
            headers.append(("Content-Type", "application/json"))
            content = json.dumps(body).encode()
        status, _, answer = self._exchange(method, target, headers, content, self._timeout)
        if status >= 400:
            raise refusal(status, answer)
        return dict(json.loads(answer)) if answer else {}

    def _exchange(
        self, method: str, target: str, headers: Sequence[tuple[str, str]], body: bytes, timeout: float
    ) -> tuple[int, dict[str, str], bytes]:
        path = find_socket(self._socket)
        status, found, answer = exchange(path, method, target, headers=headers, body=body, timeout=timeout)
        return status, found, answer

    def _from_file(self, name: str, min_ttl: float, error: NotRunningError) -> Lease:
        """The token file, native layout, if it is unexpired and lasts; else the socket's error."""
        try:
            lease = _lease(json.loads((self._files / f"{name}.json").read_bytes()))
        except (OSError, ValueError, KeyError, TypeError):
            raise error from None
        if lease.expires_at is not None and (lease.expires_at - datetime.now(UTC)).total_seconds() <= min_ttl:
            raise error
        return lease


def token(name: str, *, min_ttl: float | None = None) -> str:
    """The token of ``name``, valid now."""
    return TokenClient().get(name, min_ttl=min_ttl).access_token


def _path(name: str) -> str:
    return f"/v1/tokens/{quote(name, safe='')}"


def _lease(answer: Mapping[str, Any]) -> Lease:
    expires = answer.get("expires_at")
    value, kind = str(answer["access_token"]), str(answer["token_type"])
    return Lease(
        name=str(answer["name"]),
        access_token=value,
        token_type=kind,
        expires_at=None if expires is None else datetime.fromisoformat(str(expires)),
        generation=answer.get("generation"),
        fingerprint=answer.get("fingerprint"),
        # A file has no ready-made headers; nearly everybody wants this one.
        headers=answer.get("headers", {"Authorization": f"Bearer {value}"}),
        extra=answer.get("extra", {}),
    )
