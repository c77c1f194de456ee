"""URLs of a configuration with placeholders: the host is fixed, values are percent-encoded."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote

from pydantic import PlainValidator, WithJsonSchema

from tokend.plugin.declared.placeholders import Placeholder, Text, Value, as_text
from tokend.plugin.declared.unfit_values import UnfitValueError
from tokend.values.secret import Secret
from tokend.values.url import DOTS, is_metadata_server, validate_base_url

# What the HTTP client sends; few servers take as much.
LONGEST_URL = 64 * 1024

_START = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^/?#]*)(.?)", re.DOTALL)
# RFC 3986, 3.3 and 3.4: path and query, with what stands for a placeholder.
_REST = re.compile(r"[A-Za-z0-9._~:/?@!$&'()*+,;=%-]*", re.ASCII)


class SecretUrl(str):
    """A URL that contains a secret. Its repr shows the host only."""

    __slots__ = ()

    def __repr__(self) -> str:
        found = _START.match(self)
        return f"'{found[1] if found else ''}/…'"


@dataclass(frozen=True, slots=True)
class UrlTemplate:
    """A parsed URL. ``origin`` is scheme, host and port."""

    text: Text
    origin: str

    @classmethod
    def parse(cls, written: str) -> "UrlTemplate":
        """Parse a URL. Raises ValueError, which does not quote it."""
        text = Text.parse(written)
        start = _START.match(text.start)
        if start is None or (not start[2] and len(text.parts) > 1):
            what = "a URL's host is fixed: no placeholder before its path" if text.names else "write https://host/path"
            raise ValueError(f"this is no URL: {what}")
        origin = validate_base_url(start[1], metadata=True)
        if "#" in text.shown:
            raise ValueError("a URL has no fragment (#) here")
        sample = "".join(part if isinstance(part, str) else "x" for part in text.parts)[len(start[1]) :]
        if not _REST.fullmatch(sample):
            raise ValueError("a URL has characters here that must be percent-encoded: %20 for a space")
        if DOTS & set(sample.partition("?")[0].split("/")):
            raise ValueError("a URL has no . and no .. in its path")
        return cls(text, origin)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the placeholders, in order."""
        return self.text.names

    @property
    def path(self) -> Text:
        """The path: what follows the origin, without the query."""
        whole, start = _split(self.text, "?", 1)[0], _START.match(self.text.start)
        first, *others = whole.parts
        return Text((str(first)[len(start[1] if start else "") :], *others))

    def pairs(self, query: Mapping[str, Text]) -> tuple[Text, ...]:
        """Return the pairs of the whole query, in order, as they are filled: ``query`` comes last, already encoded."""
        written = [pair for text in _split(self.text, "?", 1)[1:] for pair in _split(text, "&")]
        return (*written, *(_encoded_pair(name, text) for name, text in query.items()))

    @property
    def is_metadata_server(self) -> bool:
        """Whether it leads over plain http to a cloud's metadata server: no secret may stand in the request."""
        return is_metadata_server(self.origin)

    @property
    def shown(self) -> str:
        """Host and path, with the placeholders as they are written and without the query."""
        return self.text.shown.partition("?")[0].partition("://")[2]

    def fill(self, values: Mapping[str, Value], query: Mapping[str, Text]) -> str:
        """Return the URL with the values and further query parameters. A `SecretUrl` if one of the values is a secret.

        Raises `UnfitValueError` if a value would make a part of the path that leads elsewhere, or a URL too long.
        """
        in_path = True
        for part in self.text.parts:
            in_path = in_path and not (isinstance(part, str) and "?" in part)
            if in_path and isinstance(part, Placeholder) and not as_text(values[part.name]):
                raise UnfitValueError(f"{part} is empty, and the URL's path needs it", [part.name])
        filled = self.text.fill(values, percent_encoded)
        texts = {name: text.fill(values) for name, text in query.items()}
        url = filled.reveal() if isinstance(filled, Secret) else filled
        if DOTS & set(url.partition("?")[0].split("/")):
            raise UnfitValueError("a value in the URL's path is . or .., which leads elsewhere", self.path.names)
        if pairs := form_encoded(texts):
            url += ("&" if "?" in url else "?") + pairs
        if len(url) > LONGEST_URL:
            named = [*self.names, *(name for text in query.values() for name in text.names)]
            raise UnfitValueError(f"the URL has more than {LONGEST_URL // 1024} KiB", named)
        return SecretUrl(url) if any(isinstance(one, Secret) for one in (filled, *texts.values())) else url


def percent_encoded(text: str) -> str:
    """Encode everything but letters, digits and ``-._~``."""
    return quote(text, safe="")


def form_encoded(texts: Mapping[str, str | Secret]) -> str:
    """Return ``name=value`` pairs, in clear, as a query or a form has them."""
    return "&".join(f"{percent_encoded(name)}={percent_encoded(as_text(text))}" for name, text in texts.items())


def _encoded_pair(name: str, text: Text) -> Text:
    parts = (percent_encoded(part) if isinstance(part, str) else part for part in text.parts)
    return Text((f"{percent_encoded(name)}=", *parts))


def _split(text: Text, separator: str, most: int = -1) -> list[Text]:
    """Split a text where its literal parts have a separator, at most so many times."""
    pieces: list[list[str | Placeholder]] = [[]]
    for part in text.parts:
        if isinstance(part, Placeholder):
            pieces[-1].append(part)
            continue
        first, *others = part.split(separator, most - len(pieces) + 1 if most > 0 else -1)
        pieces[-1].append(first)
        pieces += [[other] for other in others]
    return [Text(tuple(piece)) for piece in pieces]


def _parsed(value: object) -> UrlTemplate:
    if isinstance(value, UrlTemplate):
        return value
    if not isinstance(value, str):
        raise ValueError('a URL is a string: "https://…"')  # noqa: TRY004
    return UrlTemplate.parse(value)


UrlField = Annotated[UrlTemplate, PlainValidator(_parsed), WithJsonSchema({"type": "string", "pattern": "^https?://"})]
"""The type of a settings field with a URL."""
