"""An upstream's answer in a file: a body alone, or a whole answer with its head, as ``curl -i`` prints it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tokend.plugin.http_exchange import repeated
from tokend.plugin.settings_base import is_header_name
from tokend.plugin.strict_json import try_object

_STATUS_LINE = re.compile(rb"HTTP/[0-9](?:\.[0-9])? ([1-5][0-9][0-9])(?: [^\r\n]*)?\r?\n")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n|\A\r?\n")

# Its name in lower case, and its value.
Header = tuple[str, str]


class NoReplyError(ValueError):
    """A text that is no answer. The message quotes none of it."""


@dataclass(frozen=True, slots=True)
class GivenReply:
    """An answer as it was given. ``headers`` have lower-case names; ``cookies`` stand one by one.
    ``repeated`` are the names of headers that stand more than once.

    Its repr shows no header and no body.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    cookies: tuple[str, ...] = field(default=(), repr=False)
    repeated: frozenset[str] = frozenset()


def given_reply(content: bytes, *, status: int | None = None, headers: Iterable[str] = ()) -> GivenReply:
    """Read an answer. ``status`` and ``headers`` ("Name: value") count before what the content says.

    A body alone is a 200 whose type is guessed. Raises `NoReplyError`.
    """
    found, body = 200, content
    given: list[Header] = []
    head = _STATUS_LINE.match(body)
    if head is None:
        given = [("content-type", _media_type(body))]
    while head is not None:
        # What goes before the answer (100 Continue, a proxy's answer, a redirect that was followed) has a head, too.
        found, given, body = _with_head(int(head[1]), body[head.end() :])
        head = _STATUS_LINE.match(body)
    beside = [_header(line, "--header") for line in headers]
    replaced = {name for name, _ in beside}
    given = [one for one in given if one[0] not in replaced] + beside
    cookies = tuple(value for name, value in given if name == "set-cookie")
    twice = repeated(name for name, _ in given)
    return GivenReply(found if status is None else status, _joined(given), body, cookies, twice)


def _with_head(status: int, rest: bytes) -> tuple[int, list[Header], bytes]:
    end = _END_OF_HEAD.search(rest)
    if end is None and rest.strip():
        lines, body = rest, b""  # a head alone: the answer has no body
    else:
        lines, body = (rest[: end.start()], rest[end.end() :]) if end is not None else (b"", b"")
    return status, [_header(line, "the answer's head") for line in lines.decode("latin-1").splitlines()], body


def _joined(headers: Iterable[Header]) -> dict[str, str]:
    """Return headers as the HTTP client gives them to a kind: one that stands on several lines is a list."""
    joined: dict[str, str] = {}
    for name, value in headers:
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def _header(line: str, where: str) -> Header:
    name, colon, value = line.partition(":")
    if not colon or not is_header_name(name.strip()):
        raise NoReplyError(f'{where}: a header is written "Name: value", one a line')
    return name.strip().lower(), value.strip()


def _media_type(body: bytes) -> str:
    start = body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start == b"<":
        return "text/html"
    if try_object(body) is not None or start in {b"{", b"["}:
        return "application/json"
    is_form = b"=" in body and not re.search(rb"\s", body.strip())
    return "application/x-www-form-urlencoded" if is_form else "text/plain"
