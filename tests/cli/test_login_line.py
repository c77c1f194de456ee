"""The line about a login in `tokend status`."""

from datetime import UTC, datetime, timedelta
from typing import Any

import click
import pytest

from tokend.cli.login_line import describe_login

# From now, which is the moment of the test. Half an hour from the next figure.
AGO = -timedelta(days=2, hours=5, minutes=30)
LATER = timedelta(days=5, hours=3, minutes=30)


def login(**changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "subject": None,
        "obtained_at": AGO,
        "ends_at": None,
        "scopes_missing": [],
        "command": "tokend login schwab",
    }
    return {"state": "ok", **row, **changes}


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (login(), "begun 2 d 5 h ago"),
        (login(subject="somebody", ends_at=LATER), "of somebody, begun 2 d 5 h ago, login ends in 5 d 3 h"),
        (
            login(state="ends_soon", ends_at=LATER),
            "begun 2 d 5 h ago, login ends in 5 d 3 h: tokend login schwab",
        ),
        (login(state="required"), "required, begun 2 d 5 h ago: tokend login schwab"),
        (login(state="required", obtained_at=None), "required: tokend login schwab"),
        (login(state="none", obtained_at=None), "none: tokend login schwab"),
        (login(state="none", obtained_at=None, command=None, step="put it there"), "none: put it there"),
        (login(state="required", command=None, step="put it there"), "required, begun 2 d 5 h ago: put it there"),
        (login(state="pending", obtained_at=None), "a person is logging in"),
        (login(ends_at=AGO), "begun 2 d 5 h ago, login has ended"),
        (login(scopes_missing=["write"]), "begun 2 d 5 h ago: tokend login schwab"),
    ],
)
def test_the_line_says_whose_it_is_when_it_ends_and_what_to_do(row: dict[str, Any], text: str) -> None:
    """The command stands there where a person has to act, or soon has."""
    now = datetime.now(UTC)
    there = {name: (now + value).isoformat() if isinstance(value, timedelta) else value for name, value in row.items()}
    assert click.unstyle(describe_login(there)) == text
