"""Fill in what a man page takes from the program itself, so that it cannot fall behind.

``python .ci/manual.py PAGE CONFIG_EXAMPLE`` prints the page; a line ``.\\" @COMMANDS@`` becomes the commands with their
options, ``.\\" @KEYS@`` the annotated keys of the example, ``.\\" @OS@`` the version.
"""

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from tokend import __version__
from tokend.cli.commands import SECTIONS, group

RULE = re.compile(r"# (=+|-+)$")
HEADING = re.compile(r"# ---- (.*) ----$")
# Beside an aligned note, spaces that only align it.
NOTE = re.compile(r"\s+(# (?:no default|required))$")
SENTENCE = re.compile(r'(?<=[\w)%`"][.!?]) +')
SPECIAL = str.maketrans({"\\": r"\e", "-": r"\-", "~": r"\(ti", "^": r"\(ha", "`": r"\(ga", "'": r"\(aq"})


def escaped(text: str) -> str:
    """Text as roff reads it: nothing in it is a request, and nothing becomes typographic."""
    line = text.translate(SPECIAL)
    return rf"\&{line}" if line.startswith(".") else line


def prose(text: str) -> Iterator[str]:
    """Text to be filled: each sentence on a line of its own, so that roff spaces them."""
    yield from map(escaped, SENTENCE.split(text))


def commands() -> Iterator[str]:
    """Every command: how it is called, what it does, its options."""
    context = click.Context(group, info_name="tokend")
    for section, names in SECTIONS.items():
        yield f".Ss {section}"
        for name in names:
            command = group.get_command(context, name)
            assert command is not None  # noqa: S101  (our own table)
            own = click.Context(command, info_name=name, parent=context)
            yield ".Pp"
            yield rf".Sy {escaped(f'tokend {name}')} {escaped(' '.join(command.collect_usage_pieces(own)))}"
            for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
                yield ".Pp"
                yield from _paragraph(paragraph)
            yield from _options(command, own)


def _paragraph(text: str) -> Iterator[str]:
    kept = text.startswith("\b")  # click's mark: these lines stay as they are
    lines = [line for line in text.removeprefix("\b").splitlines() if line.strip()]
    if not kept:
        yield from prose(" ".join(map(str.strip, lines)))
        return
    yield ".Bd -literal -offset indent"
    yield from map(escaped, lines)
    yield ".Ed"


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    records = [record for each in command.get_params(context) if (record := each.get_help_record(context))]
    yield ".Bl -tag -width Ds -offset indent"
    for names, text in records:
        # A list of choices may be longer than a line: it breaks between them.
        yield rf".It {escaped(names)}".replace("|", r"|\:")
        yield from prose(" ".join(text.split())) if text else ()
    yield ".El"


def keys(example: str) -> Iterator[str]:
    """The example's prose as paragraphs, its sections as headings, its keys as they stand."""
    literal = False
    titled = False  # between two rules: a heading, then prose
    pending_heading = False
    for line in example.splitlines():
        verbatim = line.startswith("#") and line != "#" and (line[1] != " " or line.startswith("#   "))
        verbatim = verbatim and not RULE.match(line)
        if literal and not verbatim:
            yield ".Ed"
            literal = False
        if RULE.match(line):
            titled = not titled
            pending_heading = titled
        elif verbatim:
            if not literal:
                yield ".Bd -literal -offset 2n"
                literal = True
            yield escaped(NOTE.sub(r"  \1", line[1:] if line[1] != " " else line[4:]))
        elif heading := HEADING.match(line):
            yield from (".Pp", f".Em {escaped(heading[1])}")
        elif line in ("", "#"):
            yield ".Pp"
        elif pending_heading:
            pending_heading = False
            # "The daemon. Changes of …": the first sentence is the heading.
            title, _, rest = line[2:].partition(". ")
            yield f".Ss {escaped(title.removesuffix('.'))}"
            yield from prose(rest) if rest else ()
        else:
            yield from prose(line[2:])
    if literal:
        yield ".Ed"


def tidy(lines: Iterator[str]) -> Iterator[str]:
    """Without paragraphs that are empty, or that a display or a heading begins anyway."""
    pending = False
    after = ".Ss"
    for line in lines:
        if line == ".Pp":
            pending = True
            continue
        macro = line[:3]
        if pending and after not in (".Ss", ".Sh") and macro not in (".Ss", ".Bd", ".Bl", ".Sh"):
            yield ".Pp"
        pending = False
        yield line
        after = macro


def main(page: Path, example: Path) -> None:
    """Print the page."""
    parts: dict[str, Callable[[], Iterator[str]]] = {
        "COMMANDS": commands,
        "KEYS": lambda: keys(example.read_text(encoding="utf-8")),
        "OS": lambda: iter([f".Os tokend {__version__}"]),
    }
    for line in page.read_text(encoding="utf-8").splitlines():
        mark = re.fullmatch(r'\.\\" @(\w+)@', line)
        sys.stdout.writelines(f"{each}\n" for each in (tidy(parts[mark[1]]()) if mark else [line]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
