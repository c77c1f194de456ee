"""`tokend get` in click and in the fast path: one table of options, one meaning for every command line."""

import re
from pathlib import Path

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cli.running import tokend
from tokend.cli.get import OPTIONS, get, parse
from tokend.cli.get_help import command
from tokend.kinds import PROVIDERS

ROOT = Path(__file__).parents[2]
NAMES = [name for names, _, _, _ in OPTIONS for name in names]
# Weighted towards command lines that the fast parser accepts: it has to agree with click there.
WORDS = st.one_of(
    st.sampled_from(["tt", "json", "raw", "netrc", "30s", "5m", *NAMES]),
    st.sampled_from(["-ojson", "--output=json", "--host=h", "--wait=5m", "--min-ttl=1d", "--socket=/run/a", "-n"]),
    st.sampled_from(["", "-", "--", "-x", "-h", "--help", "0s", "1.5h", "-njson", "-o=json", "--output=", "--min"]),
    st.sampled_from([f"{name}={value}" for name in NAMES for value in ("30s", "netrc", "")]),
)
DEFAULTS = {"output": "raw", "host": None, "key": None, "min_ttl": None, "wait": None, "refresh": False,
            "no_newline": False, "socket": None}  # fmt: skip


@settings(max_examples=2000, deadline=None)
@given(st.lists(WORDS, max_size=6))
def test_the_fast_parser_agrees_with_click(arguments: list[str]) -> None:
    """What the fast parser accepts, click reads alike. The fast parser leaves everything else to click."""
    fast = parse(arguments)
    if fast is None:
        return
    assert command.make_context("get", list(arguments)).params == {**DEFAULTS, **fast}


@pytest.mark.parametrize(
    "arguments",
    [
        ["tt"], ["tt", "-o", "json"], ["-ojson", "tt"], ["--output=json", "tt"], ["tt", "-n"], ["tt", "--refresh"],
        ["tt", "--min-ttl", "30s", "--wait=5m"], ["tt", "--socket", "/run/a"], ["tt", "-o", "netrc", "--host", "a@b"],
        ["tt", "-o", "env", "--key", "JWT_TOKEN"],
    ],
)  # fmt: skip
def test_usual_command_lines_take_the_fast_path(arguments: list[str]) -> None:
    """Neither click nor its import time stands between a program and its token."""
    assert parse(arguments) is not None


def test_every_option_of_the_table_is_in_the_help() -> None:
    """Names, values and help texts come from the table; there are no others but `--help`."""
    shown = " ".join(tokend("get", "--help").out.split())
    for names, _, value, text in OPTIONS:
        assert ", ".join(names) in shown
        assert " ".join(text.split()) in shown
        if isinstance(value, tuple):
            assert f"[{'|'.join(value)}]" in shown
    assert set(re.findall(r"(?<=\s)--?[a-z-]+", shown.partition("Options:")[2].partition("Example")[0])) <= {
        *NAMES, "-h", "--help", "-K",
    }  # fmt: skip


def test_the_help_says_that_no_built_in_kind_gives_a_key_pair() -> None:
    """As long as it is true: `command` and `http` will, and this sentence goes then, here and in the pages."""
    said = "No built-in kind of this version gives one"
    pages = [ROOT / page for page in ("docs/cli.md", "docs/api.md", "docs/man/tokend-api.7")]
    texts = [tokend("get", "--help").out, *(page.read_text() for page in pages)]
    expected = not {"command", "http"} & set(PROVIDERS.names())
    assert [said in text for text in texts] == [expected] * len(texts)


def test_every_option_of_the_table_is_a_parameter_of_get() -> None:
    """The fast path calls `get` with the table's names."""
    parameters = set(get.__annotations__) - {"name", "return"}
    assert {parameter for _, parameter, _, _ in OPTIONS} == parameters


def test_click_explains_a_host_without_netrc() -> None:
    """The fast path refuses the combination, and click gives the reason."""
    assert parse(["tt", "--host", "a"]) is None
    with pytest.raises(click.UsageError, match="-o netrc needs --host"):
        command.main(["tt", "--host", "a"], standalone_mode=False)
