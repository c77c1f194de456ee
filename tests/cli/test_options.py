"""Arguments and options that several commands share."""

from collections.abc import Iterator
from typing import Any

import click
import pytest
from click.shell_completion import CompletionItem

from tokend.cli.options import NAME, SOCKET, duration, name_argument
from tokend.client.testing import FakeTokend


@pytest.fixture
def fake() -> Iterator[FakeTokend]:
    """A tokend with two held tokens."""
    with FakeTokend({"partner": "first", "private": "second"}, environ=False) as started:
        yield started


def completed(command: click.Command, socket: str, text: str) -> dict[str, Any]:
    """Complete the argument NAME: the names that are offered, with their help."""
    context = click.Context(command)
    context.params["socket"] = socket
    (argument,) = (one for one in command.params if isinstance(one, click.Argument))
    found: list[CompletionItem] = argument.shell_complete(context, text)
    return {item.value: item.help for item in found}


def command_with(argument: Any) -> click.Command:
    """Make a command with --socket and this argument."""
    return click.command()(SOCKET(argument(lambda name, socket: None)))


def test_names_of_held_tokens_are_completed(fake: FakeTokend) -> None:
    """Kind and state stand beside the name."""
    found = completed(command_with(NAME), fake.socket, "p")
    assert set(found) == {"partner", "private"}
    assert all(", valid" in text for text in found.values())
    assert set(completed(command_with(NAME), fake.socket, "pr")) == {"private"}


def test_only_on_demand_tokens_can_be_issued(fake: FakeTokend) -> None:
    """This daemon has none."""
    assert completed(command_with(name_argument(issued=True)), fake.socket, "") == {}
    assert set(completed(command_with(name_argument(issued=None)), fake.socket, "")) == {"partner", "private"}


def test_without_a_daemon_nothing_is_offered() -> None:
    """A shell would print an error into the line that is being typed."""
    assert completed(command_with(NAME), "/nowhere/tokend.sock", "") == {}


@pytest.mark.parametrize("text", ["500ms", "30s", "15m", "12h", "1d"])
def test_a_duration_stays_text(text: str) -> None:
    """The daemon reads it."""
    assert duration(click.Context(command_with(NAME)), click.Option(["--min-ttl"]), text) == text


@pytest.mark.parametrize("text", ["", "5", "soon", "-1s", "1w"])
def test_other_text_is_wrong_usage(text: str) -> None:
    """The message shows the units."""
    with pytest.raises(click.BadParameter, match="write 500ms, 30s, 15m, 12h, 1d"):
        duration(click.Context(command_with(NAME)), click.Option(["--min-ttl"]), text)


def test_an_option_that_is_not_given_has_no_duration() -> None:
    """The command decides."""
    assert duration(click.Context(command_with(NAME)), click.Option(["--min-ttl"]), None) is None
