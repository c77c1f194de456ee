"""The requests of the HTTP interface as values, for `TokenClient` and `AsyncTokenClient`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from tokend.client.errors import BadRequestError

LONG_POLL_SECONDS = 60
# Pause of `watch` between two requests while there is no daemon or no token.
PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class Call:
    """One request. The repr shows neither body nor headers: parameters of an `issue` may be secret."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def __repr__(self) -> str:
        return f"Call({self.method} {self.target})"


def call(method: str, target: str, body: Mapping[str, Any] | None = None) -> Call:
    """Return any request whose answer is JSON. ``body`` is sent as JSON."""
    accept = ("Accept", "application/json")
    if body is None:
        return Call(method, target, (accept,), b"")
    return Call(method, target, (accept, ("Content-Type", "application/json")), json.dumps(body).encode())


def get(name: str, min_ttl: float | None) -> Call:
    """Return the request for a token that is valid for ``min_ttl`` more seconds."""
    query = "" if min_ttl is None else "?" + urlencode({"min_ttl": f"{max(1, round(min_ttl * 1000))}ms"})
    return call("GET", token_target(name) + query)


def refresh(name: str, if_generation: int | None, reason: str | None) -> Call:
    """Return the request for a newer token."""
    body = {"if_generation": if_generation, "reason": reason}
    return call("POST", token_target(name, "refresh"), {key: value for key, value in body.items() if value is not None})


def sync(name: str, sink: str | None, take_over: bool) -> Call:
    """Return the request to write a token to its sinks, or to one, now."""
    body = {"sink": sink, "take_over": take_over or None}
    return call("POST", token_target(name, "sync"), {key: value for key, value in body.items() if value is not None})


def issue(name: str, parameters: Mapping[str, str]) -> Call:
    """Return the request for one on-demand token."""
    return call("POST", token_target(name, "issue"), parameters)


def sign(name: str, method: str, path: str, query: str, body: str | bytes) -> Call:
    """Return the request for the headers that sign one call to the upstream.

    Raises `BadRequestError` for a body that is no UTF-8: the daemon signs texts.
    """
    target, _, rest = path.partition("?")
    try:
        text = body.decode() if isinstance(body, bytes) else body
    except UnicodeDecodeError:
        raise BadRequestError("the body to be signed is not UTF-8") from None
    content = {"method": method, "path": target, "query": query or rest, "body": text}
    return call("POST", token_target(name, "sign"), content)


def watch(name: str, generation: int | None) -> Call:
    """Return the long poll for a token other than ``generation``."""
    headers = [("Prefer", f"wait={LONG_POLL_SECONDS}")]
    if generation is not None:
        headers.append(("If-None-Match", f'"{generation}"'))
    return Call("GET", token_target(name), tuple(headers), b"")


def token_target(name: str, action: str | None = None) -> str:
    """Return the request target of a token or of one of its actions. The name may have any characters."""
    return f"/v1/tokens/{quote(name, safe='', errors='surrogateescape')}" + ("" if action is None else f"/{action}")
