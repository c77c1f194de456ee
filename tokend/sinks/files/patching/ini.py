"""INI: ``/section/key``, and ``/key`` above the first section, as in `.npmrc`.

ConfigUpdater finds the options of a section. What stands above the first section is read as npm reads it: an option per
line, ``=`` alone between key and value, no continuation. The format has no standard: a value that configparser,
botocore and npm would read differently is refused.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tokend.machine.late_imports import import_alone
from tokend.sinks.files.patching.lines import (
    line_end,
    line_start,
    newline_of,
    next_line,
    with_lines_after,
    with_lines_at_end,
    without_lines,
)
from tokend.sinks.files.patching.pointer import Pointer
from tokend.sinks.files.patching.problems import UneditableError, UnencodableError, not_parsed, place
from tokend.sinks.files.patching.value import Value

_SECTION = re.compile(r"^[ \t]*\[", re.MULTILINE)
_TOP = re.compile(
    r"^[ \t]*(?![;#\s])(?P<key>[^=\r\n]+?)[ \t]*(?:(?P<sign>=[ \t]*)(?P<value>[^\r\n]*?))?[ \t]*(?=\r?$)",
    re.MULTILINE,
)
# npm ends a value at one of these; other readers do not.
_END_OF_VALUE = re.compile(r"(?<!\\)[ \t]*[;#]")
_SIGN = re.compile(r"[ \t]*[=:][ \t]*")
_COMMENT = re.compile(r"^[ \t]*[;#]", re.MULTILINE)
# Whether or not these end, escape, quote or expand something depends on the reader.
_AMBIGUOUS = re.compile(r"[;#\\]|\$\{|\A[\"']|[\"']\Z")


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its section (None above the first), its key, value, and places; ``begin`` is that of its line."""

    section: str | None
    key: str
    value: str | None
    begin: int
    value_start: int
    value_end: int


@dataclass(frozen=True, slots=True)
class Section:
    """One section: its name, and where its header line ends."""

    name: str
    header: int


def check_pointer(pointer: Pointer) -> None:
    """Raise ValueError for a pointer that is neither ``/section/key`` nor ``/key``, or that INI cannot carry."""
    *section, key = pointer.keys
    if len(section) > 1:
        raise ValueError("a key of an ini file is /section/key, or /key where there are no sections")
    if not key or key != key.strip() or re.match(r"[\[;#]", key) or "=" in key or (section and ":" in key):
        raise ValueError("the name of an option holds no =, in a section no :, and begins with none of [ ; #")
    if section and (not section[0] or section[0] != section[0].strip() or "]" in section[0]):
        raise ValueError("the name of a section is not empty and holds no ]")


def edit(text: str, pointer: Pointer, value: Value | None) -> str:
    """Set the value at a pointer; None takes its line away. Raises `UneditableError` and `UnencodableError`."""
    check_pointer(pointer)
    *names, key = pointer.keys
    section = names[0] if names else None
    new = None if value is None else _encoded(value)
    sections, options = _read(text)
    found = _find(options, section, key, pointer)
    if found is None:
        after = text if new is None else _added(text, sections, options, section, key, new)
    elif new is None:
        after = _without(text, found)
    else:
        after = _replaced(text, found, new)
    if after != text:
        _check(options, after, section, key if found is None else found.key, new, pointer)
    return after


def _encoded(value: Value) -> str:
    text = value.line()
    if text != text.strip():
        raise UnencodableError("it begins or ends with a blank, which readers of ini files drop")
    if _AMBIGUOUS.search(text):
        what = "one of ; # \\ ${ or an outer quote"
        raise UnencodableError(f"it holds {what}, which readers of ini files read differently")
    return text


def _read(text: str) -> tuple[list[Section], list[Option]]:
    """Return the sections and options. Raises `UneditableError` with the line of the first fault."""
    lone = re.search(r"\r(?!\n)", text)
    if lone is not None:
        raise not_parsed(text, lone.start(), "a line ends in a carriage return alone: readers differ on it")
    first = _SECTION.search(text)
    top = len(text) if first is None else first.start()
    sections: list[Section] = []
    options = [_top_option(found) for found in _TOP.finditer(text, 0, top)]
    if first is not None:
        for part in _body(text, top):
            sections.append(part) if isinstance(part, Section) else options.append(part)
    return sections, options


def _top_option(found: "re.Match[str]") -> Option:
    return Option(None, found["key"], _top_value(found), found.start(), *_top_place(found))


def _top_place(found: "re.Match[str]") -> tuple[int, int]:
    if found["sign"] is None:
        return found.end("key"), found.end("key")
    comment = _END_OF_VALUE.search(found["value"])
    length = len(found["value"]) if comment is None or found["value"].startswith(('"', "'")) else comment.start()
    return found.start("value"), found.start("value") + length


def _top_value(found: "re.Match[str]") -> str | None:
    if found["sign"] is None:
        return None
    start, end = _top_place(found)
    raw = found.string[start:end]
    if len(raw) > 1 and raw[0] == raw[-1] == '"':
        try:
            return str(json.loads(raw))
        except ValueError:
            return raw
    return raw


