"""Rows of tokens from ``/v1/tokens`` and ``/v1/status``, and their description in words for several commands."""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tokend.client import UnknownTokenError

COLOURS = {"valid": "green", "on_demand": "green", "failing": "yellow", "pending": "yellow"}


def rows_by_name(rows: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Index the rows of a list or a status by the tokens' names."""
    return {row["name"]: row for row in rows}


def find_row(status: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the row of one token from ``/v1/status``. Raises `UnknownTokenError`."""
    try:
        return rows_by_name(status["tokens"])[name]
    except KeyError:
        text = f"no token {name!r} here, or none that you may read; `tokend list` shows yours"
        raise UnknownTokenError(text, code="unknown_token") from None


def needs_a_person(row: Mapping[str, Any]) -> bool:
    """Return whether a person must act before there is a token again."""
    return row["state"] in {"rejected", "login_required"}


def state_colour(state: str) -> str:
    """Return click's name for the colour of a state."""
    return COLOURS.get(state, "red")


def use_colours() -> bool | None:
    """Return click's ``color``: False where NO_COLOR is set, else None (colours on a terminal only)."""
    return False if os.environ.get("NO_COLOR") else None


def describe_life(row: Mapping[str, Any]) -> str:
    """Say how long the token is valid, as in "5 min 3 s left"."""
    left = describe_time_left(row)
    return left if row["expires_at"] is None else f"{left} left"


def describe_time_left(row: Mapping[str, Any]) -> str:
    """Say how long the token is valid, as in "5 min 3 s"; "-" for none, "no end" for one without expiry."""
    if not row["valid"]:
        return "-"
    if row["expires_at"] is None:
        return "no end"
    seconds = row.get("seconds_left")
    return describe_seconds(seconds_until(row["expires_at"]) if seconds is None else seconds)


def paused_until(row: Mapping[str, Any]) -> str | None:
    """Say until when a host's rate limit holds back requests, in local time, and who met it; None without one."""
    until = row.get("paused_until")  # a daemon of 0.2.0 has no such member
    if until is None or seconds_until(until) <= 0:
        return None
    clock = datetime.fromisoformat(until).astimezone()
    return (
        f"paused until {clock:%H:%M:%S}: {row['paused_by']} asked {row['paused_token'] or 'another token'} for a pause"
    )


def describe_age(moment: str) -> str:
    """Say how long ago an RFC 3339 moment was, as in "5 min 3 s ago"."""
    return describe_seconds(seconds_since(moment)) + " ago"


def seconds_since(moment: str) -> float:
    """Return the seconds since an RFC 3339 moment, 0 if it is to come."""
    return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds())


def seconds_until(moment: str) -> float:
    """Return the seconds until an RFC 3339 moment, 0 if it is past."""
    return max(0.0, (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds())


def describe_seconds(seconds: float) -> str:
    """Say a duration in its two largest units."""
    total = int(seconds)
    parts = [(total // 86400, "d"), (total // 3600 % 24, "h"), (total // 60 % 60, "min"), (total % 60, "s")]
    shown = [f"{number} {unit}" for number, unit in parts if number][:2]
    return " ".join(shown) or "0 s"
