"""``tokend vendors``: the vendors whose tables tokend knows, and a ready table for one of them."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from tokend.cli.options import OUTPUT
from tokend.cli.streams import escaped, escaped_values

if TYPE_CHECKING:
    from tokend.config.findings import Findings
    from tokend.config.vendor_file import Vendor
    from tokend.config.vendor_lookup import VendorLookup


def _complete(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    lookup, _ = known_vendors(None)
    return [CompletionItem(name) for name in lookup.names() if name.startswith(incomplete)]


@click.command("vendors")
@click.argument("name", required=False, shell_complete=_complete)
@click.option("--config", type=click.Path(readable=False), metavar="FILE", help="Configuration [default: as for run].")
@OUTPUT
def command(name: str | None, config: str | None, output: str) -> int:
    """List the vendors, or print a ready table for the vendor NAME.

    A vendor is a file with what a provider's table is at one vendor; the table [providers.NAME] with vendor = "…" adds
    what only you know. The table is printed with comments, to be pasted into the configuration: fill in its values.

    tokend brings vendors; /etc/tokend/vendors and the directory vendors beside the configuration may have more. Exit
    code 2 if one of their files has errors.
    """
    from tokend.cli.check_result import print_errors
    from tokend.config import InvalidConfigError
    from tokend.values.near_miss import did_you_mean

    lookup, findings = known_vendors(config)
    names = lookup.names()
    if name is not None and name not in names:
        known = ", ".join(names)
        raise click.UsageError(f'there is no vendor "{name}"; known are {known}{did_you_mean(name, names)}')
    found = [vendor for one in (names if name is None else [name]) if (vendor := lookup.get(one)) is not None]
    if findings.errors:
        print_errors(None, InvalidConfigError(findings.errors), output)
        return 2
    if name is not None:
        return _show(found[0], output)
    if output == "json":
        click.echo(json.dumps({"version": 1, "vendors": [escaped_values(_row(one)) for one in found]}))
    else:
        _list(found)
    return 0


def known_vendors(config: str | None) -> "tuple[VendorLookup, Findings]":
    """Return the vendors, read when they are asked for, and the errors of their files, which come then."""
    from tokend.config.findings import Findings
    from tokend.config.paths import config_path, vendor_directories
    from tokend.config.vendor_lookup import VendorLookup

    path, _ = config_path(None if config is None else Path(config), environ=os.environ, uid=os.getuid())
    findings = Findings()
    return VendorLookup(vendor_directories(path), findings), findings


def table_of(vendor: "Vendor") -> str:
    """Return the ready table of a vendor. Raises `ConfigError` where its kind cannot be used here."""
    from tokend.cli.vendor_table import ready_table
    from tokend.kinds import PROVIDERS
    from tokend.values.errors import ConfigError

    kind = str(vendor.settings.provider["kind"])
    model = PROVIDERS.get(kind)
    if model is None:
        raise ConfigError(f'{vendor.path}: there is no kind "{kind}"')
    return ready_table(vendor, model)


def _show(vendor: "Vendor", output: str) -> int:
    from tokend.cli.check_result import print_errors
    from tokend.values.errors import ConfigError

    try:
        text = table_of(vendor)
    except ConfigError as error:
        print_errors(str(vendor.path), error, output)
        return 2
    if output == "json":
        click.echo(json.dumps({"version": 1, **escaped_values(_row(vendor)), "table": text}))
    else:
        click.echo(escaped(text, kept="\n"), nl=False)
    return 0


def _row(vendor: "Vendor") -> dict[str, Any]:
    settings = vendor.settings
    return {
        "name": vendor.name,
        "title": settings.title,
        "kind": settings.provider["kind"],
        "docs": settings.docs,
        "checked": None if settings.checked is None else settings.checked.isoformat(),
        "needs": settings.needs,
        "notes": list(settings.notes),
        "environments": list(settings.environments),
        "placeholders": {
            name: {"pattern": one.pattern, "default": one.default, "meaning": one.meaning}
            for name, one in settings.placeholders.items()
        },
        "file": None if vendor.is_built_in else str(vendor.path),
    }


def _list(vendors: "list[Vendor]") -> None:
    """Print a line per vendor, and what its user must have below it."""
    rows = [_row(one) for one in vendors]
    widths = [max((len(str(row[key])) for row in rows), default=0) for key in ("name", "kind")]
    for row in rows:
        head = f"{row['name']:<{widths[0]}}  {row['kind']:<{widths[1]}}  {row['title']}"
        click.echo(escaped(head.rstrip()))
        asked = [*row["needs"], *(name for name, one in row["placeholders"].items() if one["default"] is None)]
        if asked:
            click.echo(escaped(f"{'':<{sum(widths) + 4}}needs {', '.join(asked)}"))
