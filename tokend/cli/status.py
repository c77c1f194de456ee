"""``tokend list`` and ``tokend status``: how everything stands, for people and, with ``-o json``, for programs."""

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from tokend.cli.tokens import SOCKET, describe
from tokend.client import TokenClient

OUTPUT = click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
COLOURS = {"valid": "green", "on_demand": "green", "failing": "yellow", "pending": "yellow"}


@click.command("list")
@OUTPUT
@SOCKET
def list_tokens(output: str, socket: str | None) -> None:
    """List the tokens that you may see: never a token itself."""
    rows = TokenClient(socket).list()
    if output == "json":
        click.echo(json.dumps({"version": 1, "tokens": rows}))
        return
    table = [["NAME", "KIND", "STATE", "LEFT", "GENERATION", "FINGERPRINT"]]
    table += [
        [row["name"], row["kind"], row["state"], _left(row), str(row["generation"] or "-"), row["fingerprint"] or "-"]
        for row in rows
    ]
    _print(table)


@click.command()
@click.argument("name", required=False)
@OUTPUT
@SOCKET
def status(name: str | None, output: str, socket: str | None) -> int:
    """Show how everything stands, or one token in detail.

    Exit code with NAME: 0 valid or on demand, 4 rejected, 5 unknown, 7 no valid token. Without NAME: 0.
    """
    answer = TokenClient(socket).status()
    rows = [row for row in answer["tokens"] if name in (None, row["name"])]
    if name is not None and not rows:
        click.echo(f"tokend: there is no token {name}", err=True)
        return 5
    if output == "json":
        click.echo(json.dumps({**answer, "tokens": rows}))
    else:
        _show(answer, rows)
    return 0 if name is None else _code(rows[0])


def _code(row: Mapping[str, Any]) -> int:
    if row["state"] in {"rejected", "login_required"}:
        return 4
    return 0 if row["valid"] or row["state"] == "on_demand" else 7


def _show(answer: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    ready = "ready" if answer["ready"] else "not ready: a required token or sink is missing"
    click.echo(f"tokend: {ready}; configuration loaded {answer['config']['loaded_at']}")
    if answer["config"]["error"]:
        click.echo("The configuration on disk was refused; the former one goes on:")
        click.echo("  " + str(answer["config"]["error"]).replace("\n", "\n  "))
    for row in rows:
        state = click.style(row["state"], fg=COLOURS.get(row["state"], "red"))
        click.echo(f"\n{row['name']} ({row['kind']}): {state}", color=colour())
        if row["valid"]:
            click.echo(f"  valid, {_left(row)} left; next refresh {_when(row['refresh_at'])}")
            click.echo(f"  generation {row['generation']}, fingerprint {row['fingerprint']}")
        elif row["state"] != "on_demand":
            click.echo(f"  no valid token; next attempt {_when(row['next_attempt_at'])}")
        if row["last_error"]:
            error = row["last_error"]
            click.echo(f"  last error ({error['class']}, {error['at']}): {error['detail']}")
        if row.get("note"):
            click.echo(f"  {row['note']}")
        for sink in row["sinks"]:
            error = f": {sink['error']}" if sink["error"] else ""
            click.echo(f"  {sink['kind']} {sink['path']}: {sink['state']}{error}")


def _left(row: Mapping[str, Any]) -> str:
    if not row["valid"]:
        return "-"
    if row["expires_at"] is None:
        return "no end"
    seconds = row.get("seconds_left")
    return describe(_until(row["expires_at"]) if seconds is None else seconds)


def _when(moment: str | None) -> str:
    return "never by itself" if moment is None else f"in {describe(max(0.0, _until(moment)))}"


def _until(moment: str) -> float:
    return (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()


def _print(table: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for index, row in enumerate(table):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        if index:
            cells[2] = click.style(cells[2], fg=COLOURS.get(row[2], "red"))
        click.echo("  ".join(cells).rstrip(), color=colour())


def colour() -> bool | None:
    """What click should do about colours: nothing where NO_COLOR is set, else decide by the terminal."""
    return False if "NO_COLOR" in os.environ else None
