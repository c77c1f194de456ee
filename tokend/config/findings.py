"""Errors of a configuration: place, sentence, the offending line with its secrets masked, a caret."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tokend.values.errors import ConfigError

# A near miss: enough letters in common to be the same word, too few for two words of our own tables.
NEAR = 0.6


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One error or warning: its place (line and column from 1), the sentence, and the line as it may be shown.

    ``caret`` is the number of terminal cells before the place in ``excerpt``.
    """

    file: str
    line: int
    column: int
    message: str
    excerpt: str = ""
    caret: int = 0

    @property
    def headline(self) -> str:
        """Place and sentence, on one line."""
        return f"{self.file}:{self.line}:{self.column}: {self.message}"

    def __str__(self) -> str:
        return f"{self.headline}\n    {self.excerpt}\n    {' ' * self.caret}^" if self.excerpt else self.headline


@dataclass(slots=True)
class Findings:
    """What is collected while a configuration is read."""

    errors: list[ConfigProblem] = field(default_factory=list)
    warnings: list[ConfigProblem] = field(default_factory=list)


class InvalidConfigError(ConfigError):
    """All that is wrong with a configuration. Its text is complete: one problem after another, each with its place."""

    def __init__(self, errors: Iterable[ConfigProblem]) -> None:
        self.errors = in_order(errors)
        super().__init__("\n".join(str(problem) for problem in self.errors))


def in_order(problems: Iterable[ConfigProblem]) -> tuple[ConfigProblem, ...]:
    """As they stand in their files, each once."""
    return tuple(sorted(dict.fromkeys(problems), key=lambda one: (one.file, one.line, one.column)))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean "…"?`` for a near miss, else nothing."""
    near = nearest(word, known)
    return "" if near is None else f'; did you mean "{near}"?'


def nearest(word: str, known: Iterable[str], *, cutoff: float = NEAR) -> str | None:
    """The known word that ``word`` is a near miss of: the same but for its case, or nearly the same."""
    import difflib  # 5 ms, and only a misspelt word needs it

    known = list(known)
    if (same := next((other for other in known if other.lower() == word.lower()), None)) is not None:
        return same

    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=cutoff)), None)
