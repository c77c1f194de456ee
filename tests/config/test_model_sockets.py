"""The tables ``[[sockets]]``: their keys, their place, and what they may name."""

from pathlib import Path

import pytest

from tests.config.written import PARTNER, loaded, only, refused, written

BOT = '[[sockets]]\npath = "run/bot.sock"\ntokens = ["partner"]\n'


def test_a_socket_is_for_the_tokens_that_it_names(tmp_path: Path) -> None:
    """The path starts at the file's directory; nobody is an admin, and owner and group are the daemon's."""
    (bot,) = loaded(written(tmp_path, BOT + PARTNER)).sockets
    assert (bot.path, bot.tokens, bot.admin) == (tmp_path / "run/bot.sock", ("partner",), False)
    assert (bot.mode, bot.owner, bot.group) == ("0660", None, None)
    more = '[[sockets]]\npath = "all"\ntokens = ["*"]\nadmin = true\nmode = "0600"\nowner = "0"\ngroup = "root"\n'
    _, everything = loaded(written(tmp_path, BOT + more + PARTNER)).sockets
    assert (everything.tokens, everything.admin, everything.mode) == (("*",), True, "0600")
    assert (everything.owner, everything.group) == ("0", "root")


@pytest.mark.parametrize(
    ("table", "line", "message"),
    [
        ('path = "s"\n', 1, "tokens is missing"),
        ('tokens = ["partner"]\n', 1, "path is missing"),
        ('path = "s"\ntokens = []\n', 3, "tokens"),
        ('path = "s"\ntokens = "*"\n', 3, "tokens"),
        ('path = "s"\ntokens = ["partner", "partnr"]\n', 3, 'there is no provider "partnr"; did you mean "partner"?'),
        ('path = "s"\ntokens = ["part*"]\n', 3, 'there is no provider "part*"'),
        ('path = "s"\ntokens = ["*"]\nmode = 660\n', 4, "a mode is an octal string"),
        ('path = "s"\ntokens = ["*"]\nadmins = true\n', 4, 'did you mean "admin"?'),
        ('path = "s"\ntokens = ["*"]\nadmin = "yes"\n', 4, "admin"),
        (f'path = "{"s" * 200}"\ntokens = ["*"]\n', 2, "107 bytes"),
    ],
)
def test_a_wrong_table_is_an_error_at_its_line(tmp_path: Path, table: str, line: int, message: str) -> None:
    """What stands in the table is checked as in every other one."""
    problem = only(refused(written(tmp_path, f"[[sockets]]\n{table}{PARTNER}")))
    assert problem.line == line
    assert message in problem.message


@pytest.mark.parametrize("path", ["t.sock", "./sub/../t.sock", "c.sock", "other", "config.toml", "link/t.sock"])
def test_a_path_that_is_in_use_is_an_error(tmp_path: Path, path: str) -> None:
    """The daemon's own sockets, another of these, and files that tokend reads; in any spelling."""
    (tmp_path / "link").symlink_to(tmp_path)
    daemon = '[daemon]\nsocket = "t.sock"\ncredentials_socket = "c.sock"\n'
    other = '[[sockets]]\npath = "other"\ntokens = ["*"]\n'
    problem = only(
        refused(written(tmp_path, f'{daemon}{other}[[sockets]]\npath = "{path}"\ntokens = ["*"]\n{PARTNER}'))
    )
    assert problem.line == 8
    assert "choose another path" in problem.message


def test_no_sink_writes_where_a_socket_is(tmp_path: Path) -> None:
    """The token would replace the socket."""
    sink = '[[providers.partner.sinks]]\nkind = "raw"\npath = "run/bot.sock"\n'
    problem = only(refused(written(tmp_path, BOT + PARTNER + sink)))
    assert "a socket of [[sockets]]" in problem.message


def test_sockets_stand_in_the_main_file(tmp_path: Path) -> None:
    """Included files hold providers only."""
    written(tmp_path, BOT, name="conf.d/bot.toml")
    problem = only(refused(written(tmp_path, f'include = ["conf.d/*.toml"]\n{PARTNER}')))
    assert "sockets belongs into the main file" in problem.message


@pytest.mark.parametrize("text", ["sockets = 1\n", "[sockets]\npath = 's'\n", "sockets = ['s']\n"])
def test_what_is_no_array_of_tables_is_an_error(tmp_path: Path, text: str) -> None:
    """The message shows the right brackets."""
    problem = only(refused(written(tmp_path, text + PARTNER)))
    assert problem.message == "sockets are an array of tables: [[sockets]]"


def test_users_and_groups_that_are_unknown_are_warned_of(tmp_path: Path) -> None:
    """The file may be for another machine."""
    config = loaded(written(tmp_path, f'{BOT}owner = "no-such-user"\ngroup = "no-such-group"\n{PARTNER}'))
    assert [warning.line for warning in config.warnings] == [4, 5]
