"""``tokend check --try`` and ``--probe``: one real attempt for each of some tokens and stores, and what came of it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from tokend.cli.check_result import print_json, rows
from tokend.cli.streams import escaped

if TYPE_CHECKING:
    from tokend.config import Config
    from tokend.daemon.trial import Trials

EXIT_FAILED, EXIT_REFUSED, EXIT_NO_TOKEN = 1, 4, 7


def try_tokens(config: "Config", names: Sequence[str], output: str, *, stores: bool = False) -> int:
    """Make the attempts and print their results; returns the exit code. Raises `click.UsageError` for unknown names.

    With ``stores``, the stores of all remote sinks are asked afterwards.
    """
    from tokend.daemon.trial import try_providers
    from tokend.values.near_miss import did_you_mean
    from tokend.values.tokens import utc

    for name in names:
        if name not in config.providers:
            raise click.UsageError(f'there is no provider "{name}"{did_you_mean(name, config.providers)}')
    trials = try_providers(config, names, stores=stores)
    code = _exit_code(trials)
    ends = [None if one.expires_at is None else utc(one.expires_at) for one in trials.results]
    if output == "json":
        found = [
            {"name": one.name, "outcome": one.outcome, "detail": one.detail, "expires_at": end}
            for one, end in zip(trials.results, ends, strict=True)
        ]
        probes = [
            {
                "name": one.name,
                "sink": one.label,
                "target": one.target,
                "outcome": one.result.outcome,
                "detail": one.result.detail,
            }
            for one in trials.stores
        ]
        more = {"probes": probes} if stores else {}
        print_json(errors=[], warnings=rows(config.warnings), ok=code == 0, trials=found, note=trials.note, **more)
        return code
    if trials.note is not None:
        click.echo(f"note: {trials.note}", err=True)
    for one, end in zip(trials.results, ends, strict=True):
        until = f", valid until {end}" if end else ""
        click.echo(f"{one.name}: {one.outcome.replace('_', ' ')}: {one.detail}{until}")
    for store in trials.stores:
        result, where = store.result, f"{store.name} {store.label}"
        click.echo(escaped(f"{where}: {result.outcome.replace('_', ' ')}: {store.target}: {result.detail}"))
    if stores and not trials.stores:
        click.echo("no sink is in a store: nothing to probe")
    return code


def _exit_code(trials: "Trials") -> int:
    """Return 4 if a person must act, else 7 if a token could not be had, else 1 if a store could not be asked."""
    outcomes, stores = [one.outcome for one in trials.results], [one.result.outcome for one in trials.stores]
    if "refused" in outcomes or "refused" in stores:
        return EXIT_REFUSED
    return EXIT_NO_TOKEN if "failed" in outcomes else EXIT_FAILED if "failed" in stores else 0
