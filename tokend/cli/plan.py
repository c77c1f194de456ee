"""The plan of a reload, for people: a line per changed provider, and the keys that need a restart."""

from collections.abc import Mapping
from typing import Any

import click

from tokend.cli.streams import escaped, escaped_values


def print_plan(answer: Mapping[str, Any], *, done: bool) -> None:
    """Print an answer of ``POST /v1/reload``; ``done`` says whether the plan was carried out."""
    for step in answer["plan"]:
        note = f": {step['note']}" if "note" in step else ""
        click.echo(escaped(f"{step['action']:<8} {step['name']}{note}"))
    restart = answer.get("restart_needed", [])  # 0.1.0 had a row in its plan
    if restart:
        click.echo(
            f"restart needed for {', '.join(escaped_values(restart))}: until then the values of the last start hold"
        )
    elif not answer["plan"]:
        click.echo("nothing changed" if done else "nothing would change")
