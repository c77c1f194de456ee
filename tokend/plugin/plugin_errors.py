"""Errors of plug-ins while they are loaded: another API, and whatever their code raises, in words for the operator."""

import os

from tokend.plugin import API
from tokend.plugin.shown_text import NOT_SHOWN, shown

# Of the message of an exception that a plug-in raised.
MOST_CHARACTERS = 200
# A variable of the environment with one of these words in its name may hold a secret.
_SECRETIVE = ("SECRET", "KEY", "TOKEN", "PASS", "PWD", "AUTH", "CRED")
_SHORTEST_SECRET = 6


class PluginError(Exception):
    """A plug-in cannot be used. The message is for the operator; ``line`` and ``column`` count from 1."""

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.message, self.line, self.column = message, line, column


def of_another_api(found: object) -> str | None:
    """Return the fault of a plug-in that says it is written for ``found``; None if that is this API, or nothing."""
    if found is None or found == API:
        return None
    written = found if isinstance(found, int) else shown(repr(found))[:MOST_CHARACTERS]
    return f"written for API {written}; this tokend has {API}"


def words_of(error: BaseException) -> str:
    """Return the class of an exception that a plug-in raised, and the first line of its message without secrets."""
    try:
        text = str(error)
    except BaseException:  # the plug-in's own class
        text = ""
    text = text.strip().partition("\n")[0]
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST_SECRET and any(word in name.upper() for word in _SECRETIVE):
            text = text.replace(value, NOT_SHOWN)
    text = "".join(c if c.isprintable() else "?" for c in shown(text))[:MOST_CHARACTERS]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
