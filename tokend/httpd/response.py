"""HTTP responses as values, and their encoding. The application decides their content."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson

# Answers say that an idle connection stays open for so long. The server waits longer (`Limits.idle_seconds`): a client
# that sends a request at the last moment must not meet the end of the connection.
KEEP_ALIVE_SECONDS = 60
JSON_TYPE = "application/json"
PLAIN_TYPE = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Response:
    """One complete answer, or the head of a ``stream`` that ends with the connection.

    ``headers`` are those beyond Content-Type, Content-Length and Cache-Control, which `encode` adds. ``basis`` is
    opaque to the server: a response that has one may be offered to `PreparedAnswers.remember`.
    """

    status: int
    body: bytes = field(default=b"", repr=False)
    content_type: str | None = JSON_TYPE
    headers: tuple[tuple[str, str], ...] = ()
    stream: AsyncGenerator[bytes, None] | None = None
    basis: object = field(default=None, repr=False, compare=False)

    def encode(self, *, close: bool, head_only: bool = False, keep_alive_seconds: int | None = None) -> bytes:
        """Encode as HTTP/1.1; ``close`` announces the end of the connection, ``head_only`` leaves out the body.

        ``keep_alive_seconds`` says how long the client may let an open connection be idle.
        """
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        if self.content_type is not None:
            lines.append(f"Content-Type: {self.content_type}")
        if self.stream is None and self.status != HTTPStatus.NOT_MODIFIED:
            lines.append(f"Content-Length: {len(self.body)}")
        # Every answer may hold a secret or is about to change: no cache on the way may keep it.
        lines.append("Cache-Control: no-store")
        lines.extend(f"{name}: {value}" for name, value in self.headers)
        if close:
            lines.append("Connection: close")
        elif keep_alive_seconds is not None:
            lines.append(f"Keep-Alive: timeout={keep_alive_seconds}")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        return head if head_only else head + self.body


def json_response(
    value: Mapping[str, Any], *, status: int = 200, headers: tuple[tuple[str, str], ...] = ()
) -> Response:
    """Make a response of a JSON object."""
    return Response(status, orjson.dumps(value), headers=headers)
