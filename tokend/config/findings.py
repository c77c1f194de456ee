"""Errors and warnings of a configuration: place, message, and the faulty line with its secrets masked and a caret."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tokend.values.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One error or warning: its place, its message, and an excerpt.

    ``line`` and ``column`` count from 1. ``excerpt`` is the line as it may be shown, or empty. ``caret`` is the number
    of terminal cells before the place in ``excerpt``. ``where`` is the path in the document, as in
    ``("providers", "tt", "api_key")``; empty if the problem has none. ``code`` names a kind of warnings.
    """

    file: str
    line: int
    column: int
    message: str
    excerpt: str = ""
    caret: int = 0
    where: tuple[str | int, ...] = ()
    code: str = "config"

    @property
    def provider(self) -> str | None:
        """The name of the provider whose table has the problem; None for any other table."""
        return str(self.where[1]) if len(self.where) > 1 and self.where[0] == "providers" else None

    @property
    def identity(self) -> tuple[object, ...]:
        """What stays equal when the file is edited elsewhere: a warning is logged once until this changes."""
        return (self.file, self.where, self.code, self.message)

    @property
    def headline(self) -> str:
        """The place and the message, on one line."""
        return f"{self.file}:{self.line}:{self.column}: {self.message}"

    def __str__(self) -> str:
        return f"{self.headline}\n    {self.excerpt}\n    {' ' * self.caret}^" if self.excerpt else self.headline


@dataclass(slots=True)
class Findings:
    """The errors and warnings collected so far while a configuration is read; ``starting``: for a start.

    ``in_shell``: for a check that is not the daemon's. ``notes`` has what only the daemon's unit can read.
    """

    errors: list[ConfigProblem] = field(default_factory=list)
    warnings: list[ConfigProblem] = field(default_factory=list)
    starting: bool = False
    in_shell: bool = False
    notes: list[ConfigProblem] = field(default_factory=list)

    def of_this_machine(self, problem: ConfigProblem) -> None:
        """Add a problem that is not in the configuration's text, as a file that cannot be read now.

        It is an error of a check and of a reload. A start goes on without what is missing: there it is a warning.
        """
        (self.warnings if self.starting else self.errors).append(problem)


class InvalidConfigError(ConfigError):
    """An invalid configuration. ``errors`` has all its errors; the exception's text has them all, with their places."""

    def __init__(self, errors: Iterable[ConfigProblem]) -> None:
        self.errors = in_order(errors)
        super().__init__("\n".join(str(problem) for problem in self.errors))


def in_order(problems: Iterable[ConfigProblem]) -> tuple[ConfigProblem, ...]:
    """Return the problems in the order of their places, each once."""
    return tuple(sorted(dict.fromkeys(problems), key=lambda one: (one.file, one.line, one.column)))


def in_status(keys: tuple[str | int | None, ...], message: str) -> str:
    """Return a message as the status shows it below its token: with the path of its key, once."""
    path = ".".join(str(key) for key in keys if key is not None)
    last = f"{keys[-1]}: " if keys else ""
    return f"{path}: {message.removeprefix(last)}" if path else message
