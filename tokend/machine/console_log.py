"""Log lines for a terminal: time, mark, token, sentence; at most 100 columns wide."""

import textwrap
from collections.abc import Mapping, MutableMapping
from typing import Any

COLUMNS = 100
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
    """structlog's last processor. ``colors`` colours the mark and the name."""

    def __init__(self, *, colors: bool) -> None:
        self._colors = colors

    def __call__(self, _: Any, __: str, event: MutableMapping[str, Any]) -> str:
        """Return the lines of one event."""
        mark, colour = _MARKS.get(str(event.get("level")), ("-", "32"))
        name = _shown(event.get("token") or "tokend").ljust(_NAME_COLUMNS)
        start = f"{event.get('timestamp', '')} {mark} {name} "
        lines = _fitted(start, _sentence(event))
        if self._colors:
            plain = f"{mark} {name}"
            lines[0] = lines[0].replace(plain, f"\x1b[{colour}m{plain}\x1b[0m", 1)
        if event.get("exception"):
            lines.append(str(event["exception"]))  # a traceback stays as Python wrote it
        return "\n".join(lines)


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


def _fitted(start: str, sentence: str) -> list[str]:
    """Break a sentence into lines of `COLUMNS`. Line breaks in it stay: an error's excerpt has several lines."""
    first, *others = sentence.split("\n")
    lines = textwrap.wrap(_shown(first), COLUMNS, initial_indent=start, subsequent_indent=_INDENT, drop_whitespace=True)
    for other in others:
        # An excerpt is aligned with its caret.
        lines += textwrap.wrap(
            _shown(other), COLUMNS, initial_indent=_INDENT, subsequent_indent=_INDENT, drop_whitespace=False,
            replace_whitespace=False,
        ) or [""]  # fmt: skip
    return lines or [start.rstrip()]


def _shown(text: Any) -> str:
    """Return a text without characters that drive a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text).expandtabs(4))
