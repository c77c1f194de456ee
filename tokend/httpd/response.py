"""Answers as values and as bytes. What they say is decided in `routes` and `problems`."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson

JSON_TYPE = "application/json"
PLAIN_TYPE = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Response:
    """One complete answer, or the head of a ``stream`` whose end is the end of the connection.

    ``headers`` are those beyond Content-Type, Content-Length and Cache-Control, which `encode` adds.
    """

    status: int
    body: bytes = b""
    content_type: str | None = JSON_TYPE
    headers: tuple[tuple[str, str], ...] = ()
    stream: AsyncGenerator[bytes, None] | None = None

    def encode(self, *, close: bool, head_only: bool = False) -> bytes:
        """Lay the answer out for the wire; ``close`` announces the end of the connection."""
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        if self.content_type is not None:
            lines.append(f"Content-Type: {self.content_type}")
        if self.stream is None and self.status != HTTPStatus.NOT_MODIFIED:
            lines.append(f"Content-Length: {len(self.body)}")
        # Whatever is said here may be a secret or is about to change: nobody in between may keep it.
        lines.append("Cache-Control: no-store")
        lines.extend(f"{name}: {value}" for name, value in self.headers)
        if close:
            lines.append("Connection: close")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        return head if head_only else head + self.body


def json_response(
    value: Mapping[str, Any], *, status: int = 200, headers: tuple[tuple[str, str], ...] = ()
) -> Response:
    """Make an answer of a JSON object."""
    return Response(status, orjson.dumps(value), headers=headers)
