"""Table of commands: complete, consistent with the files, and enough to make `--help` and completion follow."""

import importlib
import json
import re
from pathlib import Path

import click
import pytest

from tests.cli.running import tokend
from tests.client.fake_daemon import answering, http
from tokend import cli
from tokend.cli.commands import COMMANDS, group

# Modules of `tokend.cli` that hold no command. A file that is neither here nor in the table of commands is forgotten.
SHARED = {
    "__init__", "commands", "options", "streams", "token_rows", "output_formats", "login_line", "plugin_line",
    "get", "run",  # the paths without click; their commands are in get_help and run_help
    "credential_hosts", "restart_on_change", "child_job", "plan", "example", "config_schema",
    "check_result", "trials", "check_as", "as_user", "shown_table",  # what `check` is made of
    "toml_text", "vendor_table",
}  # fmt: skip
# All commands that people were promised.
PROMISED = {
    "run", "get", "header", "issue", "request-id", "list", "status", "refresh", "forget", "verify", "reload", "check",
    "sandbox", "demo", "version", "watch", "exec", "credential", "schema", "completion", "init", "doctor",
    "login", "logout", "try", "vendors",
}  # fmt: skip
CODES = (0, 1, 2, 3, 4, 5, 6, 7, 75, 78, 124)


def test_the_overview_lists_every_command_and_every_exit_code() -> None:
    """`tokend --help`: all commands, all exit codes."""
    done = tokend("--help")
    assert (done.code, done.err) == (0, "")
    assert set(COMMANDS) >= PROMISED
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", done.out, re.MULTILINE), name
    codes = done.out.partition("Exit codes:")[2]
    assert all(re.search(rf"\b{code} ", codes) for code in CODES)
    assert max(len(line) for line in done.out.splitlines()) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself(name: str) -> None:
    """`tokend NAME --help`: usage and a sentence, exit code 0, no daemon needed."""
    done = tokend(name, "--help", TOKEND_SOCKET="/nowhere")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"Usage: tokend {name} ")
    assert "-h, --help" in done.out


def test_a_near_miss_is_understood_and_still_wrong() -> None:
    """An unknown command: exit code 2, and what was meant."""
    done = tokend("lst")
    assert (done.code, done.out) == (2, "")
    assert "No such command 'lst'. Did you mean 'list'?" in done.err
    assert tokend("xyzzy").code == 2


def test_without_a_command_there_is_the_overview() -> None:
    """Nothing asked, nothing done: the overview, exit code 2."""
    done = tokend()
    assert done.code == 2
    assert "Commands" not in done.out
    assert "Ask for tokens:" in done.err


@pytest.mark.parametrize("name", COMMANDS)
def test_each_row_names_a_command_of_that_name(name: str) -> None:
    """The module defines `command`, and click knows it by the name in the table."""
    module, line = COMMANDS[name]
    command = importlib.import_module(module).command
    assert isinstance(command, click.Command)
    assert command.name == name
    assert command.help
    assert line.endswith(".")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_found_by_the_name_of_its_file(name: str) -> None:
    """`ls tokend/cli` shows where a command is: its file or folder has its name, with _ for -."""
    module = COMMANDS[name][0]
    expected = {
        "get": "tokend.cli.get_help",
        "run": "tokend.cli.run_help",
        "sandbox": "tokend.sandbox.command",
        "try": "tokend.cli.try_offline",
    }
    assert module == expected.get(name, f"tokend.cli.{name.replace('-', '_')}")


def test_every_file_is_a_command_of_the_table_or_shared() -> None:
    """A new command without a row in the table fails here: add one to `SECTIONS` in tokend/cli/commands.py."""
    folder = Path(cli.__path__[0])
    files = {path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    commands = {module.rpartition(".")[2] for module, _ in COMMANDS.values() if module.startswith("tokend.cli.")}
    assert files == commands | SHARED


def test_a_command_is_imported_when_it_is_needed() -> None:
    """The table alone is enough for the list of commands; an unknown name imports nothing."""
    context = click.Context(group)
    assert group.list_commands(context) == list(COMMANDS)
    assert group.get_command(context, "xyzzy") is None


def test_json_that_is_broken_is_one_sentence() -> None:
    """No traceback, whatever the other side sends."""
    with answering(http(b"{")) as fake:
        for arguments in (("get", "tt", "-o", "header"), ("list",), ("status",), ("refresh", "tt")):
            done = tokend(*arguments, TOKEND_SOCKET=fake.path)
            assert (done.code, done.out) == (3, ""), arguments
            assert done.err.count("\n") == 1


def test_what_the_other_side_says_cannot_steer_the_terminal() -> None:
    """Escape sequences in a refusal are shown, not obeyed."""
    body = json.dumps({"code": "bad_request", "detail": "\x1b[2Jx\r\x9b", "errors": {"\x1b]0;a": ["\x07b"]}})
    with answering(http(body.encode(), status=400)) as fake:
        for arguments in (("get", "tt"), ("issue", "tt", "a=b")):
            done = tokend(*arguments, TOKEND_SOCKET=fake.path)
            assert done.code == 2
            assert done.err.startswith("tokend: \\x1b[2Jx\\r\\x9b\n")
            assert all(line.isprintable() for line in done.err.splitlines())


ROW = {"name": "x", "kind": "jwt", "state": "valid", "valid": True, "required": True}
MALFORMED = [
    {},
    {"tokens": 5, "plan": 5, "request_id": 5, "headers": 5, "access_token": 5, "name": 5, "token_type": 5},
    {"tokens": [ROW], "plan": [{}], "ready": True, "config": {}},
    {"tokens": [{**ROW, "generation": [], "expires_at": "soon", "sinks": [{}]}], "config": {"error": 1}, "ready": []},
]
ASKING = [
    ("get", "x"), ("get", "x", "-o", "json"), ("get", "x", "-o", "k8s"), ("get", "x", "--refresh"), ("header", "x"),
    ("issue", "x"), ("sign", "x", "GET", "/"), ("request-id", "x"), ("list",), ("status",), ("status", "x"),
    ("verify", "x"), ("refresh", "x"), ("refresh", "--all"), ("reload",), ("check", "--plan"),
    ("exec", "--env", "A=x", "--", "true"), ("credential", "docker", "--for", "a.example=x", "get"), ("watch", "x"),
]  # fmt: skip


@pytest.mark.parametrize("words", ASKING, ids=" ".join)
def test_an_answer_of_another_form_is_a_sentence(words: tuple[str, ...]) -> None:
    """The server may be any program: no traceback, which would hide the reason and could show a token."""
    for answer in MALFORMED:
        with answering(http(json.dumps(answer).encode())) as fake:
            done = tokend(*words, TOKEND_SOCKET=fake.path)
        assert "Traceback" not in done.err, answer
        assert all(line.startswith("tokend: ") for line in done.err.splitlines()), answer
        assert done.code in CODES


def test_a_problem_of_another_form_is_a_sentence() -> None:
    """Its members may have any type."""
    for errors, retry_at in ((5, 5), ({"a": 5}, "soon"), ([5], []), ({"a": [5]}, {})):
        body = json.dumps({"code": "rate_limited", "detail": "slowly", "errors": errors, "retry_at": retry_at})
        with answering(http(body.encode(), status=429)) as fake:
            done = tokend("issue", "x", TOKEND_SOCKET=fake.path)
        assert done.code == 7
        assert done.err.startswith("tokend: slowly\n")
        assert "Traceback" not in done.err
