"""Selection of a secret in a JSON content, by the key ``select`` of its place: one JMESPath expression.

An evaluation takes up to half a second: it belongs into the thread that reads the secret.
"""

from typing import Any

from tokend.plugin.declared.expressions import Expression
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.shown_text import shown
from tokend.plugin.strict_json import parse_value
from tokend.values.errors import SecretError, TransientError

# Longest part of an expression in a message.
LONGEST_SHOWN = 80
_FOUND = {bool: "true or false", list: "an array", dict: "an object"}


def selected(source: SecretSource, select: Expression, raw: bytes) -> bytes:
    """Return what an expression finds in the content of the secret's place. Blocks.

    Raises `SecretError`, which names place and expression, never the content.
    """
    asked = f"select = {_shown(select.text)}"
    try:
        document = parse_value(raw, "")
    except TransientError:
        mark = ": it begins with a byte order mark" if raw.startswith(b"\xef\xbb\xbf") else ""
        raise SecretError(f"{source} is no JSON{mark}, which {asked} needs") from None
    try:
        found = select.find(document)
    except TransientError:
        raise SecretError(f"{source}: {asked} visits too many nodes of it: write a simpler expression") from None
    return _text(found, f"{source}: {asked}").encode()


def _text(found: Any, what: str) -> str:
    if isinstance(found, str):
        return found
    if found is None:
        raise SecretError(f"{what} finds nothing")
    if type(found) in _FOUND:
        raise SecretError(f"{what} finds {_FOUND[type(found)]}: a secret is a string or a number")
    return str(found)


def _shown(expression: str) -> str:
    return f'"{shown(expression[:LONGEST_SHOWN])}{"…" if len(expression) > LONGEST_SHOWN else ""}"'
