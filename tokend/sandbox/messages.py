"""HTTP request and reply as values, between the server and the vendors."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn
from urllib.parse import parse_qsl


@dataclass(frozen=True, slots=True)
class Request:
    """Complete request. ``path`` is raw and without the query, header names are lower-case. The repr hides secrets."""

    method: str
    path: str = field(repr=False)  # the path of a login link holds its token
    query: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)

    @property
    def media_type(self) -> str:
        """Content type without parameters, in lower case; empty without one."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def bearer(self) -> str | None:
        """Token of ``Authorization: Bearer …`` (capital B, as all vendors document it), or None."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token if scheme == "Bearer" and token else None

    def parameters(self, name: str) -> list[str]:
        """Return all values of a query parameter, decoded."""
        return [value for key, value in parse_qsl(self.query, keep_blank_values=True) if key == name]

    def json_object(self, *, verbatim_numbers: bool = False) -> dict[str, Any] | None:
        """Parse the body; None unless it is a JSON object in UTF-8. With ``verbatim_numbers`` numbers stay text."""
        number = str if verbatim_numbers else None
        try:
            value = json.loads(
                self.body.decode("utf-8"), parse_constant=_no_constant, parse_float=number, parse_int=number
            )
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer to a request. ``delivery`` other than whole cuts the body, or closes the connection without an answer."""

    status: int
    body: bytes = field(default=b"", repr=False)
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    delivery: Literal["whole", "truncated", "none"] = "whole"
    detail: Mapping[str, Any] = field(default_factory=dict)  # for the journal: what the vendor did; no secret


def http_status(code: int | str | None, default: int) -> int:
    """Return the code if it is an HTTP status, else the default."""
    return code if isinstance(code, int) and 200 <= code <= 599 else default


def json_reply(
    status: int,
    value: object,
    *,
    content_type: str = "application/json; charset=utf-8",
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Build a reply with compact JSON."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
    return Reply(status=status, body=body, content_type=content_type, headers=headers or {})


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
