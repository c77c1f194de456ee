"""Loading of a configuration: read, validate, and report all errors at once. Blocks; called in a thread."""

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from tokend.config.config_files import Document, PlacedSettings, check_not_emptied, read_document
from tokend.config.cross_checks import (
    check_group_modes,
    check_sockets,
    check_state,
    check_targets,
    check_tokens,
    files_read,
)
from tokend.config.fields import Visibility, known_and_public_keys, visibility
from tokend.config.findings import Findings, InvalidConfigError, in_order
from tokend.config.included_files import read_included
from tokend.config.kind_failures import check_methods, failure_of_kind
from tokend.config.kind_lookup import KindLookup, LoadKinds
from tokend.config.login_files import check_login_files
from tokend.config.model import Config, DaemonSettings, ProviderConfig, SocketSettings, table_digest
from tokend.config.name_checks import check_names
from tokend.config.paths import default_socket, default_state_directory, foreign_runtime_directory
from tokend.config.pydantic_messages import explain
from tokend.config.reference_checks import check_references
from tokend.config.secret_checks import check_documents, secret_files
from tokend.config.secret_problems import check_listen_secret, check_notify, check_secrets, check_secrets_of_invalid
from tokend.config.state_keys import check_state_keys
from tokend.config.store_checks import check_stores
from tokend.config.target_places import check_target_places
from tokend.config.toml_messages import Vocabulary
from tokend.files import directories_resolved_once, judged_once
from tokend.plugin import toml_positions
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.settings import Access, OnDemandSettings, ProviderSettings, SinkSettings
from tokend.values.near_miss import did_you_mean, nearest

M = TypeVar("M", bound=BaseModel)

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
TOP_LEVEL = ("daemon", "include", "providers", "sockets")
NOT_ON_DEMAND = ("refresh_before", "max_age", "on_expiry", "sinks")


@dataclass
class _Loading:
    """State of one load: its inputs, its findings, and the valid tables so far.

    ``before`` has the providers in force, by name. ``origins`` has the document of each provider name, valid or not.
    """

    providers: LoadKinds[ProviderSettings]
    sinks: LoadKinds[SinkSettings]
    environ: Mapping[str, str]
    before: Mapping[str, ProviderConfig]
    reads_secrets: bool = True
    findings: Findings = field(default_factory=Findings)
    origins: dict[str, Document] = field(default_factory=dict)
    found: dict[str, ProviderConfig] = field(default_factory=dict)
    valid: list[PlacedSettings] = field(default_factory=list)
    placed_sinks: list[PlacedSettings] = field(default_factory=list)
    sockets: list[PlacedSettings] = field(default_factory=list)

    def error(
        self, document: Document, path: toml_positions.Path, message: str, visibility: Visibility = Visibility.HIDDEN
    ) -> None:
        self.findings.errors.append(document.problem(path, message, visibility=visibility))


def load(
    path: Path,
    *,
    providers: KindLookup[ProviderSettings],
    sinks: KindLookup[SinkSettings],
    environ: Mapping[str, str] = os.environ,
    before: Config | None = None,
    starting: bool = False,
    in_shell: bool = False,
    reads_secrets: bool = True,
) -> Config:
    """Read ``path`` and the files that it includes. Raises `InvalidConfigError` with every error.

    Warnings are in the result. With ``starting``, what this machine lacks for a part of the configuration is a warning.
    With ``in_shell``, a secret that only a unit's credentials can have is a note. Without ``reads_secrets``, no secret
    is looked at, and none is missed.
    On a reload, ``before`` is the configuration in force. Each file is then read until two reads agree, and a file that
    became empty is an error. A provider whose table did not change is taken over from ``before`` without another
    validation. Checks of several tables, and of this machine, cover all tables.
    """
    kinds, sink_kinds = LoadKinds(providers), LoadKinds(sinks)
    loading = _Loading(kinds, sink_kinds, environ, {} if before is None else before.providers, reads_secrets)
    loading.findings.starting, loading.findings.in_shell = starting, in_shell
    findings = loading.findings

    def vocabulary() -> Vocabulary:
        # Imports all kinds: a key that is harmless in one kind may hold a secret in another.
        return Vocabulary(
            *known_and_public_keys([DaemonSettings, SocketSettings, *kinds.usable(), *sink_kinds.usable()])
        )

    main = read_document(path, findings, vocabulary, reloading=before is not None)
    if main is None:
        raise InvalidConfigError(findings.errors)
    included = read_included(main, findings, vocabulary, before=before)
    documents = [main, *included.documents]
    if before is not None:
        check_not_emptied(documents, before, findings)
    daemon = _daemon(loading, main)
    _sockets(loading, main)
    for document in documents:
        _top_level(loading, document)
        _providers(loading, document)
    with judged_once(strict=daemon is not None and daemon.settings.strict_paths):
        check_documents(main, included.documents, findings)
        _check_everything(loading, documents, daemon)
    if starting:
        _stop_providers_of_unsafe_files(loading)
    if findings.errors or daemon is None:
        raise InvalidConfigError(findings.errors)
    return Config(
        daemon=daemon.settings,
        providers=loading.found,
        files=tuple(document.path for document in documents),
        directories=included.directories,
        secret_files=secret_files(loading.found, environ),
        warnings=in_order(findings.warnings),
        sockets=tuple(place.settings for place in loading.sockets),
        origins={name: document.path for name, document in loading.origins.items()},
        digests=tuple(document.digest for document in documents),
        notes=in_order(findings.notes),
        include_present=included.present,
        include_matched=included.matched,
    )


