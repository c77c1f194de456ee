"""Tables ``[providers.NAME]``: the kind of each, its settings and its sinks."""

import re
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import BaseModel

from tokend.config.config_files import Document, PlacedSettings
from tokend.config.fields import Visibility
from tokend.config.kind_lookup import LoadKinds
from tokend.config.loading import Loading, validate
from tokend.config.model import ProviderConfig, table_digest
from tokend.config.secret_problems import check_secrets_of_invalid
from tokend.plugin import toml_positions
from tokend.plugin.kind_bugs import is_built_in
from tokend.plugin.settings import OnDemandSettings, SinkSettings
from tokend.values.errors import ConfigError
from tokend.values.near_miss import did_you_mean

M = TypeVar("M", bound=BaseModel)

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
NOT_ON_DEMAND = ("refresh_before", "max_age", "on_expiry", "sinks")


def read_providers(loading: Loading, document: Document) -> None:
    """Read the providers of one file. Their errors are added to the loading's findings."""
    tables = document.values.get("providers", {})
    if not isinstance(tables, dict):
        loading.error(document, ("providers",), "providers are tables: [providers.NAME]")
        return
    for name, table in tables.items():
        path = ("providers", name)
        twice = name in loading.origins
        if not NAME.fullmatch(name):
            lower = f'; did you mean "{name.lower()}"?' if NAME.fullmatch(name.lower()) else ""
            message = f'"{name}" is no name: a to z, 0 to 9, and . _ - but not first; at most 64{lower}'
            loading.error(document, path, message)
        elif twice:
            first = loading.origins[name]
            message = f'provider "{name}" is defined twice; first at {first.path}:{first.line(path)}'
            loading.error(document, path, message)
        elif not isinstance(table, dict):
            loading.error(document, path, f"a provider is a table: [providers.{name}]")
        if not isinstance(table, dict):
            continue
        if twice:
            # Its own errors are reported, but not what both definitions have in common, like their sinks' files.
            _provider(replace(loading, found={}, placed_sinks=[]), document, name, table, b"")
        else:
            loading.origins[name] = document
            _read_provider(loading, document, name, table)


def _read_provider(loading: Loading, document: Document, name: str, table: dict[str, Any]) -> None:
    """Read a provider's table, with its vendor's defaults; take over what the configuration in force has already."""
    path = ("providers", name)
    if "vendor" in table:
        from tokend.config.vendor_tables import with_defaults  # few configurations name a vendor

        whole = with_defaults(loading.vendor_lookup(), document, path, table, loading.findings)
        if whole is None:
            loading.leave_out(document, path, "vendor", "its vendor cannot be used")
            _sinks(loading, document, table.get("sinks", []), (*path, "sinks"))
            return
        table = whole
        loading.vendor_files[name] = document.defaults[name].file
    digest = table_digest(document.path.parent, table, loading.vaults_digest)
    if (defaults := document.defaults.get(name)) is not None:
        from tokend.config.vendor_defaults import with_literals

        table = with_literals(table, defaults.given)
    known = (loading.before or {}).get(name)
    if known is not None and known.table == digest and _has_its_kinds(loading, known):
        _reuse(loading, document, known)
    else:
        _provider(loading, document, name, table, digest)


def _has_its_kinds(loading: Loading, known: ProviderConfig) -> bool:
    """Return whether this load has the kinds of plug-ins that a provider uses: a file may be listed no more."""
    return all(
        is_built_in(type(one)) or kinds.get(one.kind) is type(one)
        for kinds, ones in ((loading.providers, (known.settings,)), (loading.sinks, known.sinks))
        for one in ones
    )


def _reuse(loading: Loading, document: Document, known: ProviderConfig) -> None:
    """Take over a provider of the configuration in force: its table is the same."""
    path = ("providers", known.name)
    loading.placed_sinks += [PlacedSettings(sink, document, (*path, "sinks", n)) for n, sink in enumerate(known.sinks)]
    loading.valid.append(PlacedSettings(known.settings, document, path))
    loading.found[known.name] = known


