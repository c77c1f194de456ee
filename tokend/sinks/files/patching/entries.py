"""Entries between braces with commas: objects of JSON, flow mappings of YAML, inline tables of TOML."""

import re
from collections.abc import Sequence

from tokend.sinks.files.patching.lines import indentation, newline_of

Span = tuple[int, int]

# A comment stands behind a blank or begins its line.
_COMMA = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*(,)(?:[ \t]+(?![ \t#]))?")
_ONLY_A_COMMA = re.compile(r"[ \t\r\n]*,?[ \t\r\n]*")


def with_entry(text: str, braces: Span, entries: Sequence[Span], entry: str, *, tight: bool = False) -> str:
    """Add an entry after the last one, in the layout of the others. ``braces`` are those of the collection.

    ``tight``: no blank behind a comma.
    """
    if not entries:
        return text[: braces[0] + 1] + entry + text[braces[0] + 1 :]
    start, end = entries[-1]
    blanks = indentation(text, start)
    if blanks is not None:
        lead = newline_of(text) + blanks
    elif len(entries) > 1 and "\n" not in (between := text[entries[-2][1] : start]):
        lead = " " if between.endswith((" ", "\t")) else ""
    else:
        lead = "" if tight else " "
    return f"{text[:end]},{lead}{entry}{text[end:]}"


def without_entry(text: str, braces: Span, entries: Sequence[Span], index: int) -> str:
    """Take an entry and one comma away. Comments stay."""
    start, end = entries[index]
    if len(entries) == 1:
        before, after = text[braces[0] + 1 : start], text[end : braces[1] - 1]
        if not before.strip() and _ONLY_A_COMMA.fullmatch(after):
            return text[: braces[0] + 1] + text[braces[1] - 1 :]
        return text[:start] + _without_comma(text, end)
    if index + 1 < len(entries):
        following = entries[index + 1][0]
        if _ONLY_A_COMMA.fullmatch(text, end, following):
            return text[:start] + text[following:]
        return text[:start] + _without_comma(text, end)
    previous = entries[index - 1][1]
    if _ONLY_A_COMMA.fullmatch(text, previous, start):
        return text[:previous] + text[end:]
    return text[:previous] + _without_comma(text[:start], previous) + text[end:]


def _without_comma(text: str, offset: int) -> str:
    """Return the text from an offset without the comma that comes next, if one does."""
    found = _COMMA.match(text, offset)
    return text[offset:] if found is None else text[offset : found.start(1)] + text[found.end() :]
