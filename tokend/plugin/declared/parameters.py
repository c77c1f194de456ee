"""Parameters that a caller gives to an on-demand kind, ``[parameters]``: which there are, and which texts they take.

A pattern is one character class with a length, ``[A-Za-z0-9_-]{1,64}``, or words, ``demo|live``. It is compared in one
pass over the text, whatever the text is.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Self

from pydantic import Field, PlainValidator, WithJsonSchema, model_validator

from tokend.plugin.caller_names import MOST_PARAMETERS, unknown_parameters
from tokend.plugin.settings_base import Settings
from tokend.plugin.text import is_text
from tokend.values.errors import InvalidParametersError

# Characters of one parameter: bodies have at most 64 KiB.
MOST_CHARACTERS = 64 * 1024
DEFAULT_CHARACTERS = 1024
LONGEST_PATTERN = 1000

_CLASS = re.compile(r"\[(?:(\^)|(?!\^))((?:[^\]\\]|\\.)+)\]\{([0-9]{1,6})(?:,([0-9]{1,6}))?\}", re.DOTALL)
_ITEM = re.compile(r"\\(.)|(.)", re.DOTALL)
# What stands for itself in a word.
_WORD = re.compile(r"(?:[^\\\[\](){}*+?^$.|]|\\[^A-Za-z0-9])+", re.DOTALL)
_ADVICE = 'a pattern is one character class with a length, "[A-Za-z0-9_-]{1,64}", or words, "demo|live"'


class Pattern:
    """A parsed pattern. Immutable; equal to another of the same text. Raises ValueError for anything else."""

    __slots__ = ("_compiled", "longest", "text", "words")

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST_PATTERN:
            raise ValueError(f"a pattern has at most {LONGEST_PATTERN} characters")
        self.text = text
        found = _CLASS.fullmatch(text)
        self.words = () if found else _words(text)
        self.longest = max(map(len, self.words), default=0)
        self._compiled: re.Pattern[str] | None = None
        if found is not None:
            least = int(found[3])
            self.longest = int(found[4] or found[3])
            if least > self.longest or self.longest > MOST_CHARACTERS or not self.longest:
                raise ValueError(f"a pattern's length is {{1,{MOST_CHARACTERS}}} at most, the smaller number first")
            members = "".join(_ranges(found[2]))
            self._compiled = re.compile(f"[{found[1] or ''}{members}]{{{least},{self.longest}}}")

    def accepts(self, text: str) -> bool:
        """Return whether the pattern is that of the whole text."""
        return text in self.words if self._compiled is None else self._compiled.fullmatch(text) is not None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Pattern({self.text!r})"


def _words(text: str) -> tuple[str, ...]:
    words = []
    start = 0
    while (found := _WORD.match(text, start)) is not None:
        words.append(re.sub(r"\\(.)", r"\1", found[0], flags=re.DOTALL))
        start = found.end() + 1
        if found.end() == len(text):
            return tuple(words)
        if text[found.end()] != "|":
            break
    raise ValueError(f"{_ADVICE}; in a word a \\ stands before each of \\ [ ] ( ) {{ }} * + ? ^ $ . |")


def _ranges(members: str) -> Iterator[str]:
    """Yield the members of a character class, each of them escaped."""
    items = [(one[1] or one[2], one[1] is not None) for one in _ITEM.finditer(members)]
    if any(escaped and char.isalnum() and char.isascii() for char, escaped in items) or ("[", False) in items:
        raise ValueError(f"a character class has characters and ranges only, no \\d and no [: {_ADVICE}")
    index = 0
    while index < len(items):
        first = items[index][0]
        if index + 2 < len(items) and items[index + 1] == ("-", False):
            last = items[index + 2][0]
            if last < first or (items[index + 3 : index + 4] == [("-", False)] and index + 4 < len(items)):
                raise ValueError(f"the range {first}-{last} of a character class cannot be read: {_ADVICE}")
            yield f"{re.escape(first)}-{re.escape(last)}"
            index += 3
            continue
        if items[index] == ("-", False) and 0 < index < len(items) - 1:
            raise ValueError(f"a - is first or last in a character class: {_ADVICE}")
        yield re.escape(first)
        index += 1


def _parsed(value: object) -> Pattern:
    if isinstance(value, Pattern):
        return value
    if not isinstance(value, str):
        raise ValueError(_ADVICE)  # noqa: TRY004  (pydantic wants it)
    return Pattern(value)


PatternField = Annotated[
    Pattern,
    PlainValidator(_parsed),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": LONGEST_PATTERN}),
]


class Parameter(Settings):
    """One parameter: its length, its pattern, and whether it may be absent. Without a pattern: any text."""

    max: Annotated[int, Field(ge=1, le=MOST_CHARACTERS)] | None = None
    pattern: PatternField | None = None
    optional: bool = False

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.max is not None and self.pattern is not None and self.pattern.words and self.max < self.pattern.longest:
            raise ValueError(f"max is {self.max}, and a word of the pattern has {self.pattern.longest} characters")
        return self

    @property
    def longest(self) -> int:
        """The most characters."""
        if self.max is not None:
            return self.max
        return DEFAULT_CHARACTERS if self.pattern is None else self.pattern.longest

    def fault(self, text: str) -> str | None:
        """Return what is wrong with a caller's text; None if nothing is. Fast, whatever the text is."""
        if self.pattern is not None and self.pattern.words:
            return None if self.pattern.accepts(text) else f"is not one of {', '.join(self.pattern.words)}"
        if len(text) > self.longest:
            return f"has {len(text)} characters; at most {self.longest} are allowed"
        if not is_text(text):
            return "is not valid Unicode text"
        if self.pattern is not None and not self.pattern.accepts(text):
            return f"is not {self.pattern.text}"
        return None


Parameters = Mapping[str, Parameter]
ParametersField = Annotated[dict[str, Parameter], Field(default_factory=dict, max_length=MOST_PARAMETERS)]


def check_parameters(declared: Parameters, given: Mapping[str, str]) -> None:
    """Raise `InvalidParametersError` with every wrong parameter: unknown, missing, too long, of another pattern."""
    errors: dict[str, list[str]] = {}
    for name, parameter in declared.items():
        if not given.get(name):
            if not parameter.optional:
                errors[name] = ["is required"]
        elif (fault := parameter.fault(given[name])) is not None:
            errors[name] = [fault]
    errors |= unknown_parameters(given, declared)
    if errors:
        raise InvalidParametersError(errors)


def absent(declared: Parameters, given: Mapping[str, str]) -> frozenset[str]:
    """Return the names of the optional parameters that a caller has not given, or has given as an empty text."""
    return frozenset(name for name in declared if not given.get(name))
