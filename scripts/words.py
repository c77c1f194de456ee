#!/usr/bin/env python3
"""Plain words: find listed words, unclear openings and missing docstrings in the code and the pages.

``words.txt`` beside this file lists the words, each with the plain one. The words are looked for in docstrings and
comments of ``tokend/``, ``tests/`` and ``scripts/``, in messages of ``tokend/`` (strings of two words or more), and in
the whole text of the pages. Only the newest section of the change log counts.

A line that needs a listed word says so, with the reason, in itself or in the line above: ``words: allow WORD: REASON``.
"""

import argparse
import ast
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_name("words.txt")
CODE = ("tokend/**/*.py", "tests/**/*.py", "scripts/**/*.py")
PAGES = ("*.md", "docs/**/*", "tests/**/*.md", "config.toml.example", "systemd/**/*")
MESSAGES, DOCUMENTED = "tokend/", "tokend/"  # messages are read, and docstrings demanded, below these folders
OPENINGS = {"what", "where", "who", "how", "when", "which", "whether", "that", "it", "its", "there"}
_ALLOWED = re.compile(r"words: allow ([\w' -]+): \w")
_COMMENT_LINE = re.compile(r"\n[ \t]*#:? ?")


@dataclass(frozen=True)
class Finding:
    """One place to change: a path below the project, a line, and what to write there."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


@dataclass(frozen=True)
class Word:
    """A pattern that prose must not match, and the plain word for it."""

    pattern: re.Pattern[str]
    plain: str


@dataclass(frozen=True)
class Prose:
    """A piece of text and the number of its first line."""

    line: int
    text: str


def words(text: str) -> list[Word]:
    """Read a list in the format of ``words.txt``; ValueError where a line has no arrow."""
    found = []
    for line in text.splitlines():
        if not line or line.startswith("# "):
            continue
        pattern, arrow, plain = line.partition(" -> ")
        if not arrow:
            raise ValueError(f"no ' -> ' in this line: {line}")
        found.append(Word(re.compile(rf"\b(?:{pattern})\b".replace(" ", r"\s+"), re.IGNORECASE), plain))
    return found


def in_code(path: str, source: str, listed: Sequence[Word]) -> Iterator[Finding]:
    """Check the docstrings, comments and messages of one Python file."""
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        yield Finding(path, error.lineno or 1, f"no valid Python: {error.msg}")
        return
    yield from _openings(path, tree)
    if path.startswith(DOCUMENTED):
        yield from _undocumented(path, tree)
    elif ast.get_docstring(tree) is None and source.strip():
        yield Finding(path, 1, "the module has no docstring")
    lines = source.splitlines()
    for prose in [*_docstrings(tree), *_comments(source), *(_messages(tree) if path.startswith(MESSAGES) else ())]:
        yield from _matches(path, prose, listed, lines)


def in_page(path: str, text: str, listed: Sequence[Word]) -> Iterator[Finding]:
    """Check the text of one page; of a change log only its newest section."""
    if Path(path).name == "CHANGELOG.md":
        text = "".join(re.split(r"^(?=## )", text, flags=re.MULTILINE)[:2])
    yield from _matches(path, Prose(1, text), listed, text.splitlines())


def in_project(project: Path, listed: Sequence[Word]) -> Iterator[Finding]:
    """Check all code and all pages below a folder."""
    for path in _files(project, CODE):
        yield from in_code(str(path.relative_to(project)), path.read_text(encoding="utf-8"), listed)
    for path in _files(project, PAGES):
        yield from in_page(str(path.relative_to(project)), path.read_text(encoding="utf-8"), listed)


def _files(project: Path, patterns: Sequence[str]) -> list[Path]:
    return sorted({path for pattern in patterns for path in project.glob(pattern) if path.is_file()})


def _matches(path: str, prose: Prose, listed: Sequence[Word], lines: Sequence[str]) -> Iterator[Finding]:
    """Report the first pattern of the list that fits a place."""
    taken: set[int] = set()
    for word in listed:
        for match in word.pattern.finditer(prose.text):
            if not taken.isdisjoint(range(*match.span())):
                continue
            taken.update(range(*match.span()))
            line = prose.line + prose.text.count("\n", 0, match.start())
            found = " ".join(match[0].split())
            beside = " ".join(lines[max(0, line - 2) : line])
            if not any(allowed[1].lower() in found.lower() for allowed in _ALLOWED.finditer(beside)):
                yield Finding(path, line, f'"{found}": {word.plain}')


def _docstrings(tree: ast.Module) -> Iterator[Prose]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield Prose(node.lineno, node.value.value)  # also a string below a field, which documents it


def _messages(tree: ast.Module) -> Iterator[Prose]:
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in documentation
            and " " in node.value.strip()
        ):
            yield Prose(node.lineno, node.value)


def _comments(source: str) -> Iterator[Prose]:
    """Yield each block of comments as one text, so that a phrase is found across its lines."""
    block: list[tokenize.TokenInfo] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if block and token.start[0] != block[-1].start[0] + 1:
                yield _joined(block)
                block = []
            block.append(token)
    if block:
        yield _joined(block)


def _joined(block: Sequence[tokenize.TokenInfo]) -> Prose:
    text = "\n" + "\n".join(token.string for token in block)
    return Prose(block[0].start[0], _COMMENT_LINE.sub("\n", text)[1:])


def _openings(path: str, tree: ast.Module) -> Iterator[Finding]:
    opening = re.match(r"\w+", ast.get_docstring(tree) or "")
    if opening and opening[0].lower() in OPENINGS:
        yield Finding(path, 1, f'the module\'s docstring begins with "{opening[0]}": begin with the subject')


def _undocumented(path: str, tree: ast.Module) -> Iterator[Finding]:
    if ast.get_docstring(tree) is None and tree.body:
        yield Finding(path, 1, "the module has no docstring")
    yield from _undocumented_in(path, tree.body)


def _undocumented_in(path: str, body: Sequence[ast.stmt]) -> Iterator[Finding]:
    """Classes and functions of a module, and methods of its classes; overloads and properties' setters need none."""
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            decorators = {ast.unparse(decorator).rpartition(".")[2] for decorator in node.decorator_list}
            if ast.get_docstring(node) is None and decorators.isdisjoint({"overload", "setter"}):
                yield Finding(path, node.lineno, f"{node.name} has no docstring")
            if isinstance(node, ast.ClassDef):
                yield from _undocumented_in(path, node.body)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the findings, or their number per folder; 1 if there is one."""
    parser = argparse.ArgumentParser(prog="scripts/words.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", action="store_true", help="only the number per folder")
    parser.add_argument("--project", type=Path, default=PROJECT, help="another folder to check")
    parser.add_argument("paths", nargs="*", metavar="PATH", help="only findings below, for example: tokend/engine")
    given = parser.parse_args(arguments)
    below = tuple(path.rstrip("/") for path in given.paths) or ("",)
    listed = words(LIST.read_text(encoding="utf-8"))
    findings = [finding for finding in in_project(given.project, listed) if finding.path.startswith(below)]
    if given.count:
        folders = Counter("/".join(Path(each.path).parts[:2]) for each in findings)
        sys.stdout.writelines(f"{number:5} {folder}\n" for folder, number in sorted(folders.items()))
    else:
        sys.stdout.writelines(f"{each}\n" for each in sorted(findings, key=lambda each: (each.path, each.line)))
    if findings:
        sys.stderr.write(f"{len(findings)} places: see {LIST.name} and docs/architecture.md\n")
    return int(bool(findings))


if __name__ == "__main__":
    raise SystemExit(main())
