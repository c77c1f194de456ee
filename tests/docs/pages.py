"""The pages, taken apart: fenced blocks with their marks, and the commands of a console block."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
# With the fence's indentation, which the lines of the block share, and the comment above it.
_BLOCK = re.compile(
    r"(?:^ *<!-- (?P<mark>[^\n]*) -->\n)?^(?P<indent> *)```(?P<language>[\w-]*)\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
_DAEMON = re.compile(r"^\[daemon\]\n((?:.+\n)*)", re.MULTILINE)
_DURATION = r"\d+ (?:d|h|min|s)(?: \d+ (?:h|min|s))?"
_PATTERNS = {
    "anything": ".*",
    "uuid": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "temporary": r"/[\w./-]+/",
    "fingerprint": "[0-9a-f]{12}",
    "duration": _DURATION,
    "number": r"\d+",
    "blanks": " +",
}
_VARIABLE = re.compile(
    rf"(?P<anything>…)|(?P<uuid>{_PATTERNS['uuid']})|(?P<temporary>/tmp/[\w-]+/)|\b(?P<fingerprint>[0-9a-f]{{12}})\b"
    rf"|(?P<duration>{_DURATION})|(?P<number>\d+)|(?P<blanks> +)|."
)


@dataclass(frozen=True)
class Block:
    """A fenced block. ``file``: where a test writes it. ``not_run``: why its commands are only checked, else empty."""

    language: str
    text: str
    file: str = ""
    not_run: str = ""


@dataclass(frozen=True)
class Command:
    """A command of a console block, and the output that the page shows; empty where it shows none."""

    text: str
    output: Sequence[str]
    root: bool


def blocks(page: Path, *languages: str) -> list[Block]:
    """Return the blocks of a page in these languages, or all."""
    return [
        block for block in _blocks(page.read_text(encoding="utf-8")) if not languages or block.language in languages
    ]


def commands(block: Block) -> list[Command]:
    """Return the commands of a console block. ``$`` begins one of a user, ``#`` one of root."""
    found: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith(("$ ", "# ")):
            found.append((line, []))
        else:
            assert found, f"output before the first command: {line}"
            found[-1][1].append(line)
    return [Command(line[2:], output, line.startswith("# ")) for line, output in found]


def configuration(*pages: Path) -> str:
    """Return the TOML blocks of pages as one file; several of them show keys of the one [daemon] table.

    A block that is marked as a file of another name is a configuration of its own.
    """
    shown = [block for page in pages for block in blocks(page, "toml")]
    text = "\n".join(block.text for block in shown if not block.file or block.file.endswith("/config.toml"))
    return "[daemon]\n" + "".join(_DAEMON.findall(text)) + _DAEMON.sub("", text)


def shown(expected: str, printed: str) -> bool:
    """Whether a line of a page is what was printed: numbers, ids and times may differ, and ``…`` is any text."""
    return re.fullmatch(_VARIABLE.sub(_pattern, expected.rstrip()), printed.rstrip()) is not None


def agree(expected: Sequence[str], printed: Sequence[str]) -> bool:
    """Whether all lines of an output are as a page shows them."""
    return len(expected) == len(printed) and all(map(shown, expected, printed))


def not_shown(expected: Sequence[str], printed: Sequence[str]) -> list[str]:
    """Return the lines of a page that were not printed in this order; a line ``…`` is any number of lines."""
    left = iter(printed)
    return [line for line in expected if line.strip() != "…" and not any(shown(line, each) for each in left)]


def _pattern(match: re.Match[str]) -> str:
    for name, pattern in _PATTERNS.items():
        if match[name] is not None:
            return pattern
    return re.escape(match[0])


def _blocks(text: str) -> Iterator[Block]:
    for match in _BLOCK.finditer(text):
        kind, _, argument = (match["mark"] or "").partition(": ")
        yield Block(
            match["language"],
            re.sub(rf"^{match['indent']}", "", match["text"], flags=re.MULTILINE),
            file=argument if kind == "file" else "",
            not_run=argument if kind == "not run" else "",
        )
