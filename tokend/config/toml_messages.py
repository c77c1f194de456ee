"""Messages for TOML syntax errors: tomllib's messages in plain words, at the place where a person would look."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tokend.config.excerpt import MASK, fit
from tokend.config.findings import ConfigProblem
from tokend.plugin.toml_positions import unclosed_statement

_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_HEADER = re.compile(r"\s*\[{1,2}\s*(?:daemon|providers?)\b[A-Za-z0-9_.\"' -]*\]{0,2}\s*(?=#|$)")
_PAIR = re.compile(r"(\s*(?:[A-Za-z0-9_-]+\s*\.\s*)*([A-Za-z0-9_-]+)\s*=\s*)(.*)")
_PLAIN = re.compile(r"[A-Za-z0-9_./:%+ -]*|\"[A-Za-z0-9_./:%+ -]*\"?")
# The start of tomllib's message, and ours. tomllib quotes keys and characters, which may be parts of a secret.
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
# Errors that tomllib reports at the end of the wrong header or key: ours point at its start.
_WHOLE_LINE = ("Cannot declare", "Cannot redefine", "Cannot overwrite", "Cannot mutate immutable")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Keys of our tables: ``known`` has all of them, ``public`` those whose values are secrets in no table."""

    known: frozenset[str]
    public: frozenset[str]


def syntax_problem(file: Path, text: str, error: tomllib.TOMLDecodeError, vocabulary: Vocabulary) -> ConfigProblem:
    """Return the problem for a syntax error of tomllib, with the part of its line that surely holds no secret."""
    said = str(error)
    match = _AT.search(said)
    message = next((ours for theirs, ours in _MESSAGES if said.startswith(theirs)), "the syntax is wrong")
    lines = text.replace("\r\n", "\n").split("\n")
    if match is not None and match[1] is not None:
        line, column = int(match[1]), int(match[2])
    else:
        line, column = _unclosed_place(text)
    whole = lines[line - 1] if line <= len(lines) else ""
    if said.startswith(_WHOLE_LINE):
        column = len(whole) - len(whole.lstrip()) + 1
        message += _first_place(lines, line)
    elif whole[column - 1 : column] == "}" and said.startswith("Invalid initial character"):
        message = "the last pair of an inline table has no comma behind it"
    shown, caret = fit(*_shown(whole, column, vocabulary))
    return ConfigProblem(str(file), line, column, f"not TOML: {message}", shown, caret)


def _unclosed_place(text: str) -> tuple[int, int]:
    """Return line and column of the statement that the document's end leaves open; else those of the end."""
    offset = unclosed_statement(text)
    offset = len(text.rstrip()) if offset is None else offset
    start = text.rfind("\n", 0, offset) + 1
    return text.count("\n", 0, offset) + 1, offset - start + 1


def _first_place(lines: list[str], line: int) -> str:
    """Return ``, in line N`` if an earlier line N has the same header, else an empty string."""
    header = _normal(lines[line - 1])
    if not header.startswith("["):
        return ""
    first = next((number for number, other in enumerate(lines[: line - 1], 1) if _normal(other) == header), None)
    return "" if first is None else f", in line {first}"


def _normal(line: str) -> str:
    return re.sub(r"[\s\"']|#.*", "", line)


def _shown(line: str, column: int, vocabulary: Vocabulary) -> tuple[str, int]:
    """Return the part of the line that may be shown, and the caret's index in it.

    A document that cannot be parsed is ambiguous: a line may be part of a PEM key, and its base64 may look like a TOML
    key. Only these parts are shown: headers of our tables, our keys, and plain values of keys that hold no secret.
    """
    if header := _HEADER.match(line):
        return header[0], column - 1
    pair = _PAIR.match(line)
    if pair is None or pair[2] not in vocabulary.known:
        return MASK, 0
    prefix, key, value = pair.groups()
    value = value.split("#")[0].rstrip()
    if key in vocabulary.public and _PLAIN.fullmatch(value):
        return prefix + value, column - 1
    return prefix + MASK, min(column - 1, len(prefix))
