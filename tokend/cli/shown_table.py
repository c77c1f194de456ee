"""``tokend check --show NAME``: a provider's table in force, as TOML or JSON. Secrets are shown as their places."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from tokend.cli.streams import escaped, escaped_values
from tokend.cli.toml_text import Inline, Where, written
from tokend.config.fields import SHOWN_PLACES, Visibility, visibility
from tokend.plugin.secret_source import is_shown
from tokend.plugin.settings import ProviderSettings, SinkSettings
from tokend.plugin.shown_text import NOT_SHOWN, looks_secret
from tokend.values.url import has_user

if TYPE_CHECKING:
    from tokend.config import Config
    from tokend.config.table_in_force import TableInForce

MASK = "…"
# Tables of names and expressions: nothing in them is sent as it stands.
_OF_NAMES = frozenset({"values", "parameters", "answer", "errors"})
# A text that stands in a request at such a key may be a secret in the wrong place.
_SECRETIVE = re.compile(r"secret|key|token|pass|pwd|pin|auth|cred|private|sig", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"(?<!\{)\{[A-Za-z_]")


def show(config: "Config", name: str, output: str) -> None:
    """Print the table of a provider, which ``config`` has."""
    from tokend.config.table_in_force import table_in_force
    from tokend.config.vendor_lookup import BUILT_IN

    table = table_in_force(config, name)
    provider = config.providers[name]
    values = masked_table(table, provider.settings, provider.sinks)
    if output == "json":
        _print_json(table, values)
        return
    line = table.origin(())[1]
    click.echo(escaped(f"# {table.file}{'' if line is None else f':{line}'}"))
    if table.defaults is not None:
        own = "" if table.defaults.file.parent == BUILT_IN else f": {table.defaults.file}"
        click.echo(escaped(f'# what is marked comes from vendor "{table.defaults.vendor}"{own}'))
    text = written(values, ("providers", name), lambda where: _remark(table, where))
    click.echo(escaped(text, kept="\n"), nl=False)


def _print_json(table: "TableInForce", values: Mapping[str, Any]) -> None:
    import json

    defaults = table.defaults
    answer = {
        "version": 1,
        "name": table.name,
        "file": str(table.file),
        "vendor": None if defaults is None else defaults.vendor,
        "vendor_file": None if defaults is None else str(defaults.file),
        "table": values,
        "from_vendor": [".".join(map(str, where)) for where in _leaves(table.values) if _remark(table, where)],
    }
    click.echo(json.dumps(escaped_values(answer), default=str))


def _remark(table: "TableInForce", where: Where) -> str | None:
    if table.defaults is None or table.defaults.origin(where) is None:
        return None
    return f"vendor {table.defaults.vendor}"


def _leaves(value: Any, above: Where = ()) -> Iterator[Where]:
    """Yield the paths of all values that are no tables. An array is one value."""
    for key, one in value.items():
        if isinstance(one, Mapping) and one:
            yield from _leaves(one, (*above, key))
        else:
            yield (*above, key)


# ------------------------------------------------------------------ without secrets


def masked_table(
    table: "TableInForce", settings: ProviderSettings, sinks: "tuple[SinkSettings, ...]"
) -> dict[str, Any]:
    """Return the values of a table that may be shown. A secret is its place; one in the file itself is hidden."""

    def shown(value: Any, where: Where) -> Any:
        is_given = table.defaults is not None and table.defaults.origin(where) is not None
        return value if is_given else _shown(value, where, type(settings))

    own = {key: value for key, value in table.values.items() if key != "sinks"}
    found: dict[str, Any] = _masked(own, (), settings, shown)
    if sinks:
        tables = zip(table.values["sinks"], sinks, strict=True)
        found["sinks"] = [_masked_sink(one, sink) for one, sink in tables]
    return found


def _masked_sink(table: Mapping[str, Any], sink: SinkSettings) -> Any:
    return _masked(table, (), sink, lambda value, where: _shown(value, where, type(sink)))


def _masked(
    value: Any, where: Where, settings: ProviderSettings | SinkSettings, shown: Callable[[Any, Where], Any]
) -> Any:
    """Return a value with its secrets as their places; ``shown`` returns any other one."""
    secret_at = {tuple(key.split(".")) for key in settings.secrets()}

    def masked(one: Any, at: Where) -> Any:
        if at in secret_at:
            return _place(one)
        if isinstance(one, Mapping):
            return {key: masked(item, (*at, key)) for key, item in one.items()}
        if isinstance(one, list):
            return [masked(item, (*at, number)) for number, item in enumerate(one)]
        return shown(one, at)

    return masked(value, where)


def _place(value: Any) -> Any:
    """Return the place of a secret without what may be a secret written there by mistake."""
    if not isinstance(value, Mapping):
        return MASK
    found = Inline()
    for key, one in value.items():
        if key == "command" and isinstance(one, list):
            program = str(one[0]) if is_shown("file", str(one[0])) or "/" not in str(one[0]) else NOT_SHOWN
            found[key] = [NOT_SHOWN if looks_secret(program) else program, *[MASK for _ in one[1:]]]
        elif key in SHOWN_PLACES:
            found[key] = one if is_shown(key, str(one)) else NOT_SHOWN
        else:
            found[key] = MASK if isinstance(one, str) and looks_secret(one) else one
    return found


def _shown(value: Any, where: Where, model: type[ProviderSettings] | type[SinkSettings]) -> Any:
    if not isinstance(value, str) or not value:
        return value
    if looks_secret(value) or has_user(value):
        return MASK
    if where[0] in _OF_NAMES or visibility(model, where) is Visibility.PUBLIC or _PLACEHOLDER.search(value):
        return value
    return MASK if any(isinstance(part, str) and _SECRETIVE.search(part) for part in where) else value
