"""State of one load of a configuration, and the validation of one of its tables."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from tokend.config.config_files import Document, PlacedSettings
from tokend.config.fields import Visibility, known_and_public_keys, visibility
from tokend.config.findings import Findings
from tokend.config.kind_failures import check_methods, failure_of_kind
from tokend.config.kind_lookup import LoadKinds
from tokend.config.model import DaemonSettings, ProviderConfig, SocketSettings
from tokend.config.pydantic_messages import explain
from tokend.config.toml_messages import Vocabulary
from tokend.plugin import toml_positions
from tokend.plugin.settings import ProviderSettings, SinkSettings
from tokend.values.status import PluginStatus

if TYPE_CHECKING:
    from tokend.config.vendor_lookup import VendorLookup
    from tokend.plugin.vault_settings import VaultSettings

M = TypeVar("M", bound=BaseModel)


@dataclass
class Loading:
    """State of one load: its inputs, its findings, and the valid tables so far.

    ``before`` has the providers in force, by name; None if this is no reload. ``origins`` has the document of each
    provider name, valid or not. ``vendor_files`` has the vendor's file of each provider with a vendor.
    """

    providers: LoadKinds[ProviderSettings]
    sinks: LoadKinds[SinkSettings]
    environ: Mapping[str, str]
    before: Mapping[str, ProviderConfig] | None
    reads_secrets: bool = True
    findings: Findings = field(default_factory=Findings)
    origins: dict[str, Document] = field(default_factory=dict)
    found: dict[str, ProviderConfig] = field(default_factory=dict)
    valid: list[PlacedSettings] = field(default_factory=list)
    placed_sinks: list[PlacedSettings] = field(default_factory=list)
    sockets: list[PlacedSettings] = field(default_factory=list)
    # The directories of the administrator's vendors, and what `vendor_lookup` has made of them.
    vendor_directories: tuple[Path, ...] = ()
    vendors: "VendorLookup | None" = None
    vendor_files: dict[str, Path] = field(default_factory=dict)
    # The files of plug-ins; true if one of them was not loaded: an unknown kind may be one of its own.
    plugins: list[PluginStatus] = field(default_factory=list)
    lacks_plugin: bool = False
    # Kinds (of a sink?, name) whose failure was reported: once, however many tables name the kind.
    reported: set[tuple[bool, str]] = field(default_factory=set)
    # Required providers that a start goes on without, or without a sink: a kind could not be loaded.
    left_out: set[str] = field(default_factory=set)
    # The vaults by name, None for one with errors; a digest of their tables.
    vaults: "dict[str, VaultSettings | None]" = field(default_factory=dict)
    placed_vaults: list[PlacedSettings] = field(default_factory=list)
    vaults_digest: bytes = b""

    def error(
        self, document: Document, path: toml_positions.Path, message: str, visibility: Visibility = Visibility.HIDDEN
    ) -> None:
        """Add an error at the place of ``path``. A start goes on without a provider whose vendor is at fault."""
        problem = document.problem(path, message, visibility=visibility)
        if self.findings.starting and document.is_default(path) and self._has_own_vendor(str(path[1])):
            self.findings.of_this_machine(problem)
            self.leave_out(document, path[:2], "vendor", "its vendor cannot be used")
        else:
            self.findings.errors.append(problem)

    def leave_out(
        self, document: Document, path: toml_positions.Path, key: str, why: str, *, code: str = "config"
    ) -> None:
        """Go on without a provider, or without one of its sinks, whose table has ``path``. Only a start does.

        ``key`` of the table names what this machine lacks; its own errors are reported.
        """
        if not self.findings.starting:
            return
        message = f"{why}; this {'sink' if len(path) > 2 else 'provider'} is left out"
        problem = document.problem((*path, key), message, visibility=Visibility.PUBLIC, code=code)
        if problem not in self.findings.warnings:
            self.findings.warnings.append(problem)
        table = document.values["providers"][path[1]]
        for part in path[2:]:
            table = table[part]
        if table.get("required") is not False:
            self.left_out.add(str(path[1]))

    def _has_own_vendor(self, name: str) -> bool:
        return self.vendors is not None and self.vendor_files.get(name) in self.vendors.own_files

    def vocabulary(self) -> Vocabulary:
        """Return the keys of all tables. Imports all kinds: a key may be harmless in one, and a secret in another."""
        from tokend.plugin.vault_settings import VaultSettings

        kinds = [*self.providers.usable(), *self.sinks.usable()]
        models: list[type[BaseModel]] = [DaemonSettings, SocketSettings, VaultSettings, *kinds]
        return Vocabulary(*known_and_public_keys(models))

    def vendor_lookup(self) -> "VendorLookup":
        """Return the vendors, which few configurations name."""
        if self.vendors is None:
            from tokend.config.vendor_lookup import VendorLookup

            reloading = self.before is not None
            self.vendors = VendorLookup(self.vendor_directories, self.findings, self.vocabulary, reloading=reloading)
        return self.vendors


def validate(
    loading: Loading,
    document: Document,
    model: type[M],
    values: dict[str, Any],
    path: toml_positions.Path,
    beside: Collection[str] = (),
) -> M | None:
    """Validate a table. Add its errors and return None if it has some. Keys in ``beside`` are validated apart."""
    try:
        context = {"directory": str(document.path.parent), "vaults": loading.vaults}
        settings = model.model_validate(values, context=context)
        check_methods(settings)
    except ValidationError as error:
        for details in error.errors(include_url=False, include_input=True):
            where, message = explain(details, model, values, beside)
            if document.is_unjudged((*path, *where)):
                continue
            loading.error(document, (*path, *where), message, visibility(model, where))
        return None
    except (Exception, SystemExit) as error:
        loading.error(document, path, failure_of_kind(model, values.get("kind"), error))
        return None
    return settings
