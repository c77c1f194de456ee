"""Messages for syntax errors: our words for those of tomllib, at the place where a person would look."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tokend.config.excerpt import MASK, fitted
from tokend.config.findings import ConfigProblem
from tokend.config.toml_positions import unfinished

_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_HEADER = re.compile(r"\s*\[{1,2}\s*(?:daemon|providers?)\b[A-Za-z0-9_.\"' -]*\]{0,2}\s*(?=#|$)")
_PAIR = re.compile(r"(\s*(?:[A-Za-z0-9_-]+\s*\.\s*)*([A-Za-z0-9_-]+)\s*=\s*)(.*)")
_PLAIN = re.compile(r"[A-Za-z0-9_./:%+ -]*|\"[A-Za-z0-9_./:%+ -]*\"?")
# tomllib's own words (they quote keys and characters of the document, which may be parts of a secret) and ours.
_MESSAGES = (
    ("Expected newline or end of document", 'the line should end here; text stands in quotes: "0640", "30s"'),
    ("Invalid value", 'this is no value: text stands in quotes, "…"; true and false are written in lower case'),
    ("Invalid statement", "this is neither key = value nor a [table]"),
    ("Invalid initial character for a key", "this is no key: letters, digits, - and _, or in quotes"),
    ("Expected '=' after a key", "a key is followed by = and a value"),
    ("Illegal character '\\n'", "a string is not closed on its line"),
    ("Illegal character", "a control character stands here: write it as an escape"),
    ("Found invalid character", "a control character stands here: write it as an escape"),
    ("Unterminated string", "a string is opened here and never closed"),
    ("Unclosed array", "an array is not closed, or a comma is missing in it"),
    ("Unclosed inline table", "an inline table is not closed: it stands on one line, with commas between its pairs"),
    ("Expected ']]'", "the header of an array of tables ends with ]]"),
    ("Expected ']'", "a table's header ends with ]"),
    ("Cannot declare", "this table is there already"),
    ("Cannot redefine", "this table is there already, as something else"),
    ("Cannot overwrite", "this key is there already"),
    ("Duplicate inline table key", "this key is there already"),
    ("Cannot mutate immutable", "this table was written whole, as { … } or [ … ]: it cannot be added to"),
    ("Unescaped", "a backslash stands here: write two, or the text in single quotes"),
    ("Invalid hex value", "the escape is no hexadecimal number"),
    ("Escaped character", "the escape is no character"),
    ("Invalid date", "there is no such date or time"),
)  # fmt: skip
# Where the place is the end of what is wrong: its beginning is shown.
_WHOLE_LINE = ("Cannot declare", "Cannot redefine", "Cannot overwrite", "Cannot mutate immutable")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """``known``: all keys of all our tables; ``public``: those whose values are never secrets, wherever they stand."""

    known: frozenset[str]
    public: frozenset[str]


def syntax_problem(file: Path, text: str, error: tomllib.TOMLDecodeError, words: Vocabulary) -> ConfigProblem:
    """Make the problem, with as much of its line as may be shown of a document that cannot be parsed."""
    said = str(error)
    match = _AT.search(said)
    message = next((ours for theirs, ours in _MESSAGES if said.startswith(theirs)), "the syntax is wrong")
    lines = text.replace("\r\n", "\n").split("\n")
    if match is not None and match[1] is not None:
        line, column = int(match[1]), int(match[2])
    else:
        line, column = _where_it_began(text)
    whole = lines[line - 1] if line <= len(lines) else ""
    if said.startswith(_WHOLE_LINE):
        column = len(whole) - len(whole.lstrip()) + 1
        message += _first(lines, line)
    elif whole[column - 1 : column] == "}" and said.startswith("Invalid initial character"):
        message = "the last pair of an inline table has no comma behind it"
    shown, caret = fitted(*_shown(whole, column, words))
    return ConfigProblem(str(file), line, column, f"not TOML: {message}", shown, caret)


def _where_it_began(text: str) -> tuple[int, int]:
    """The document ends inside something: the statement in which that was opened, else the end."""
    offset = unfinished(text)
    offset = len(text.rstrip()) if offset is None else offset
    start = text.rfind("\n", 0, offset) + 1
    return text.count("\n", 0, offset) + 1, offset - start + 1


def _first(lines: list[str], line: int) -> str:
    """Where the same header stands for the first time."""
    header = _normal(lines[line - 1])
    if not header.startswith("["):
        return ""
    first = next((number for number, other in enumerate(lines[: line - 1], 1) if _normal(other) == header), None)
    return "" if first is None else f", in line {first}"


def _normal(line: str) -> str:
    return re.sub(r"[\s\"']|#.*", "", line)


def _shown(line: str, column: int, words: Vocabulary) -> tuple[str, int]:
    """What of the line may be shown, and the caret's place in it.

    Nothing is sure about a document that cannot be parsed: a line may be the inside of a key's PEM, and what looks
    like a key base64. So: headers of our own tables, our own keys, and the plain values of those that hold no secret.
    """
    if header := _HEADER.match(line):
        return header[0], column - 1
    pair = _PAIR.match(line)
    if pair is None or pair[2] not in words.known:
        return MASK, 0
    prefix, key, value = pair.groups()
    value = value.split("#")[0].rstrip()
    if key in words.public and _PLAIN.fullmatch(value):
        return prefix + value, column - 1
    return prefix + MASK, min(column - 1, len(prefix))