# ------------------------------------------------------------------ tables


def _top_level(loading: _Loading, document: Document) -> None:
    for key in document.values.keys() - set(TOP_LEVEL):
        message = f'unknown key "{key}"; known are {", ".join(TOP_LEVEL)}{_advice(key)}'
        near = Visibility.PUBLIC if did_you_mean(key, ["include"]) else Visibility.HIDDEN
        loading.error(document, (key,), message, near)


def _advice(key: str) -> str:
    """Return what was probably meant by an unknown key before all tables: a table, or a key that stands in [daemon]."""
    keys = DaemonSettings.model_fields
    if key not in keys and (near := did_you_mean(key, TOP_LEVEL)):
        return near
    meant = nearest(key, keys)
    return "" if meant is None else f"; {meant} stands in the table [daemon]"


def _daemon(loading: _Loading, main: Document) -> PlacedSettings | None:
    values = main.values.get("daemon", {})
    if not isinstance(values, dict):
        loading.error(main, ("daemon",), "daemon is a table: [daemon]")
        return None
    defaults = {
        "socket": default_socket(loading.environ, os.getuid()),
        "state_directory": default_state_directory(loading.environ, os.getuid()),
    }
    path: toml_positions.Path = ("daemon",)
    if "socket" not in values and (why := foreign_runtime_directory(loading.environ, os.getuid())) is not None:
        loading.findings.warnings.append(main.problem(path, why, code="runtime_directory"))
    settings = _validate(loading, main, DaemonSettings, {**defaults, **values}, path)
    if settings is None:
        settings = _valid_part(loading, main, {**defaults, **values}, defaults)
    return None if settings is None else PlacedSettings(settings, main, path)


def _valid_part(
    loading: _Loading, main: Document, values: dict[str, Any], defaults: Mapping[str, Any]
) -> DaemonSettings | None:
    """Return the settings without the keys that have errors: the other checks must not wait until they are corrected.

    Adds errors that concern several of the other keys.
    """
    context = {"directory": str(main.path.parent)}
    try:
        DaemonSettings.model_validate(values, context=context)
    except ValidationError as error:
        wrong = {str(details["loc"][0]) for details in error.errors() if details["loc"]}
        if "listen_secret" in wrong or not wrong:
            wrong.add("listen")
        left = {key: value for key, value in values.items() if key not in wrong}
        return _validate(loading, main, DaemonSettings, {**defaults, **left}, ("daemon",))
    return None


