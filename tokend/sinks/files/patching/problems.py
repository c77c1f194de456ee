"""Errors of an edit, and the place of a problem in a text. Their messages quote neither the file nor the value."""


class UneditableError(ValueError):
    """A file in which the value cannot be set without a change of something else."""


class NotThereError(UneditableError):
    """The way to the value is not there and cannot be made: nothing to take away."""


class UnencodableError(ValueError):
    """A value that the format cannot carry, or that its readers would read differently."""


def place(text: str, offset: int) -> str:
    """Say where an offset is: ``line 3, column 7``. Both count from 1, the column in characters."""
    begin = text.rfind("\n", 0, offset) + 1
    return f"line {text.count(chr(10), 0, offset) + 1}, column {offset - begin + 1}"


def not_parsed(text: str, offset: int, what: str) -> UneditableError:
    """Make the error for a text that is not of its format."""
    return UneditableError(f"{place(text, offset)}: {what}")