def _body(text: str, top: int) -> Iterator[Section | Option]:
    """Yield what ConfigUpdater finds from the first section on."""
    import_alone("configupdater")  # on use: an optional package
    import configupdater

    parser = configupdater.ConfigUpdater(allow_no_value=True)
    try:
        parser.read_string(text[top:])
    except (configupdater.DuplicateOptionError, configupdater.DuplicateSectionError) as error:
        line = text.count("\n", 0, top) + (error.lineno or 1)
        what = "this key or section is there twice: readers differ on which one counts"
        raise UneditableError(f"line {line}: {what}") from None
    except configupdater.ParsingError as error:
        line = text.count("\n", 0, top) + _line_of(error)
        raise UneditableError(f"line {line}: this is no INI") from None
    except Exception:  # its parser fails in many ways, and a message may quote the file
        raise UneditableError(f"{place(text, top)}: what follows is no INI") from None
    at = top
    for section in parser.iter_blocks():
        if not isinstance(section, configupdater.Section):
            at += len(str(section))
            continue
        yield Section(section.name, line_end(text, at))
        inner = list(section.iter_blocks())
        at += len(str(section)) - sum(len(str(block)) for block in inner)
        for block in inner:
            if isinstance(block, configupdater.Option):
                yield _option(text, section.name, block.raw_key, at, at + len(str(block)))
            at += len(str(block))
    if at != len(text):
        raise UneditableError(f"{place(text, top)}: what follows cannot be edited")


def _line_of(error: Any) -> int:
    """Return the line that configparser's error is about, whichever of its forms it has."""
    errors = getattr(error, "errors", None)
    return int(errors[0][0] if errors else getattr(error, "lineno", 1))


def _option(text: str, section: str, key: str, start: int, end: int) -> Option:
    after_key = text.index(key, start) + len(key)
    sign = _SIGN.match(text, after_key, line_end(text, after_key))
    if sign is None:
        return Option(section, key, None, start, after_key, after_key)
    last = max(sign.end(), start + len(text[start:end].rstrip()))
    return Option(section, key, text[sign.end() : last], start, sign.end(), last)


def _find(options: list[Option], section: str | None, key: str, pointer: Pointer) -> Option | None:
    there = [option for option in options if option.section == section]
    found = [option for option in there if option.key == key]
    if not found and section is not None:  # configparser reads keys without case
        found = [option for option in there if option.key.lower() == key.lower()]
    if len(found) > 1:
        raise pointer.stands_twice(len(pointer.keys) - 1, len(found))
    return found[0] if found else None


def _replaced(text: str, option: Option, new: str) -> str:
    if option.value == new:
        return text
    if option.value is None:
        return f"{text[: option.value_start]}={new}{text[option.value_end :]}"
    _require_no_comment(text, option)
    if text[: option.value_start].endswith((" =", "\t=", " :")):  # ``key =``, and nothing behind it
        new = " " + new
    return text[: option.value_start] + new + text[option.value_end :]


def _require_no_comment(text: str, option: Option) -> None:
    rest = next_line(text, option.value_start)
    if rest < option.value_end and _COMMENT.search(text, rest, option.value_end):
        what = "a comment stands within the lines of this option: not edited"
        raise UneditableError(f"{place(text, option.begin)}: {what}")


def _without(text: str, option: Option) -> str:
    _require_no_comment(text, option)
    rest = text[option.value_end : line_end(text, option.value_end)].lstrip(" \t")
    if rest.startswith((";", "#")):
        return text[: option.begin] + text[option.value_end :].lstrip(" \t")
    return without_lines(text, line_start(text, option.begin), next_line(text, option.value_end))


def _added(text: str, sections: list[Section], options: list[Option], section: str | None, key: str, new: str) -> str:
    there = [option for option in options if option.section == section]
    if there:
        last = there[-1]
        line = text[last.begin :]
        blanks = line[: len(line) - len(line.lstrip(" \t"))]
        return with_lines_after(text, last.value_end, blanks + key + _sign(text, there) + new)
    if section is None:
        if sections:
            raise UneditableError(f"the file has sections: write /section/{key}")
        return with_lines_at_end(text, f"{key}={new}")
    line = f"{key}{_sign(text, options)}{new}"
    header = next((one.header for one in sections if one.name == section), None)
    if header is not None:
        return with_lines_after(text, header, line)
    blank = [""] if text and not text.endswith(newline_of(text) * 2) else []
    return with_lines_at_end(text, *blank, f"[{section}]", line)


def _sign(text: str, options: list[Option]) -> str:
    """Return what stands between key and value in the last option that has a value on its line."""
    for option in reversed(options):
        if option.value and option.value[0] not in "\r\n":
            found = re.search(r"[ \t]*[=:][ \t]*$", text[option.begin : option.value_start])
            if found is not None and "=" in found[0]:
                return found[0]
    return " = " if all(option.section is not None for option in options) else "="


def _check(before: list[Option], after: str, section: str | None, key: str, new: str | None, pointer: Pointer) -> None:
    """Raise `UneditableError` if the new text differs from the old one in more than the value."""
    wanted = [(one.section, one.key, one.value) for one in before if (one.section, one.key) != (section, key)]
    try:
        _, options = _read(after)
    except UneditableError:
        raise pointer.needs_another_change() from None
    found = [(one.section, one.key, one.value) for one in options if (one.section, one.key) != (section, key)]
    ours = [one.value for one in options if (one.section, one.key) == (section, key)]
    if found != wanted or ours != ([] if new is None else [new]):
        raise pointer.needs_another_change()
