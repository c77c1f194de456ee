"""A vendor's own texts about a caller's parameters, made fit to be passed on: they are written by strangers and may
echo what we sent."""

import json
from collections.abc import Iterable
from typing import Any

from tokend.values.secret import Secret

# The whole of them as JSON: a few sentences, not a page.
LARGEST_BYTES = 4096
MASK = "***"


def field_errors(found: Any, *, secrets: Iterable[Secret]) -> dict[str, list[str]]:
    """The texts by field: control characters removed, secrets masked, 4 KiB at most. Empty where there are none."""
    hidden = [form for secret in secrets for form in _forms(secret)]
    errors: dict[str, list[str]] = {}
    for field, texts in found.items() if isinstance(found, dict) else ():
        name = _clean(field, hidden)
        for text in texts if isinstance(texts, list) else [texts]:
            line = _clean(text, hidden) if isinstance(text, str) else ""
            left = LARGEST_BYTES - len(json.dumps({**errors, name: [*errors.get(name, []), ""]}))
            if left <= 0:
                return errors
            line = _cut(line, left)
            if line:
                errors.setdefault(name, []).append(line)
    return errors


def _forms(secret: Secret) -> list[str]:
    """What an echo of the secret may look like."""
    raw = secret.reveal_bytes()
    return [form for form in (_printable(raw.decode("utf-8", "ignore")), raw.hex()) if form]


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())


def _clean(text: str, hidden: Iterable[str]) -> str:
    text = _printable(text)  # first: a control character inside must not hide a secret from the mask
    for form in hidden:
        text = text.replace(form, MASK)
    return text


def _cut(line: str, left: int) -> str:
    """As much of ``line`` as takes at most ``left`` bytes in JSON, however it is escaped."""
    while (size := len(json.dumps(line)) - 2) > left:
        line = line[: min(len(line) - 1, len(line) * left // size)]
    return line
