"""``tokend check --try``: one real attempt for each of some tokens, and what came of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from tokend.cli.check_result import print_json, rows

if TYPE_CHECKING:
    from tokend.config import Config

EXIT_REFUSED, EXIT_NO_TOKEN = 4, 7


def try_tokens(config: "Config", names: Sequence[str], output: str) -> int:
    """Make the attempts and print their results; returns the exit code. Raises `click.UsageError` for unknown names."""
    from tokend.daemon.trial import try_providers
    from tokend.values.near_miss import did_you_mean
    from tokend.values.tokens import utc

    for name in names:
        if name not in config.providers:
            raise click.UsageError(f'there is no provider "{name}"{did_you_mean(name, config.providers)}')
    trials = try_providers(config, names)
    outcomes = [trial.outcome for trial in trials.results]
    code = EXIT_REFUSED if "refused" in outcomes else EXIT_NO_TOKEN if "failed" in outcomes else 0
    ends = [None if one.expires_at is None else utc(one.expires_at) for one in trials.results]
    if output == "json":
        found = [
            {"name": one.name, "outcome": one.outcome, "detail": one.detail, "expires_at": end}
            for one, end in zip(trials.results, ends, strict=True)
        ]
        print_json(errors=[], warnings=rows(config.warnings), ok=code == 0, trials=found, note=trials.note)
        return code
    if trials.note is not None:
        click.echo(f"note: {trials.note}", err=True)
    for one, end in zip(trials.results, ends, strict=True):
        until = f", valid until {end}" if end else ""
        click.echo(f"{one.name}: {one.outcome.replace('_', ' ')}: {one.detail}{until}")
    return code