def _provider(loading: Loading, document: Document, name: str, table: dict[str, Any], digest: bytes) -> None:
    path: toml_positions.Path = ("providers", name)
    model = _kind(loading, document, loading.providers, table, path)
    if model is not None and issubclass(model, OnDemandSettings):
        for key in [key for key in NOT_ON_DEMAND if key in table]:
            message = f"{key} is not for kind {table['kind']}: its tokens are issued on demand, none is kept or written"
            loading.error(document, (*path, key), message, Visibility.PUBLIC)
        table = {key: value for key, value in table.items() if key not in NOT_ON_DEMAND}
    sinks = _sinks(loading, document, table.get("sinks", []), (*path, "sinks"))
    if model is None:
        return
    values = {key: value for key, value in table.items() if key != "sinks"}
    beside = () if issubclass(model, OnDemandSettings) else ("sinks",)
    settings = validate(loading, document, model, values, path, beside)
    if settings is None:
        place = PlacedSettings(None, document, path)
        if loading.reads_secrets:
            check_secrets_of_invalid(model, values, place, loading.environ, loading.findings, loading.vaults)
    else:
        loading.valid.append(PlacedSettings(settings, document, path))
        loading.found[name] = ProviderConfig(name, settings, tuple(sinks), digest)


def _sinks(loading: Loading, document: Document, tables: Any, path: toml_positions.Path) -> list[SinkSettings]:
    if not isinstance(tables, list):
        loading.error(document, path, f"sinks are an array of tables: [[providers.{path[1]}.sinks]]")
        return []
    sinks = []
    for index, table in enumerate(tables):
        here = (*path, index)
        if not isinstance(table, dict):
            loading.error(document, here, "a sink is a table with a kind")
            continue
        model = _kind(loading, document, loading.sinks, table, here)
        if model is None:
            continue
        sink = validate(loading, document, model, table, here)
        if sink is None and loading.reads_secrets:
            check_secrets_of_invalid(
                model, table, PlacedSettings(None, document, here), loading.environ, loading.findings, loading.vaults
            )
        elif sink is not None:
            sinks.append(sink)
            loading.placed_sinks.append(PlacedSettings(sink, document, here))
    return sinks


def _kind(
    loading: Loading,
    document: Document,
    kinds: LoadKinds[M],
    table: dict[str, Any],
    path: toml_positions.Path,
) -> type[M] | None:
    kind = table.get("kind")
    found = kinds.get(kind) if isinstance(kind, str) else None
    if isinstance(found, type):
        return found
    if found is not None or (isinstance(kind, str) and loading.lacks_plugin):
        _not_loaded(loading, document, kinds, table, path, found)
        return None
    known = ", ".join(f'"{name}"' for name in kinds.names())
    if kind is not None:
        near = did_you_mean(kind, kinds.names()) if isinstance(kind, str) else ""
        loading.error(document, (*path, "kind"), f"unknown kind; it is one of {known}{near}", Visibility.PUBLIC)
        return None
    inner = next((key for key, value in table.items() if isinstance(value, dict) and "kind" in value), None)
    if inner is not None and len(path) == 2:
        message = f'a name with a dot stands in quotes: [providers."{path[1]}.{inner}"]'
        loading.error(document, (*path, inner), message)
        return None
    misspelt = next((key for key in table if did_you_mean(key, ["kind", "vendor"])), None)
    instead = "" if misspelt is None else f'; found "{misspelt}"'
    loading.error(document, path, f"kind is missing{instead}; it is one of {known}")
    return None


def _not_loaded(
    loading: Loading,
    document: Document,
    kinds: LoadKinds[M],
    table: dict[str, Any],
    path: toml_positions.Path,
    error: ConfigError | None,
) -> None:
    """Report a kind that could not be loaded, once; a start goes on without the tables of the kind.

    ``error`` is None for a kind that may be one of a plug-in's file, whose own error is reported already.
    """
    kind, place, is_sink = table["kind"], (*path, "kind"), len(path) > 2
    if loading.findings.starting and not kinds.lookup.is_built_in(kind):
        why = f'kind "{kind}" is not loaded' if error is None else error.detail
        loading.leave_out(document, path, "kind", why, code="plugin")
    elif error is not None and (is_sink, kind) not in loading.reported:
        loading.reported.add((is_sink, kind))
        loading.error(document, place, error.detail, Visibility.PUBLIC)
