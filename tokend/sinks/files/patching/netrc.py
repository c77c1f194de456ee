"""netrc: ``/machine/login`` and ``/machine/password``, as curl and Python read them.

Words stand between blanks. A word in double quotes may hold blanks, and a backslash before a quote or a backslash. A
``#`` where a keyword is expected begins a comment. A macro (``macdef``) reaches to the next empty line.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tokend.sinks.files.patching.lines import (
    indentation,
    line_end,
    line_start,
    newline_of,
    next_line,
    with_lines_after,
    with_lines_at_end,
    with_lines_before,
    without_lines,
)
from tokend.sinks.files.patching.pointer import Pointer
from tokend.sinks.files.patching.problems import UnencodableError, not_parsed
from tokend.sinks.files.patching.value import Value

FIELDS = {"login": ("login", "user"), "password": ("password",)}

_BLANK = re.compile(r"[ \t\r\n]*")
_WORD = re.compile(r'"(?:[^"\\\r\n]|\\[^\r\n])*"|[^" \t\r\n][^ \t\r\n]*')
# Without quotes Python takes a backslash for an escape, and curl does not.
_BARE = re.compile(r'[^"#\\\s][^\\\s]*')
_COMMENT_BELOW = re.compile(r"[ \t]*\r?\n[ \t\r\n]*#")
_END_OF_MACRO = re.compile(r"^\r?\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Word:
    """One word: what it says, and its place."""

    text: str
    start: int
    end: int


@dataclass(slots=True)
class Entry:
    """A machine (None for ``default`` and for a macro), and the place of each of its fields: keyword and value."""

    name: str | None
    start: int
    end: int
    fields: list[tuple[Word, Word]]
    is_default: bool = False


def check_pointer(pointer: Pointer) -> None:
    """Raise ValueError for a pointer that is not ``/machine/login`` or ``/machine/password``."""
    if len(pointer.keys) != 2 or pointer.keys[1] not in FIELDS or not pointer.keys[0]:
        raise ValueError("a key of a netrc file is /machine/login or /machine/password")
    if not _BARE.fullmatch(pointer.keys[0]):
        raise ValueError("the name of a machine holds no blank and no backslash, and begins with no quote and no #")


def edit(text: str, pointer: Pointer, value: Value | None) -> str:
    """Set the value at a pointer; None takes it away. Raises `UneditableError` and `UnencodableError`."""
    check_pointer(pointer)
    name, field = pointer.keys
    new = None if value is None else _encoded(value)
    entries = list(_entries(text))
    machines = [entry for entry in entries if entry.name == name]
    if len(machines) > 1:
        raise pointer.stands_twice(0, len(machines))
    there = [pair for pair in machines[0].fields if pair[0].text in FIELDS[field]] if machines else []
    if len(there) > 1:
        raise pointer.stands_twice(1, len(there))
    if new is None:
        after = _without(text, *there[0]) if there else text
    elif there:
        after = _replaced(text, there[0][1], new, value)
    elif machines:
        after = _with_field(text, machines[0], f"{field} {new}")
    else:
        after = _with_machine(text, entries, f"machine {name} {field} {new}")
    if after != text:
        _check(entries, after, pointer, value)
    return after


def _replaced(text: str, word: Word, new: str, value: Value | None) -> str:
    if value is not None and word.text == value.text:
        return text
    if new.startswith('"') and _COMMENT_BELOW.match(text, word.end):
        what = "a comment stands below, and Python reads it as words if a value in quotes ends the line above it"
        raise not_parsed(text, word.start, what)
    return text[: word.start] + new + text[word.end :]


def _encoded(value: Value) -> str:
    text = value.line()
    if not text.isascii() and any(character.isspace() and character != " " for character in text):
        raise UnencodableError("it holds a blank that not every reader of netrc files knows")
    return text if _BARE.fullmatch(text) else '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def _entries(text: str) -> Iterator[Entry]:
    """Yield the machines, ``default`` and macros. Raises `UneditableError` with the place of the first fault."""
    entry: Entry | None = None
    at = _blank(text, 0)
    while at < len(text):
        if text[at] == "#":
            at = _blank(text, line_end(text, at))
            continue
        word = _word(text, at)
        if word.text in {"machine", "default", "macdef"}:
            if entry is not None:
                yield entry
            entry = Entry(None, word.start, word.end, [], is_default=word.text == "default")
            if word.text != "default":
                name = _next(text, word)
                entry.name, entry.end = (name.text if word.text == "machine" else None), name.end
            if word.text == "macdef":
                end = _END_OF_MACRO.search(text, next_line(text, entry.end))
                entry.end = len(text) if end is None else end.end()
        elif word.text in {"login", "user", "account", "password"} and entry is not None:
            field = _next(text, word)
            entry.fields.append((word, field))
            entry.end = field.end
        else:
            raise not_parsed(text, at, "machine, default, login, password, account or macdef is expected")
        at = _blank(text, entry.end)
    if entry is not None:
        yield entry


def _blank(text: str, offset: int) -> int:
    found = _BLANK.match(text, offset)
    return offset if found is None else found.end()


def _next(text: str, word: Word) -> Word:
    """Return the word behind a keyword."""
    at = _blank(text, word.end)
    if at == len(text):
        raise not_parsed(text, word.start, "nothing stands behind this keyword")
    return _word(text, at)


def _word(text: str, at: int) -> Word:
    found = _WORD.match(text, at)
    if found is None:
        raise not_parsed(text, at, "a quote is not closed in its line")
    raw = found[0]
    said = re.sub(r"\\(.)", r"\1", raw[1:-1] if raw.startswith('"') else raw)
    return Word(said, at, found.end())


def _with_field(text: str, machine: Entry, pair: str) -> str:
    """Add a field to a machine: on a line of its own if the last one has one."""
    if machine.fields:
        blanks = indentation(text, machine.fields[-1][0].start)
        rest = text[machine.end : line_end(text, machine.end)].strip()
        if blanks is not None and (not rest or rest.startswith("#")):
            return with_lines_after(text, machine.end, blanks + pair)
    return f"{text[: machine.end]} {pair}{text[machine.end :]}"


def _with_machine(text: str, entries: list[Entry], line: str) -> str:
    """Add a machine: at the end, or before ``default``, behind which readers look no further."""
    default = next((entry for entry in entries if entry.is_default), None)
    if default is not None and indentation(text, default.start) is not None:
        return with_lines_before(text, line_start(text, default.start), line)
    if default is not None:
        return f"{text[: default.start]}{line}{newline_of(text)}{text[default.start :]}"
    macro = bool(entries) and entries[-1].name is None and entries[-1].end == len(text)
    # A macro at the end may lack the empty line that ends it.
    return with_lines_at_end(text, *([""] if macro and not text.endswith(newline_of(text) * 2) else []), line)


def _without(text: str, keyword: Word, value: Word) -> str:
    """Take keyword and value away; their line, if nothing else stands in it."""
    before, after = text[line_start(text, keyword.start) : keyword.start], text[value.end : line_end(text, value.end)]
    if not before.strip() and not after.strip():
        return without_lines(text, line_start(text, keyword.start), next_line(text, value.end))
    if not before.strip():
        return text[: keyword.start] + text[value.end :].lstrip(" \t")
    return text[: keyword.start].rstrip(" \t") + text[value.end :]


def _check(before: list[Entry], after: str, pointer: Pointer, value: Value | None) -> None:
    """Raise `UneditableError` if the new text differs from the old one in more than the value."""
    name, field = pointer.keys
    found = list(_entries(after))
    others = [_said(entry, name, field) for entry in before]
    if all(entry.name != name for entry in before):
        found_others = [_said(entry, name, field) for entry in found if entry.name != name]
    else:
        found_others = [_said(entry, name, field) for entry in found]
    ours = [
        word.text for entry in found if entry.name == name for key, word in entry.fields if key.text in FIELDS[field]
    ]
    if found_others != others or ours != ([] if value is None else [value.text]):
        raise pointer.needs_another_change()


def _said(entry: Entry, name: str, field: str) -> object:
    """Return what an entry says, but for one field of one machine."""
    fields = [(key.text, word.text) for key, word in entry.fields]
    return entry.name, [pair for pair in fields if entry.name != name or pair[0] not in FIELDS[field]]
