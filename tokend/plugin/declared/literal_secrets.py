"""Texts of a declared request that look like secrets: a warning names the place of each."""

import re
from collections.abc import Iterator

from tokend.plugin.declared.placeholders import Text
from tokend.plugin.declared.request import RequestSettings, Where
from tokend.plugin.shown_text import looks_secret

# Names of headers whose value is a credential.
_CREDENTIAL = re.compile(r"auth|cookie|secret|token|(api|access|app)[-_]?key", re.IGNORECASE)
_PASSWORD = r"pass(?:word|wd|phrase|code)|pwd"  # noqa: S105  (a pattern of names)
_NAME = rf"{_PASSWORD}|secret|token|(?:api|access|app|secret|private|signing)[-_]?key"
# Names of members, fields and parameters whose value is a credential: they end so.
_OF_PASSWORD = re.compile(rf"(?:{_PASSWORD})$", re.IGNORECASE)
_NAMED = re.compile(rf"(?:{_NAME})$", re.IGNORECASE)
# The same in a text: ``password=…``, ``"password": "…"``, ``<password>…``.
_IN_TEXT = re.compile(rf"""(?<![/\w-])[\w-]*(?:{_NAME})(?:["']?\s*[=:]\s*["']?|>)([^\s"'&<>,{{}}]+)""", re.IGNORECASE)
_IN_URL = re.compile(rf"[?&][\w-]*(?:{_NAME})=([^&#{{}}]+)", re.IGNORECASE)
# A number of seconds, a switch.
_NO_SECRET = re.compile(r"\s*([0-9]{0,8}|true|false|yes|no|none|null)\s*", re.IGNORECASE)


def literal_secrets(request: RequestSettings, table: str) -> Iterator[str]:
    """Yield the place of each text that looks like a secret, as ``table.headers.NAME``."""
    for where, text in request.texts():
        literal = "".join(part for part in text.parts if isinstance(part, str))
        if _is_credential(where, text) or looks_secret(literal):
            yield ".".join(map(str, (table, *where)))


def is_literal_secret(name: str, text: str) -> bool:
    """Return whether a text without placeholders is a secret by the name of its member, field or parameter."""
    return _NAMED.search(name) is not None and (
        _NO_SECRET.fullmatch(text) is None or (text.strip() != "" and _OF_PASSWORD.search(name) is not None)
    )


def _is_credential(where: Where, text: Text) -> bool:
    if where[0] in {"url", "text"}:
        pattern = _IN_URL if where[0] == "url" else _IN_TEXT
        return any(_NO_SECRET.fullmatch(value) is None for value in pattern.findall(text.shown))
    if text.names:
        return False
    name = next((str(key) for key in reversed(where) if isinstance(key, str)), "")
    if where[0] == "headers":
        return _CREDENTIAL.search(name) is not None and _NO_SECRET.fullmatch(text.shown) is None
    return is_literal_secret(name, text.shown)
