"""Texts of a configuration with placeholders ``{name}``; ``{{`` and ``}}`` are braces.

A kind declares the names that it fills in (`unknown_name`). A text with a secret is a `Secret`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from pydantic import PlainValidator, WithJsonSchema

from tokend.values.near_miss import did_you_mean
from tokend.values.secret import Secret

Value: TypeAlias = Secret | str | int | float | bool | None
"""What a placeholder yields. None is an empty text."""

# A name, or a group of names and one of its literal keys: {value}, {values.DB.PASSWORD}.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[^{}\r\n]+)?", re.ASCII)
_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
# More names than these would hide the rest of a message.
MOST_NAMES_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A placeholder's name."""

    name: str

    def __str__(self) -> str:
        return f"{{{self.name}}}"


@dataclass(frozen=True, slots=True)
class Text:
    """A parsed text: its literal parts and its placeholders, in order."""

    parts: tuple[str | Placeholder, ...]

    @classmethod
    def parse(cls, written: str) -> "Text":
        """Parse a text. Raises ValueError, whose message has the position."""
        parts: list[str | Placeholder] = []
        end = 0
        for match in _PART.finditer(written):
            _append(parts, written[end : match.start()])
            end = match.end()
            if match[0] in {"{{", "}}"}:
                _append(parts, match[0][0])
            elif match[1] is not None and _NAME.fullmatch(match[1]):
                parts.append(Placeholder(match[1]))
            else:
                what = "begins no placeholder" if match[1] is not None else "has no counterpart"
                advice = "write {name}, or {{ and }} for braces"
                raise ValueError(f"character {match.start() + 1}: this {match[0][0]} {what}: {advice}")
        _append(parts, written[end:])
        return cls(tuple(parts))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the placeholders, in order."""
        return tuple(part.name for part in self.parts if isinstance(part, Placeholder))

    @property
    def only(self) -> str | None:
        """The name of the placeholder that is the whole text; None for any other text."""
        if len(self.parts) == 1 and isinstance(one := self.parts[0], Placeholder):
            return one.name
        return None

    @property
    def start(self) -> str:
        """The literal text before the first placeholder."""
        return self.parts[0] if self.parts and isinstance(self.parts[0], str) else ""

    @property
    def shown(self) -> str:
        """The text with its placeholders as they are written."""
        return "".join(map(str, self.parts))

    def fill(self, values: Mapping[str, Value], encode: Callable[[str], str] = str) -> str | Secret:
        """Return the text with the values, each encoded by ``encode``. A `Secret` if one of the values is."""
        hidden = any(isinstance(values[name], Secret) for name in self.names)
        text = "".join(part if isinstance(part, str) else encode(as_text(values[part.name])) for part in self.parts)
        return Secret(text) if hidden else text

    def fill_typed(self, values: Mapping[str, Value]) -> Value:
        """Return the value itself if the text is one placeholder, else as `fill`."""
        return self.fill(values) if self.only is None else values[self.only]


def as_text(value: Value) -> str:
    """Return a value as text, in clear."""
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def unknown_name(names: Iterable[str], known: Iterable[str]) -> str | None:
    """Return the error for the first of ``names`` that is not in ``known``; None if all are known."""
    known = list(dict.fromkeys(known))
    unknown = next((name for name in names if name not in known), None)
    if unknown is None:
        return None
    shown = ", ".join(f"{{{name}}}" for name in known[:MOST_NAMES_SHOWN])
    more = ", …" if len(known) > MOST_NAMES_SHOWN else ""
    return f'there is no placeholder "{unknown}" here; known are {shown}{more}{did_you_mean(unknown, known)}'


def _append(parts: list[str | Placeholder], literal: str) -> None:
    if not literal:
        return
    if parts and isinstance(before := parts[-1], str):
        parts[-1] = before + literal
    else:
        parts.append(literal)


def _parsed(value: object) -> Text:
    if isinstance(value, Text):
        return value
    if isinstance(value, bool | int):
        return Text((as_text(value),))
    if not isinstance(value, str):
        raise ValueError('expected a string, in which placeholders may stand: "{value}"')  # noqa: TRY004
    return Text.parse(value)


TextField = Annotated[Text, PlainValidator(_parsed), WithJsonSchema({"type": ["string", "integer", "boolean"]})]
"""The type of a settings field with placeholders. A number and a boolean are the text that stands there."""
