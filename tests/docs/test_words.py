"""``scripts/words.py``: listed words, openings and missing docstrings are found, and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.words import LIST, Finding, in_code, in_page, words

SCRIPT = LIST.with_suffix(".py")
LISTED = words(LIST.read_text())


def code(source: str, path: str = "tokend/a.py") -> list[str]:
    """The findings in a Python file, as they are printed."""
    return [str(finding) for finding in in_code(path, source, LISTED)]


def page(text: str, path: str = "docs/a.md") -> list[str]:
    """The findings in a page, as they are printed."""
    return [str(finding) for finding in in_page(path, text, LISTED)]


def test_a_docstring_a_comment_and_a_message_are_read() -> None:
    """Each with its own line, and with the plain word."""
    source = """'''A module.'''

x = 1  # mended later


def f():
    '''Wait.

    In vain.
    '''
    g("try it anew")
"""
    assert sorted(code(source)) == [
        'tokend/a.py:11: "anew": again',
        'tokend/a.py:3: "mended": fix',
        'tokend/a.py:9: "In vain": without effect; without result',
    ]


def test_names_and_single_words_of_code_are_not_prose() -> None:
    """A key of a dictionary or a variable is no message."""
    assert code('"""A module."""\nanew = {"anew": 1}\n') == []


def test_messages_of_tests_are_not_read() -> None:
    """A test may say what a program of others prints."""
    assert code('"""A module."""\nx = "try it anew"\n', "tests/test_a.py") == []


def test_a_phrase_is_found_across_lines_of_a_comment_and_of_a_page() -> None:
    """The lines of a block of comments are one text."""
    assert code('"""A module."""\n# Its entries are counted by\n# the thousand.\n') == [
        'tokend/a.py:2: "by the thousand": thousands of'
    ]
    assert page("Entries are counted by\nthe thousand.\n") == ['docs/a.md:1: "by the thousand": thousands of']


@pytest.mark.parametrize(
    "text",
    [
        "World-readable files, the world-readable file.",
        "Two causes are told apart; a reader can tell them apart.",
        "Errors are recommended fixes.",
        "Turn the switch off; in turn, the other turns on.",
        "A long-standing connection.",
        "math.flooring, a space, paceless.",
    ],
)
def test_honest_uses_pass(text: str) -> None:
    """A pattern is for whole words, and leaves out what is plain English."""
    assert page(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "Reported to whoever asks.",
        "The world of a test.",
        "Systemd is told.",
        "It tells systemd.",
        "The interval is laid anew.",
        "Two verdicts.",
        "A second hearing.",
        "Wake who waits.",
        "Kinds take turns.",
        "A sink's standing.",
        "The floor is 5 s.",
        "The order is as it should be.",
    ],
)
def test_the_dialect_is_found_once(text: str) -> None:
    """One place, one finding, also where two patterns fit."""
    assert len(page(text)) == 1


def test_a_marker_with_a_reason_allows_one_word() -> None:
    """In the line, or in the line above; without a reason, or for another word, it allows nothing."""
    assert page("<!-- words: allow verdict: the vendor's own word -->\nThe verdict.\n") == []
    assert code('"""A module."""\nx = 1  # a verdict (words: allow verdict: the vendor\'s word)\n') == []
    assert page("<!-- words: allow verdict: -->\nThe verdict.\n") != []
    assert page("<!-- words: allow anew: the vendor's own word -->\nThe verdict.\n") != []


@pytest.mark.parametrize(
    "opening", ["What", "Where", "Who", "How", "When", "Which", "Whether", "That", "It", "Its", "There"]
)
def test_a_module_begins_with_its_subject(opening: str) -> None:
    """In tests, too. A function's docstring may begin as it likes."""
    for path in ("tokend/a.py", "tests/test_a.py"):
        assert code(f'"""{opening} is here."""\n', path) == [
            f'{path}:1: the module\'s docstring begins with "{opening}": begin with the subject'
        ]
    assert code('"""Itself."""\n\n\ndef f():\n    """Its value."""\n') == []


def test_public_names_need_a_docstring() -> None:
    """Module, class, function and method; not private names, overloads, setters and functions within functions."""
    source = """
from typing import overload


class A:
    def b(self):
        def inner(): ...

    @overload
    def c(self): ...

    @d.setter
    def d(self): ...

    def __repr__(self): ...


class _C:
    def e(self): ...


async def f(): ...
"""
    assert code(source) == [
        "tokend/a.py:1: the module has no docstring",
        "tokend/a.py:5: A has no docstring",
        "tokend/a.py:6: b has no docstring",
        "tokend/a.py:22: f has no docstring",
    ]


def test_a_file_that_is_not_python_is_a_finding() -> None:
    """The other files are still checked."""
    assert code("def f(:\n") == ["tokend/a.py:1: no valid Python: invalid syntax"]


def test_only_the_newest_section_of_the_change_log_is_read() -> None:
    """What was released stays as it was written."""
    log = "# Changes\n\n## 0.2.0\n\n- Plain.\n\n## 0.1.0\n\n- Dated anew.\n"
    assert page(log, "CHANGELOG.md") == []
    assert page(log.replace("Plain", "Told"), "CHANGELOG.md") == [
        'CHANGELOG.md:5: "Told": say; log; report; notify; return'
    ]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The script as scripts/check runs it."""
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)


def test_the_script_prints_the_places_and_fails(tmp_path: Path) -> None:
    """Sorted by file and line; --count prints numbers only; a path limits both; without a finding 0 and no output."""
    (tmp_path / "tokend").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "tokend/a.py").write_text('"""A module."""\n\n# Mended\nx = "told it"\n')
    (tmp_path / "docs/a.md").write_text("Whoever.\n")
    place = ("--project", str(tmp_path))
    done = run(*place)
    assert done.returncode == 1
    assert [line.rpartition(": ")[0] for line in done.stdout.splitlines()] == [
        'docs/a.md:1: "Whoever"' + ": name the subject",
        'tokend/a.py:3: "Mended"',
        'tokend/a.py:4: "told"',
    ]
    assert run(*place, "--count").stdout == "    1 docs/a.md\n    2 tokend/a.py\n"
    assert run(*place, "--count", "docs/").stdout == "    1 docs/a.md\n"
    clean = run(*place, "tests")
    assert (clean.returncode, clean.stdout, clean.stderr) == (0, "", "")


def test_a_line_of_the_list_without_an_arrow_is_an_error() -> None:
    """A pattern without a plain word helps nobody."""
    with pytest.raises(ValueError, match="no ' -> '"):
        words("anew\n")
    assert words("# a comment\n\na b -> c\n")[0].pattern.search("a\n  b")


def test_a_finding_is_one_line() -> None:
    """As editors jump to it: file, line, message."""
    assert str(Finding("a.py", 3, "message")) == "a.py:3: message"
