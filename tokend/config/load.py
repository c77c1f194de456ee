"""Loading of a configuration: read, validate, and report all errors at once. Blocks; called in a thread."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tokend.config.config_files import Document, PlacedSettings, check_not_emptied, read_document
from tokend.config.cross_checks import (
    check_group_modes,
    check_sockets,
    check_state,
    check_targets,
    check_tokens,
    files_read,
)
from tokend.config.fields import Visibility
from tokend.config.findings import InvalidConfigError, in_order
from tokend.config.included_files import read_included
from tokend.config.kind_failures import failure_of_kind
from tokend.config.kind_lookup import KindLookup, LoadKinds
from tokend.config.loading import Loading, validate
from tokend.config.login_files import check_login_files
from tokend.config.model import Config, DaemonSettings, ProviderConfig, SocketSettings
from tokend.config.name_checks import check_names
from tokend.config.paths import default_socket, default_state_directory, foreign_runtime_directory, vendor_directories
from tokend.config.provider_tables import read_providers
from tokend.config.reference_checks import check_references
from tokend.config.secret_checks import check_documents, secret_files
from tokend.config.secret_problems import check_listen_secret, check_notify, check_secrets
from tokend.config.state_keys import check_state_keys
from tokend.config.store_checks import check_stores
from tokend.config.target_places import check_target_places
from tokend.files import directories_resolved_once, judged_once
from tokend.plugin import toml_positions
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.settings import Access, OnDemandSettings, ProviderSettings, SinkSettings
from tokend.values.near_miss import did_you_mean, nearest
from tokend.values.status import PluginStatus

TOP_LEVEL = ("daemon", "include", "providers", "sockets", "vaults")


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
    loading = Loading(
        LoadKinds(providers),
        LoadKinds(sinks),
        environ,
        None if before is None else before.providers,
        reads_secrets=reads_secrets,
        vendor_directories=vendor_directories(path),
    )
    loading.findings.starting, loading.findings.in_shell = starting, in_shell
    findings, vocabulary = loading.findings, loading.vocabulary

    main = read_document(path, findings, vocabulary, reloading=before is not None)
    if main is None:
        raise InvalidConfigError(findings.errors)
    included = read_included(main, findings, vocabulary, before=before)
    documents = [main, *included.documents]
    if before is not None:
        check_not_emptied(documents, before, findings)
    if any("vaults" in document.values for document in documents):
        from tokend.config.vault_tables import read_vaults  # few configurations have one

        read_vaults(loading, documents)
    daemon = _daemon(loading, main)
    if daemon is not None and daemon.settings.plugins:
        from tokend.config.plugin_files import read_plugins  # few configurations name a file

        read_plugins(loading, main, daemon.settings.plugins)
    _sockets(loading, main)
    for document in documents:
        _top_level(loading, document)
        read_providers(loading, document)
    with judged_once(strict=daemon is not None and daemon.settings.strict_paths):
        documents += [] if loading.vendors is None else loading.vendors.documents
        check_documents(main, documents[1:], findings)
        _check_everything(loading, documents, daemon)
    if starting:
        _stop_providers_of_unsafe_files(loading)
    if findings.errors or daemon is None:
        raise InvalidConfigError(findings.errors)
    return Config(
        daemon=daemon.settings,
        providers=loading.found,
        files=tuple(document.path for document in (main, *included.documents)),
        directories=included.directories,
        secret_files=secret_files(loading.found, environ),
        warnings=in_order(findings.warnings),
        sockets=tuple(place.settings for place in loading.sockets),
        origins={name: document.path for name, document in loading.origins.items()},
        digests=tuple(document.digest for document in (main, *included.documents)),
        notes=in_order(findings.notes),
        include_present=included.present,
        include_matched=included.matched,
        vendor_files=() if loading.vendors is None else loading.vendors.watched,
        plugins=(*loading.plugins, *_packages(loading)),
        left_out=frozenset(loading.left_out),
    )


# ------------------------------------------------------------------ tables


def _top_level(loading: Loading, document: Document) -> None:
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


def _daemon(loading: Loading, main: Document) -> PlacedSettings | None:
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
    settings = validate(loading, main, DaemonSettings, {**defaults, **values}, path)
    if settings is None:
        settings = _valid_part(loading, main, {**defaults, **values}, defaults)
    return None if settings is None else PlacedSettings(settings, main, path)


def _valid_part(
    loading: Loading, main: Document, values: dict[str, Any], defaults: Mapping[str, Any]
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
        return validate(loading, main, DaemonSettings, {**defaults, **left}, ("daemon",))
    return None


def _sockets(loading: Loading, main: Document) -> None:
    tables = main.values.get("sockets", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        loading.error(main, ("sockets",), "sockets are an array of tables: [[sockets]]")
        return
    for index, table in enumerate(tables):
        path = ("sockets", index)
        if (settings := validate(loading, main, SocketSettings, table, path)) is not None:
            loading.sockets.append(PlacedSettings(settings, main, path))


def _packages(loading: Loading) -> tuple[PluginStatus, ...]:
    """Return the packages whose kinds are used."""
    used = loading.found.values()
    providers = loading.providers.packages({one.settings.kind for one in used})
    sinks = loading.sinks.packages({sink.kind for one in used for sink in one.sinks})
    return tuple(
        PluginStatus(
            None,
            package.name,
            package.version,
            tuple(sorted(kind for kind, one in providers.items() if one == package)),
            tuple(sorted(kind for kind, one in sinks.items() if one == package)),
        )
        for package in sorted({*providers.values(), *sinks.values()})
    )


def _stop_providers_of_unsafe_files(loading: Loading) -> None:
    """Let the providers of unsafe included files, vendors and vaults fail at a start: they may be somebody else's.

    They make no attempt and write to no sink, and only root and the daemon's user may read what is still held.
    """
    unsafe = {one.file: one.message for one in loading.findings.warnings if one.code == "unsafe_path" and not one.where}
    for name, document in loading.origins.items():
        files, known = [document.path, loading.vendor_files.get(name)], loading.found.get(name)
        if unsafe and loading.placed_vaults and known is not None:
            from tokend.config.vault_tables import files_of_vaults

            files += files_of_vaults(loading, known)
        reason = next((unsafe[str(file)] for file in files if str(file) in unsafe), None)
        if reason is not None and known is not None:
            closed = known.settings.model_copy(update={"access": Access()})
            # Without the digest of the table: a reload must validate it again.
            loading.found[name] = ProviderConfig(name, closed, (), unsafe=reason)


# ------------------------------------------------------------------ checks of several tables


def _check_everything(loading: Loading, documents: list[Document], daemon: PlacedSettings | None) -> None:
    with directories_resolved_once():
        _check_tables(loading, documents, daemon)
    if not loading.reads_secrets:
        return
    if daemon is not None:
        check_state(daemon, loading.valid, loading.findings)
        check_listen_secret(daemon, loading.environ, loading.findings)
        check_state_keys(daemon, loading.environ, loading.findings)
        check_notify(daemon, loading.findings)
    if loading.placed_vaults:
        from tokend.config.vault_tables import check_used_vaults

        check_used_vaults(loading)
    for table in (*loading.valid, *filter(_names_files, loading.placed_sinks)):
        try:
            check_secrets(table, loading.environ, loading.findings)
        except (Exception, SystemExit) as error:
            loading.error(table.document, table.path, failure_of_kind(type(table.settings), table.settings.kind, error))


def _check_tables(loading: Loading, documents: list[Document], daemon: PlacedSettings | None) -> None:
    tables = [*loading.valid, *loading.placed_sinks]
    settings = None if daemon is None else daemon.settings
    inputs = files_read(documents, [*tables, *loading.placed_vaults], settings)
    check_sockets(loading.sockets, inputs, loading.origins, loading.findings)
    state = None if settings is None else settings.state_directory
    check_targets(loading.placed_sinks, inputs, state, loading.findings)
    on_demand = {str(place.path[-1]) for place in loading.valid if isinstance(place.settings, OnDemandSettings)}
    check_tokens(loading.placed_sinks, loading.origins, on_demand, loading.findings)
    others = [*loading.placed_sinks, *loading.placed_vaults]
    check_references(loading.valid, others, loading.origins, on_demand, loading.findings)
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