def _sockets(loading: _Loading, main: Document) -> None:
    tables = main.values.get("sockets", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        loading.error(main, ("sockets",), "sockets are an array of tables: [[sockets]]")
        return
    for index, table in enumerate(tables):
        path = ("sockets", index)
        if (settings := _validate(loading, main, SocketSettings, table, path)) is not None:
            loading.sockets.append(PlacedSettings(settings, main, path))


def _providers(loading: _Loading, document: Document) -> None:
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
            digest = table_digest(document.path.parent, table)
            if (known := loading.before.get(name)) is not None and known.table == digest:
                _reuse(loading, document, known)
            else:
                _provider(loading, document, name, table, digest)


def _reuse(loading: _Loading, document: Document, known: ProviderConfig) -> None:
    """Take over a provider of the configuration in force: its table is the same."""
    path = ("providers", known.name)
    loading.placed_sinks += [PlacedSettings(sink, document, (*path, "sinks", n)) for n, sink in enumerate(known.sinks)]
    loading.valid.append(PlacedSettings(known.settings, document, path))
    loading.found[known.name] = known


def _provider(loading: _Loading, document: Document, name: str, table: dict[str, Any], digest: bytes) -> None:
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
    settings = _validate(loading, document, model, values, path, beside)
    if settings is None:
        place = PlacedSettings(None, document, path)
        if loading.reads_secrets:
            check_secrets_of_invalid(model, values, place, loading.environ, loading.findings)
    else:
        loading.valid.append(PlacedSettings(settings, document, path))
        loading.found[name] = ProviderConfig(name, settings, tuple(sinks), digest)


def _sinks(loading: _Loading, document: Document, tables: Any, path: toml_positions.Path) -> list[SinkSettings]:
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
        sink = _validate(loading, document, model, table, here)
        if sink is None and loading.reads_secrets:
            check_secrets_of_invalid(
                model, table, PlacedSettings(None, document, here), loading.environ, loading.findings
            )
        elif sink is not None:
            sinks.append(sink)
            loading.placed_sinks.append(PlacedSettings(sink, document, here))
    return sinks


def _kind(
    loading: _Loading,
    document: Document,
    kinds: LoadKinds[M],
    table: dict[str, Any],
    path: toml_positions.Path,
) -> type[M] | None:
    kind = table.get("kind")
    found = kinds.get(kind) if isinstance(kind, str) else None
    if isinstance(found, type):
        return found
    if found is not None:
        loading.error(document, (*path, "kind"), found.detail, Visibility.PUBLIC)
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
    misspelt = next((key for key in table if did_you_mean(key, ["kind"])), None)
    instead = "" if misspelt is None else f'; found "{misspelt}"'
    loading.error(document, path, f"kind is missing{instead}; it is one of {known}")
    return None


def _validate(
    loading: _Loading,
    document: Document,
    model: type[M],
    values: dict[str, Any],
    path: toml_positions.Path,
    beside: Collection[str] = (),
) -> M | None:
    """Validate a table. Add its errors and return None if it has some. Keys in ``beside`` are validated apart."""
    try:
        settings = model.model_validate(values, context={"directory": str(document.path.parent)})
        check_methods(settings)
    except ValidationError as error:
        for details in error.errors(include_url=False, include_input=True):
            where, message = explain(details, model, values, beside)
            loading.error(document, (*path, *where), message, visibility(model, where))
        return None
    except (Exception, SystemExit) as error:
        loading.error(document, path, failure_of_kind(model, values.get("kind"), error))
        return None
    return settings


def _stop_providers_of_unsafe_files(loading: _Loading) -> None:
    """Let the providers of unsafe included files fail at a start: somebody else may have written their settings.

    They make no attempt and write to no sink, and only root and the daemon's user may read what is still held.
    """
    unsafe = {one.file: one.message for one in loading.findings.warnings if one.code == "unsafe_path" and not one.where}
    for name, document in loading.origins.items():
        reason, known = unsafe.get(str(document.path)), loading.found.get(name)
        if reason is not None and known is not None:
            closed = known.settings.model_copy(update={"access": Access()})
            # Without the digest of the table: a reload must validate it again.
            loading.found[name] = ProviderConfig(name, closed, (), unsafe=reason)


# ------------------------------------------------------------------ checks of several tables


def _check_everything(loading: _Loading, documents: list[Document], daemon: PlacedSettings | None) -> None:
    with directories_resolved_once():
        _check_tables(loading, documents, daemon)
    if not loading.reads_secrets:
        return
    if daemon is not None:
        check_state(daemon, loading.valid, loading.findings)
        check_listen_secret(daemon, loading.environ, loading.findings)
        check_state_keys(daemon, loading.environ, loading.findings)
        check_notify(daemon, loading.findings)
    for table in (*loading.valid, *filter(_names_files, loading.placed_sinks)):
        try:
            check_secrets(table, loading.environ, loading.findings)
        except (Exception, SystemExit) as error:
            loading.error(table.document, table.path, failure_of_kind(type(table.settings), table.settings.kind, error))


def _check_tables(loading: _Loading, documents: list[Document], daemon: PlacedSettings | None) -> None:
    tables = [*loading.valid, *loading.placed_sinks]
    settings = None if daemon is None else daemon.settings
    inputs = files_read(documents, tables, settings)
    check_sockets(loading.sockets, inputs, loading.origins, loading.findings)
    state = None if settings is None else settings.state_directory
    check_targets(loading.placed_sinks, inputs, state, loading.findings)
    on_demand = {str(place.path[-1]) for place in loading.valid if isinstance(place.settings, OnDemandSettings)}
    check_tokens(loading.placed_sinks, loading.origins, on_demand, loading.findings)
    check_references(loading.valid, loading.placed_sinks, loading.origins, on_demand, loading.findings)
    check_group_modes(loading.placed_sinks, loading.findings)
    check_stores(loading.placed_sinks, loading.valid, loading.findings)
    check_target_places(loading.placed_sinks, loading.findings)
    if loading.reads_secrets:
        check_login_files(loading.valid, state, loading.environ, loading.findings)
    check_names(daemon, [*loading.sockets, *tables], loading.findings)


def _names_files(sink: PlacedSettings) -> bool:
    """Return whether a sink may name secrets, files or commands. Skips thousands of file sinks, which name none."""
    settings: SinkSettings = sink.settings
    values = settings.__dict__
    if settings.family == "remote" or type(settings).exposure is not SinkSettings.exposure:
        return True
    return any(
        (key != "path" and isinstance(value, SecretSource | Path)) or (key == "on_change" and value is not None)
        for key, value in values.items()
    )
