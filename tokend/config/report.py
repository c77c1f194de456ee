"""How a configuration's errors are told: place, sentence, the offending line with its secrets masked, a caret."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tokend.errors import ConfigError

MASK = "…"
_PLAIN_PAIR = re.compile(r"\s*[A-Za-z0-9_.-]+\s*=[^={}]*$")


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One error or warning: its place (line and column from 1), the sentence, and the line as it may be shown."""

    file: str
    line: int
    column: int
    message: str
    excerpt: str = ""

    def __str__(self) -> str:
        head = f"{self.file}:{self.line}:{self.column}: {self.message}"
        if not self.excerpt:
            return head
        caret = " " * (min(self.column, len(self.excerpt) + 1) - 1) + "^"
        return f"{head}\n    {self.excerpt}\n    {caret}"


class InvalidConfigError(ConfigError):
    """All that is wrong with a configuration. Its text is complete: one problem after another, each with its place."""

    def __init__(self, errors: Iterable[ConfigProblem]) -> None:
        self.errors = tuple(sorted(errors, key=lambda problem: (problem.file, problem.line, problem.column)))
        super().__init__("\n".join(str(problem) for problem in self.errors))


def place_in(file: Path, text: str, line: int, column: int, message: str, *, public: bool) -> ConfigProblem:
    """Make a problem with its excerpt. ``public``: the key on that line is known and holds no secret."""
    lines = text.split("\n")
    raw = lines[line - 1].rstrip("\r") if 0 < line <= len(lines) else ""
    return ConfigProblem(str(file), line, column, message, shown(raw, public=public))


def shown(line: str, *, public: bool) -> str:
    """A line as it may be shown: values masked, unless it is one plain pair whose key is known and public."""
    line = "".join(c if c.isprintable() else " " for c in line)
    if public and _PLAIN_PAIR.match(line):
        return line
    key, equals, value = line.partition("=")
    if not equals:
        # A table's header or a comment is no secret; anything else may be the inside of a string.
        stripped = line.strip()
        harmless = re.fullmatch(r"\[{1,2}[A-Za-z0-9_. -]+\]{1,2}", stripped)
        return line if harmless else " " * (len(line) - len(line.lstrip())) + MASK
    if '"' in key or "'" in key:
        return MASK
    return f"{key}= {_masked(value)}"


def _masked(value: str) -> str:
    """Nothing but punctuation that shows the kind of value."""
    first = value.strip()[:1]
    closing = {'"': f'"{MASK}"', "'": f"'{MASK}'", "[": f"[{MASK}]", "{": f"{{ {MASK} }}"}
    return closing.get(first, MASK)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean "…"?`` for a near miss, else nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{near[0]}"?' if near else ""
