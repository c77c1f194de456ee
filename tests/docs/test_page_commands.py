"""Commands and programs on the pages run against a real daemon and sandbox, and print what the pages show."""

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path

import click
import pytest

from tests.docs.pages import PAGES, ROOT, Block, blocks, commands, shown
from tests.docs.stage import Stage, staged
from tokend.cli.commands import group

# A page needs a stage if one of its blocks is run. The README's sh blocks are run by CI, each on a fresh machine.
PROGRAMS = ("console", "sh", "python", "js", "go")
README = ROOT / "README.md"
# Their commands install, build, test or publish this project: they are checked, not run.
FOR_DEVELOPERS = (ROOT / "CONTRIBUTING.md", ROOT / "docs/releasing.md")
INERT = ("", "toml", "toml-with-errors", "ini")


def name(page: Path) -> str:
    """A page's path below the project."""
    return str(page.relative_to(ROOT))


def runs(page: Path, block: Block) -> bool:
    """Whether the block is run here: it is a program, needs no root, and no mark excludes it."""
    if (
        page in FOR_DEVELOPERS
        or block.language not in PROGRAMS
        or block.not_run
        or (page == README and block.language == "sh")
    ):
        return False
    return block.language != "console" or not any(command.root for command in commands(block))


def cases(run: bool) -> list[Path]:
    """The pages with at least one block that is run, or that is only checked."""
    return [page for page in PAGES if any(runs(page, block) == run for block in blocks(page, *PROGRAMS))]


@pytest.mark.parametrize("page", cases(run=True), ids=name)
def test_a_page_runs_from_top_to_bottom(page: Path) -> None:
    """Each command succeeds and prints what the page shows; each program ends with status 0."""
    with staged(page) as stage:
        for block in blocks(page):
            if block.file:
                stage.write(block)
            elif runs(page, block):
                (console if block.language == "console" else program)(stage, block)


def console(stage: Stage, block: Block) -> None:
    """Run the commands of a block in one shell and compare, line by line."""
    for command, output in zip(commands(block), stage.console(block), strict=True):
        printed = output.rstrip("\n").splitlines()
        differ = [pair for pair in zip_longest(command.output, printed, fillvalue="") if not shown(*pair)]
        assert not differ, f"$ {command.text}\nthe page shows, the command prints: {differ}"


def program(stage: Stage, block: Block) -> None:
    """Run one program. A language that is not installed is left out; CI installs all of them."""
    start = {"sh": "bash", "python": sys.executable, "js": "node", "go": "go"}[block.language]
    if shutil.which(start) is None:
        assert os.environ.get("CI") != "true", f"{start} is not installed"
        return
    file = stage.path / f"program.{block.language}"
    file.write_text(stage.mapped(block.text))
    arguments = {"sh": ("-eu",), "go": ("run",)}.get(block.language, ())
    done = stage.run(start, *arguments, str(file))
    assert done.returncode == 0, f"{block.text}\n{done.stdout}"
    assert "rror" not in done.stdout, done.stdout


@pytest.mark.parametrize("page", cases(run=False), ids=name)
def test_commands_that_are_not_run_are_written_correctly(page: Path) -> None:
    """bash, node and Python parse them; a path of this project is there; tokend has the command and its options."""
    for block in blocks(page, *PROGRAMS):
        if runs(page, block):
            continue
        if block.language == "python":
            ast.parse(block.text)
            continue
        if block.language == "js":
            if shutil.which("node") is not None:
                subprocess.run(["node", "--check", "-"], input=block.text, text=True, check=True)
            continue
        for line in [command.text for command in commands(block)] if block.language == "console" else [block.text]:
            subprocess.run(["bash", "-n", "-c", line], check=True)
            assert not (wrong := unknown(line)), f"{wrong}: {line}"
            for path in re.findall(r"(?<![\w/.~-])(?:systemd|docs|scripts|tests|\.ci)/[\w./-]*\w", line):
                assert (ROOT / path).exists(), path


def unknown(line: str) -> str:
    """What tokend's command line does not know in a command, or nothing."""
    for match in re.finditer(r"(?:^|[(|;&`]\s*|!|/bin/)tokend ([^|;&`]*)", line):
        command: click.Command = group
        for word in match[1].partition(" -- ")[0].split():
            if isinstance(command, click.Group) and re.fullmatch(r"[a-z-]+", word) and not word.startswith("-"):
                context = click.Context(command)
                if word not in command.list_commands(context):
                    return word
                command = command.get_command(context, word) or command
            options = {option for parameter in command.params for option in parameter.opts} | {
                "-h",
                "--help",
                "--version",
            }
            if re.fullmatch(r"--[a-z-]+|-[a-z]", word) and word not in options:
                return word
    return ""


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_in_sentences_exist(page: Path) -> None:
    """``tokend …`` in backticks names a command and options that are there."""
    for code in re.findall(r"(?<!`)`(tokend [^`]+)`(?!`)", page.read_text()):
        assert not unknown(code.replace("\\|", "|").replace("COMMAND ", "")), code


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_blocks_are_in_languages_that_are_tested(page: Path) -> None:
    """A block in another language would be shown untested; one with a wrong mark, too."""
    for block in blocks(page):
        assert block.language in (*PROGRAMS, *INERT)
    marks = re.findall(r"<!-- (?!words: |rooms)(.*?) -->", page.read_text())
    assert len(marks) == sum(bool(block.file or block.not_run) for block in blocks(page)), marks


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "ini")], ids=name)
def test_units_are_units(page: Path) -> None:
    """Sections, and a key with a value in each line."""
    for block in blocks(page, "ini"):
        unit = configparser.RawConfigParser(delimiters="=", interpolation=None)
        unit.read_string(block.text)
        assert {"Service"} <= set(unit.sections())


# docs/extending.md needs a package of its own: test_extending.py installs it and runs its configuration. Each table of
# docs/store-recipes.md is played by tests/sinks/stores, those of docs/oauth2.md are loaded by test_oauth2_tables.py,
# and those of docs/vendor-files.md by test_vendor_files_page.py.
ELSEWHERE = {"extending.md", "store-recipes.md", "oauth2.md", "vendor-files.md", "requests.md"}


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "toml") and p.name not in ELSEWHERE], ids=name)
def test_configurations_are_loaded_by_a_daemon(page: Path) -> None:
    """A page with TOML blocks has something to run, so that `test_a_page_runs_from_top_to_bottom` loads them."""
    assert page in cases(run=True)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("tokend get --min-ttl 60s tt", ""),
        ("tokend credential git --for a=b", ""),
        ("tokend exec --env A=b -- curl --fail", ""),
        ("tokend gte tt", "gte"),
        ("x && tokend get --min-til 60s tt", "--min-til"),
        ("tokend credential svn --for a=b", "svn"),
    ],
)
def test_an_unknown_command_or_option_is_found(line: str, wrong: str) -> None:
    """The check above can fail."""
    assert unknown(line) == wrong


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("tt: valid, 11 h 59 min left", "tt: valid, 3 s left", True),
        ("fingerprint 0123456789ab, 2 s", "fingerprint ba9876543210, 41 s", True),
        ("a  b", "a   b", True),
        ('"access_token":"eyJ…","x"', '"access_token":"eyJhb.c.d","x"', True),
        ("tt: valid", "tt: expired", False),
        ("(a.b)", "(axb)", False),
        ("3 errors", "no errors", False),
    ],
)
def test_lines_are_compared_but_for_what_varies(expected: str, printed: str, same: bool) -> None:
    """Numbers, ids and times vary; words do not."""
    assert shown(expected, printed) is same
