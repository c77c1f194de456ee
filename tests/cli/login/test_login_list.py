"""`tokend login --list`: the tokens that have a login."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.cli.login.logging_in import Logging
from tests.cli.running import tokend
from tokend.values.status import LoginStatus

COMMAND = "tokend login demo"


def test_each_login_has_a_line_with_what_to_do(logins: Logging) -> None:
    """As the status has it; what a server has named is escaped."""
    entry = logins.server.engine.entries["demo"]
    soon = datetime.now(UTC) + timedelta(days=5, hours=3, minutes=30)
    entry.changes["login"] = LoginStatus("ends_soon", "a\x1b[2J", soon, soon, (), COMMAND)
    done = tokend("login", "--list", TOKEND_SOCKET=str(logins.server.path))
    assert done.code == 0
    assert re.fullmatch(r"demo  fake  of a\\x1b\[2J, .*login ends in 5 d 3 h: tokend login demo\n", done.out)


def test_tokens_without_a_login_are_left_out(logins: Logging) -> None:
    """In text and for programs."""
    place = str(logins.server.path)
    assert tokend("login", "--list", TOKEND_SOCKET=place).out == "no token that you may read comes from a login\n"
    logins.server.engine.entries["demo"].changes["login"] = LoginStatus("none", None, None, None, (), COMMAND)
    shown: Any = json.loads(tokend("login", "--list", "-o", "json", TOKEND_SOCKET=place).out)
    assert [(row["name"], row["kind"], row["login"]["state"]) for row in shown["logins"]] == [("demo", "fake", "none")]
    assert tokend("login", "demo", "--list", TOKEND_SOCKET=place).code == 0
    assert tokend("login", "nosuch", "--list", TOKEND_SOCKET=place).code == 5
