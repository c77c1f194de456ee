"""`tokend login --list`: the tokens that have a login."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.cli.login.logging_in import Logging
from tests.cli.running import tokend
from tokend.values.status import LoginStatus

SOON = datetime.now(UTC) + timedelta(days=5, hours=3, minutes=30)
COMMAND = "tokend login demo"


@pytest.mark.parametrize(
    ("login", "line"),
    [
        (LoginStatus("ends_soon", "alice", SOON, SOON, (), COMMAND), f"alice  login ends in 5 d 3 h: {COMMAND}"),
        (LoginStatus("ok", None, SOON, SOON, (), COMMAND), "login ends in 5 d 3 h"),
        (LoginStatus("ok", "alice", SOON, None, (), COMMAND), "alice  logged in"),
        (LoginStatus("required", "alice", SOON, None, (), COMMAND), f"alice  login required: {COMMAND}"),
        (LoginStatus("none", None, None, None, (), COMMAND), f"not logged in: {COMMAND}"),
        (LoginStatus("pending", "alice", SOON, SOON, (), COMMAND), "alice  a person is logging in"),
        (LoginStatus("ok", "a\x1b[2J", SOON, None, (), COMMAND), "a\\x1b[2J  logged in"),
    ],
)
def test_each_login_has_a_line_with_what_to_do(logins: Logging, login: LoginStatus, line: str) -> None:
    """Whose it is, how long it lasts, and the command that brings another one."""
    logins.server.engine.entries["demo"].changes["login"] = login
    done = tokend("login", "--list", TOKEND_SOCKET=str(logins.server.path))
    assert (done.code, done.out) == (0, f"demo  fake  {line}\n")
    status = tokend("status", "demo", TOKEND_SOCKET=str(logins.server.path))
    assert "  login    " in status.out


def test_tokens_without_a_login_are_left_out(logins: Logging) -> None:
    """In text and for programs."""
    place = str(logins.server.path)
    assert tokend("login", "--list", TOKEND_SOCKET=place).out == "no token that you may read comes from a login\n"
    logins.server.engine.entries["demo"].changes["login"] = LoginStatus("none", None, None, None, (), COMMAND)
    shown: Any = json.loads(tokend("login", "--list", "-o", "json", TOKEND_SOCKET=place).out)
    assert [(row["name"], row["kind"], row["login"]["state"]) for row in shown["logins"]] == [("demo", "fake", "none")]
    assert tokend("login", "demo", "--list", TOKEND_SOCKET=place).code == 0
    assert tokend("login", "nosuch", "--list", TOKEND_SOCKET=place).code == 5
