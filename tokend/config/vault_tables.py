"""Tables ``[vaults.NAME]``: Vault and OpenBao as places of secrets. Read before all that may name one."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tokend.config.config_files import Document, PlacedSettings
from tokend.config.loading import Loading, validate
from tokend.config.model import ProviderConfig
from tokend.config.secret_problems import check_secrets
from tokend.plugin.secret_source import PROVIDER_NAME
from tokend.plugin.settings import ProviderSettings, SinkSettings
from tokend.plugin.vault_settings import VaultSettings


def read_vaults(loading: Loading, documents: Iterable[Document]) -> None:
    """Read the vaults of all files. A name with errors is kept without settings: what names it has no second error."""
    digest = hashlib.sha256()
    placed: list[tuple[Document, str, Any]] = []
    for document in documents:
        tables = document.values.get("vaults", {})
        if not isinstance(tables, dict):
            loading.error(document, ("vaults",), "vaults are tables: [vaults.NAME]")
            continue
        digest.update(repr((str(document.path.parent), tables)).encode())
        placed += [(document, name, table) for name, table in tables.items()]
    loading.vaults_digest = digest.digest()
    loading.vaults.update((name, None) for _, name, _ in placed)
    origins: dict[str, Document] = {}
    for document, name, table in placed:
        path = ("vaults", name)
        if not PROVIDER_NAME.fullmatch(name):
            loading.error(document, path, "this is no name: a to z, 0 to 9, and . _ - but not first; at most 64")
        elif (first := origins.setdefault(name, document)) is not document:
            loading.error(document, path, f'vault "{name}" is defined twice; first at {first.path}:{first.line(path)}')
        elif not isinstance(table, dict):
            loading.error(document, path, f"a vault is a table: [vaults.{name}]")
        else:
            _read_vault(loading, document, name, table)


def _read_vault(loading: Loading, document: Document, name: str, table: dict[str, Any]) -> None:
    path = ("vaults", name)
    settings = validate(loading, document, VaultSettings, table, path)
    loading.vaults[name] = settings
    if settings is not None:
        loading.placed_vaults.append(PlacedSettings(settings, document, path))


def check_used_vaults(loading: Loading) -> None:
    """Check the credentials and the files for TLS of the vaults that a provider or a sink uses. None is contacted."""
    used = {name for table in (*loading.valid, *loading.placed_sinks) for name in _used_by(table.settings)}
    for vault in loading.placed_vaults:
        if vault.path[-1] in used:
            check_secrets(vault, loading.environ, loading.findings)


def files_of_vaults(loading: Loading, provider: ProviderConfig) -> list[Path]:
    """Return the files with the tables of the vaults that a provider and its sinks use."""
    tables: tuple[ProviderSettings | SinkSettings, ...] = (provider.settings, *provider.sinks)
    used = {name for settings in tables for name in _used_by(settings)}
    return [vault.document.path for vault in loading.placed_vaults if vault.path[-1] in used]


def _used_by(settings: ProviderSettings | SinkSettings) -> Iterator[str]:
    """Yield the names of the vaults that hold a secret, or that a sink writes to."""
    yield from (one.vault.name for one in settings.secrets().values() if one.vault is not None)
    if isinstance(name := getattr(settings, "vault", None), str):
        yield name
