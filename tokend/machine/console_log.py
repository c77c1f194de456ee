"""Log lines for a terminal: time, mark, token, sentence; as wide as the terminal, and at most 100 columns."""

import os
import textwrap
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

COLUMNS = 100
# A terminal that says less is not believed: a line needs room for its beginning and some words.
FEWEST_COLUMNS = 40
# Mark and colour (SGR, ECMA-48) of each level. ASCII: the terminal's encoding is not known.
_MARKS = {
    "debug": (".", "2"), "info": ("-", "32"), "warning": ("!", "33"), "error": ("x", "31"), "critical": ("x", "31"),
}  # fmt: skip
# Keys that have a place of their own in the line.
_PLACED = ("timestamp", "level", "event", "token", "sink", "detail", "advice", "exception")
# Names of tokens are padded to this width, so that sentences are aligned.
_NAME_COLUMNS = 12
_INDENT = " " * 4


class ConsoleRenderer:
    """structlog's last processor. ``colors`` colours the mark and the name.

    ``columns`` returns the width of the terminal. Each line asks: a person may change the size of a window.
    """

    def __init__(self, *, colors: bool, columns: Callable[[], int] = lambda: COLUMNS) -> None:
        self._colors = colors
        self._columns = columns

    def __call__(self, _: Any, __: str, event: MutableMapping[str, Any]) -> str:
        """Return the lines of one event."""
        mark, colour = _MARKS.get(str(event.get("level")), ("-", "32"))
        name = _shown(event.get("token") or "tokend").ljust(_NAME_COLUMNS)
        start = f"{event.get('timestamp', '')} {mark} {name} "
        lines = _fitted(start, _sentence(event), max(FEWEST_COLUMNS, min(COLUMNS, self._columns())))
        if self._colors:
            plain = f"{mark} {name}"
            lines[0] = lines[0].replace(plain, f"\x1b[{colour}m{plain}\x1b[0m", 1)
        if event.get("exception"):
            lines.append(str(event["exception"]))  # a traceback stays as Python wrote it
        return "\n".join(lines)


def columns_of(descriptor: int) -> int:
    """Return the width of the terminal behind a descriptor; `COLUMNS` if it is none, or does not know its width."""
    try:
        return os.get_terminal_size(descriptor).columns or COLUMNS
    except OSError:
        return COLUMNS


def _sentence(event: Mapping[str, Any]) -> str:
    """Say an event in words: what happened, to which sink, why, what else is known, and what to do."""
    words = str(event.get("event", "")).replace(".", " ").replace("_", " ")
    subject, _, rest = words.partition(" ")
    # The line begins with the token's name: "topstepx refreshed".
    text = rest if rest and subject == "token" and event.get("token") else words
    if event.get("sink"):
        text += f", {event['sink']}"
    if _is_known(event.get("detail")):
        text += f": {event['detail']}"
    facts = [f"{_words(key)} {event[key]}" for key in event if key not in _PLACED and _is_known(event[key])]
    if facts:
        text += f" ({', '.join(facts)})"
    return f"{text}. {event['advice']}" if _is_known(event.get("advice")) else text


def _words(key: str) -> str:
    return key.replace("_", " ")


def _is_known(value: Any) -> bool:
    return value is not None and value != ""


def _fitted(start: str, sentence: str, columns: int) -> list[str]:
    """Break a sentence into lines of ``columns``. Line breaks in it stay: an error's excerpt has several lines."""
    first, *others = sentence.split("\n")
    lines = textwrap.wrap(_shown(first), columns, initial_indent=start, subsequent_indent=_INDENT, drop_whitespace=True)
    for other in others:
        # An excerpt is aligned with its caret.
        lines += textwrap.wrap(
            _shown(other), columns, initial_indent=_INDENT, subsequent_indent=_INDENT, drop_whitespace=False,
            replace_whitespace=False,
        ) or [""]  # fmt: skip
    return lines or [start.rstrip()]


def _shown(text: Any) -> str:
    """Return a text without characters that drive a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text).expandtabs(4))
