"""One HTTP request as a value, and the reading of its parts: target, query, negotiation, JSON body."""

import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import unquote_to_bytes

from tokend.access.peer import Peer
from tokend.httpd.problem import RequestError, bad_request
from tokend.values.few_names import MOST_NAMES, few

# Browsers send these. A web page is the one client that can be tricked into a request (through a local proxy).
BROWSER_HEADERS = frozenset((b"origin", b"referer", b"sec-fetch-site"))
# With one of these headers, the same text may need another answer, or decides about the connection.
_CHANGING_HEADERS = frozenset((b"if-none-match", b"prefer", b"expect", b"connection", b"upgrade"))
_WAIT = re.compile(r"\s*wait\s*=\s*\"?([0-9]{1,9})\"?\s*", re.ASCII | re.IGNORECASE)
# The longest `Prefer: wait`; longer ones are cut, as RFC 7240 section 4.3 allows.
LONGEST_WAIT_SECONDS = 300


@dataclass(frozen=True)
class Request:
    """A complete request. Header names are lower-case bytes; the repr shows neither headers nor body."""

    method: str
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    body: bytes = field(repr=False)
    peer: Peer
    keep_alive: bool

    @property
    def is_plain_read(self) -> bool:
        """Whether the next request of the same text may get the same answer, on a connection that goes on."""
        return (
            self.method == "GET"
            and self.keep_alive
            and not self.body
            and b"?" not in self.target
            and not any(name in _CHANGING_HEADERS for name, _ in self.headers)
        )

    def header(self, name: bytes) -> str | None:
        """Return the values of one header, joined by commas; None if it is absent."""
        values = [value for key, value in self.headers if key == name]
        return b", ".join(values).decode("latin-1") if values else None

    @cached_property
    def segments(self) -> tuple[str, ...]:
        """The path's segments, percent-decoded one by one, so that ``%2F`` never separates."""
        path = self.target.partition(b"?")[0]
        if path[:7].lower() == b"http://":  # absolute-form, RFC 9112 section 3.2.2
            path = b"/" + path[7:].partition(b"/")[2]
        if not path.startswith(b"/"):
            raise bad_request("the request target must begin with a slash")
        return tuple(_decode(part) for part in path[1:].split(b"/"))

    def query(self, known: frozenset[str]) -> dict[str, str]:
        """Return the query's parameters; raises `RequestError` for unknown, repeated and malformed ones."""
        found: dict[str, str] = {}
        for part in filter(None, self.target.partition(b"?")[2].split(b"&")):
            key, _, value = (_decode(side.replace(b"+", b" ")) for side in part.partition(b"="))
            if key not in known:
                expected = f"known here: {', '.join(sorted(known))}" if known else "this resource takes none"
                raise bad_request(f"unknown query parameter {key[:40]!r}; {expected}")
            if key in found:
                raise bad_request(f"query parameter {key!r} is given twice")
            found[key] = value
        return found

    def json_object(self, known: frozenset[str] | None = None) -> dict[str, Any]:
        """Return the body as a JSON object, ``{}`` without a body; ``known`` names the only keys that may occur.

        Raises `RequestError`.
        """
        if not self.body:
            return {}
        # A missing type is taken for JSON; web pages, which could leave it out, are refused for their Origin.
        media = (self.header(b"content-type") or "application/json").partition(";")[0].strip().lower()
        if media != "application/json":
            raise RequestError(415, "unsupported_media_type", "the body must be sent as Content-Type: application/json")
        try:
            # Decoded here: given bytes, json.loads guesses UTF-16 and takes a BOM (RFC 8259 section 8.1 has neither).
            value = json.loads(
                self.body.decode(), object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant
            )
            json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate is no text
        except (ValueError, RecursionError):
            raise bad_request("the body is not one valid JSON object in UTF-8") from None
        if not isinstance(value, dict):
            raise bad_request("the body must be a JSON object")
        unknown = [key for key in value if key not in known] if known is not None else []
        if unknown:
            errors = {key[:40]: ["unknown key"] for key in unknown[:MOST_NAMES]}
            raise bad_request(f"unknown keys in the body: {few(unknown)}", errors=errors)
        return value

    def wait_seconds(self) -> int | None:
        """Return the ``wait`` of Prefer, at most `LONGEST_WAIT_SECONDS`; None if there is none that can be read."""
        for preference in (self.header(b"prefer") or "").split(","):
            if match := _WAIT.fullmatch(preference.partition(";")[0]):
                return min(int(match[1]), LONGEST_WAIT_SECONDS)
        return None

    def matches_etag(self, tag: str) -> bool:
        """Return whether If-None-Match names this entity tag (with its quotes; weak comparison, RFC 9110 13.1.2)."""
        tags = [given.strip().removeprefix("W/") for given in (self.header(b"if-none-match") or "").split(",")]
        return tag in tags or "*" in tags

    def preferred_type(self, *offered: str) -> str | None:
        """Choose one of the media types offered by the Accept header; None if it accepts none of them.

        The higher q wins, then the type that is named more exactly, then the order of the offer.
        """
        accept = self.header(b"accept")
        if accept is None or not accept.strip():
            return offered[0]
        quality, best = max(((_rank(accept, one), one) for one in offered), key=lambda found: found[0])
        return best if quality[0] > 0 else None


def _rank(accept: str, media_type: str) -> tuple[float, int]:
    """Return the q of the most exact range that covers the type, and how exact it is (RFC 9110 section 12.5.1)."""
    exactness = {media_type: 2, f"{media_type.partition('/')[0]}/*": 1, "*/*": 0}
    best = (-1, 0.0)
    for item in accept.split(","):
        media, *parameters = (part.strip().lower() for part in item.split(";"))
        if media in exactness:
            best = max(best, (exactness[media], _quality(parameters)))
    return (best[1], best[0])


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0


def _decode(part: bytes) -> str:
    try:
        text = unquote_to_bytes(part).decode()
    except UnicodeDecodeError:
        raise bad_request("the request target is not UTF-8") from None
    if not text.isprintable():
        raise bad_request("the request target holds control characters")
    return text


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate keys")
    return found


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
