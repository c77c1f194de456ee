"""The wait for the end of a login."""

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.login.logging_in import Logging
from tokend.cli.login.requests import LoginRequests
from tokend.cli.login.terminal_input import TerminalInput
from tokend.cli.login.waiting import NoWayError, TimeOverError, Waiting, cancelled
from tokend.client import TokenClient
from tokend.values.logins import Granted

REDIRECT = "http://127.0.0.1:8400/"


@pytest.fixture
def requests(logins: Logging) -> LoginRequests:
    made = LoginRequests(TokenClient(str(logins.server.path)), "demo", other_account=False)
    made.begin("browser", REDIRECT)
    return made


@pytest.fixture
def pipe() -> Iterator[tuple[TerminalInput, int]]:
    reader, writer = os.pipe()
    with TerminalInput(reader) as typed:
        yield typed, writer
    os.close(reader)


def test_the_time_is_over_when_it_is(requests: LoginRequests) -> None:
    """At once, if there is none."""
    with pytest.raises(TimeOverError) as over:
        Waiting(requests, print, time.monotonic()).until_ended()
    assert over.value.exit_code == 124


def test_the_last_line_of_a_closed_input_counts(requests: LoginRequests, pipe: tuple[TerminalInput, int]) -> None:
    """A script may write the address and close."""
    typed, writer = pipe
    os.write(writer, f"{REDIRECT}?code=fake&state=fake-state".encode())
    os.close(writer)
    answer = Waiting(requests, print, time.monotonic() + 30, REDIRECT, typed=typed).until_ended()
    assert answer["state"] == "done"


@pytest.mark.parametrize(
    ("typed", "subject", "state"),
    [("yes\n", "ali\x1bce", "done"), (" Y \n", None, "done"), ("n\n", "alice", "failed"), ("\n", "alice", "failed")],
)
def test_a_person_confirms_the_account_of_a_login_whose_address_proves_nothing(
    logins: Logging, pipe: tuple[TerminalInput, int], typed: str, subject: str | None, state: str
) -> None:
    """What was typed before the question is no answer to it; anything but a yes cancels the login."""
    fake, said = logins.server.engine.logins, []
    fake.returns_state, fake.subject = False, subject
    requests = LoginRequests(TokenClient(str(logins.server.path)), "demo", other_account=False)
    requests.begin("browser", None)
    terminal, writer = pipe

    def say(text: str) -> None:
        said.append(text)
        os.write(writer, typed.encode())

    os.write(writer, f"{REDIRECT}?code=fake\n".encode())
    answer = Waiting(requests, say, time.monotonic() + 30, REDIRECT, typed=terminal).until_ended()
    assert (answer["state"], len(said)) == (state, 1)
    assert ("names no account" if subject is None else "of the account ali") in said[0]
    assert "\x1b" not in said[0]


def test_nobody_can_confirm_where_nothing_is_typed(requests: LoginRequests, logins: Logging) -> None:
    """At the end of the input, and at the end of the time."""
    session = logins.session
    session.unconfirmed = Granted("https://login.example", session.expires_at)
    reader, writer = os.pipe()
    with TerminalInput(reader) as typed:
        with pytest.raises(TimeOverError):
            Waiting(requests, print, time.monotonic() + 1.5, REDIRECT, typed=typed).until_ended()
        os.close(writer)
        with pytest.raises(NoWayError, match="nobody has confirmed"):
            Waiting(requests, print, time.monotonic() + 30, REDIRECT, typed=typed).until_ended()
    os.close(reader)


def test_nothing_can_arrive_after_the_end_of_the_input(
    requests: LoginRequests, pipe: tuple[TerminalInput, int]
) -> None:
    """Without a listener."""
    typed, writer = pipe
    os.write(writer, b"\n")
    os.close(writer)
    said: list[str] = []
    with pytest.raises(NoWayError):
        Waiting(requests, said.append, time.monotonic() + 30, REDIRECT, typed=typed).until_ended()
    assert said == []


def test_what_goes_wrong_at_the_daemon_is_said_once(logins: Logging, requests: LoginRequests) -> None:
    """As long as it is the same."""
    said: list[str] = []
    texts = iter(["timeout", "timeout", None, "timeout", "503"])

    def look() -> dict[str, Any]:
        text = next(texts, "end")
        return {"state": "done" if text == "end" else "pending", "error": text}

    requests.look = look  # type: ignore[method-assign]
    Waiting(requests, said.append, time.monotonic() + 30).until_ended()
    assert said == [f"{text}; tokend tries again" for text in ("timeout", "timeout", "503")]


def test_a_login_is_given_up_also_if_the_daemon_is_away(logins: Logging, requests: LoginRequests) -> None:
    """There is nothing to cancel then."""
    cancelled(requests)
    assert logins.session.error == "it was cancelled"
    logins.server.engine.logins.session = None
    cancelled(requests)
