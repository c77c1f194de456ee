"""The line about a token's login in `tokend status`."""

from collections.abc import Mapping
from typing import Any

import click

from tokend.cli.token_rows import describe_age, describe_seconds, seconds_until


def remedy_of(login: Mapping[str, Any]) -> str:
    """Return what brings another login: the command, or what a person does where nobody can log in."""
    return str(login["command"] or login.get("step", ""))


def describe_login(login: Mapping[str, Any]) -> str:
    """Say how a login fares, whose it is, when it ends, and what brings another one where one is needed."""
    state, remedy = login["state"], remedy_of(login)
    if state == "none":
        return f"none: {remedy}"
    parts = []
    if state == "required":
        parts.append(click.style("required", fg="red"))
    elif state == "pending":
        parts.append("a person is logging in")
    if login["subject"]:
        parts.append(f"of {login['subject']}")
    if login["obtained_at"]:
        parts.append(f"begun {describe_age(login['obtained_at'])}")
    if login["ends_at"]:
        left = seconds_until(login["ends_at"])
        ends = f"login ends in {describe_seconds(left)}" if left > 0 else "login has ended"
        parts.append(click.style(ends, fg="yellow") if state == "ends_soon" else ends)
    text = ", ".join(parts)
    return f"{text}: {remedy}" if state in {"required", "ends_soon"} or login["scopes_missing"] else text
