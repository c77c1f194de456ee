"""``tokend schema``: print the configuration's JSON Schema."""

import json
from pathlib import Path

import click

from tokend.cli.streams import complain


@click.command("schema", epilog="Example: tokend schema > tokend.schema.json, for editors that check TOML.")
@click.option("--config", type=click.Path(readable=False), metavar="FILE", help="Add the kinds of its plug-ins' files.")
def command(config: str | None) -> int:
    """Print the JSON Schema (2020-12) of the configuration.

    A kind of another package that cannot be used is left out; a line on stderr names it.

    Only `tokend check` finds the errors that no schema can express (a missing secret, one file in two sinks).
    """
    from tokend.cli.config_schema import configuration_schema
    from tokend.values.errors import ConfigError

    try:
        schema, left_out = configuration_schema(None if config is None else Path(config))
    except ConfigError as error:
        complain(error.detail)
        return 2
    for reason in left_out:
        complain(f"left out: {reason}")
    click.echo(json.dumps(schema, indent=2))
    return 0
