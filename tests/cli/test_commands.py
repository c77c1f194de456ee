"""The table of commands: complete, consistent with the files, and enough to make `--help` and completion follow."""

import importlib
from pathlib import Path

import click
import pytest

import tokend.cli
from tokend.cli.commands import COMMANDS, group

# Modules of `tokend.cli` that hold no command. A file that is neither here nor in the table of commands is forgotten.
SHARED = {
    "__init__", "commands", "options", "streams", "token_rows", "output_formats",
    "get",  # the fast path; its command is in get_help
    "credential_hosts", "restart_on_change",
}  # fmt: skip


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
    expected = {"get": "tokend.cli.get_help", "sandbox": "tokend.sandbox.command"}
    assert module == expected.get(name, f"tokend.cli.{name.replace('-', '_')}")


def test_every_file_is_a_command_of_the_table_or_shared() -> None:
    """A new command without a row in the table fails here: add one to `SECTIONS` in tokend/cli/commands.py."""
    folder = Path(tokend.cli.__path__[0])
    files = {path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    commands = {module.rpartition(".")[2] for module, _ in COMMANDS.values() if module.startswith("tokend.cli.")}
    assert files == commands | SHARED


def test_a_command_is_imported_when_it_is_needed() -> None:
    """The table alone is enough for the list of commands; an unknown name imports nothing."""
    context = click.Context(group)
    assert group.list_commands(context) == list(COMMANDS)
    assert group.get_command(context, "xyzzy") is None
