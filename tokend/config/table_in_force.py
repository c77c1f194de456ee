"""One provider's table as it counts: what the user wrote, over his vendor's defaults. For people who look at it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokend.config.config_files import Document, read_document
from tokend.config.findings import Findings, InvalidConfigError
from tokend.config.model import Config
from tokend.config.paths import vendor_directories
from tokend.config.toml_messages import Vocabulary
from tokend.config.vendor_defaults import Defaults, Where
from tokend.config.vendor_lookup import VendorLookup
from tokend.config.vendor_tables import VENDOR, with_defaults


@dataclass(frozen=True, slots=True)
class TableInForce:
    """The table of the provider ``name``. ``values`` may hold secrets that somebody wrote into the file.

    ``defaults`` says what the vendor gave, None without a vendor. ``vendor`` is what the user wrote there.
    """

    name: str
    values: Mapping[str, Any] = field(repr=False)
    vendor: Any
    defaults: Defaults | None
    _document: Document = field(repr=False)

    @property
    def file(self) -> Path:
        """The file with the user's table."""
        return self._document.path

    def origin(self, below: Where) -> tuple[Path, int | None, str]:
        """Return where the value at a path of the table is written: file, line (of the user's files), and key."""
        if self.defaults is not None and (key := self.defaults.origin(below)) is not None:
            return self.defaults.file, None, key
        path = ("providers", self.name, *below)
        return self._document.path, self._document.line(path), ".".join(map(str, path))


def table_in_force(config: Config, name: str) -> TableInForce:
    """Return the table of a provider of a valid configuration, read again. Blocks.

    Raises KeyError if there is none, and `InvalidConfigError` if its files have changed and have errors now.
    """
    findings = Findings()
    document = read_document(
        config.origins[name], findings, lambda: Vocabulary(frozenset(), frozenset()), reloading=False
    )
    if document is None:
        raise InvalidConfigError(findings.errors)
    written = document.values.get("providers", {})[name]
    if VENDOR not in written:
        return TableInForce(name, written, None, None, document)
    lookup = VendorLookup(vendor_directories(config.files[0]), findings)
    whole = with_defaults(lookup, document, ("providers", name), written, findings)
    if whole is None or findings.errors:
        raise InvalidConfigError(findings.errors)
    return TableInForce(name, whole, written[VENDOR], document.defaults[name], document)
