"""A vendor's file: what a provider's table is with one vendor, as TOML. It has no client id, no secret and no code.

`vendor_lookup` finds the files, `vendor_defaults` merges them into tables.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator

from tokend.config.config_files import Document
from tokend.config.fields import Visibility
from tokend.config.findings import Findings
from tokend.config.pydantic_messages import explain
from tokend.config.vendor_defaults import Where, dotted, placeholders_in
from tokend.plugin.declared.parameters import Pattern
from tokend.plugin.settings_base import Settings, Strings

# Words of ``vendor = { … }`` that are no placeholders.
NAME_KEY = "name"
ENVIRONMENT_KEY = "environment"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
# What only the user of a vendor's file can know, and who may read his tokens.
_OF_THE_USER = ("access", "client_id", "sinks", "vendor")


class VendorPlaceholder(Settings):
    """A table of ``[placeholders]``: ``{NAME}`` in the file's texts is what the user writes in his ``vendor``.

    ``pattern`` is that of a parameter (`plugin.declared.parameters`).
    """

    pattern: str
    default: str | None = None
    meaning: str = ""

    @field_validator("pattern")
    @classmethod
    def _is_pattern(cls, value: str) -> str:
        Pattern(value)
        return value

    def fits(self, text: str) -> bool:
        """Return whether the whole text is one of the pattern's."""
        return Pattern(self.pattern).accepts(text)


class VendorSettings(Settings):
    """The keys of a vendor's file.

    ``needs`` maps the key that the user must write, as in "secrets.key", to what it is. ``environments`` has, by name,
    the tables that are merged over ``provider``. `tests/vendors/proofs` reads ``proof``.
    """

    title: str = ""
    docs: Annotated[str, Field(pattern=r"^https://[\x21-\x7e]+$")] | None = None
    checked: date | None = None
    needs: dict[str, str] = Field(default_factory=dict)
    notes: Strings = ()
    placeholders: dict[str, VendorPlaceholder] = Field(default_factory=dict)
    provider: dict[str, Any]
    environments: dict[str, dict[str, Any]] = Field(default_factory=dict)
    proof: Annotated[tuple[dict[str, Any], ...], Field(strict=False)] = ()


# Tables whose entries are judged each by itself.
_OF_ENTRIES = ("environments", "needs", "placeholders")


@dataclass(frozen=True, slots=True)
class Vendor:
    """One vendor: the name of its file, the file, its keys. ``document`` has the lines of its keys."""

    name: str
    settings: VendorSettings
    document: Document = field(repr=False)
    is_built_in: bool = True

    @property
    def path(self) -> Path:
        """The vendor's file."""
        return self.document.path

    def defaults(self, environment: str | None, values: Mapping[str, str]) -> dict[str, Any]:
        """Return the provider's table in an environment, with its placeholders filled in."""
        from tokend.config.vendor_defaults import filled, merged

        changed = {} if environment is None else self.settings.environments[environment]
        table: dict[str, Any] = filled(merged(self.settings.provider, changed), values)
        return table

    def key_of(self, below: Where, environment: str | None) -> str:
        """Return the key in the vendor's file that a key of the provider's table comes from."""
        changed: Any = self.settings.environments.get(environment or "", {})
        for part in below:
            if not isinstance(changed, dict) or part not in changed:
                return dotted(("provider", *below))
            changed = changed[part]
        return dotted(("environments", str(environment), *below))


def read_vendor(name: str, document: Document, findings: Findings, *, is_built_in: bool) -> Vendor | None:
    """Return the vendor of a parsed file; None if it has errors, which are added to ``findings``."""
    settings: VendorSettings | None
    try:
        settings = VendorSettings.model_validate(document.values)
    except ValidationError as error:
        for details in error.errors(include_url=False, include_input=True):
            where, message = explain(details, VendorSettings, document.values)
            findings.errors.append(document.problem(where, message, visibility=Visibility.PUBLIC))
        settings, rest = None, _right_part(document.values, [one["loc"] for one in error.errors()])
    else:
        rest = settings
    faults = [] if rest is None else [*_faults(rest)]
    findings.errors += [document.problem(where, message, visibility=Visibility.PUBLIC) for where, message in faults]
    return None if faults or settings is None else Vendor(name, settings, document, is_built_in)


def _right_part(values: Mapping[str, Any], wrong: Iterable[Where]) -> VendorSettings | None:
    """Return the settings without the keys that have errors; None without the provider's table."""
    left = {key: dict(value) if isinstance(value, dict) else value for key, value in values.items()}
    for where in wrong:
        table = left.get(str(where[0]))
        if len(where) > 1 and where[0] in _OF_ENTRIES and isinstance(table, dict):
            table.pop(where[1], None)
        else:
            left.pop(str(where[0]), None)
    return VendorSettings.model_validate(left) if "provider" in left else None


def _faults(settings: VendorSettings) -> Iterator[tuple[Where, str]]:
    kind = settings.provider.get("kind")
    if not isinstance(kind, str):
        yield ("provider", "kind"), "kind is missing: it is the kind of the vendor's providers"
    elif kind == "command":
        yield ("provider", "kind"), "a vendor's file holds no code: no command"
    for where, table in _tables(settings):
        for key in _OF_THE_USER:
            if key in table:
                yield (*where, key), f"{key} is the user's own, and stands in no vendor's file"
        yield from ((path, "a vendor's file holds no code: no command") for path in _commands(table, where))
    for path in settings.needs:
        if not path or not all(path.split(".")):
            yield ("needs", path), 'it is the path of a key: "client_id", "secrets.key"'
    yield from _placeholder_faults(settings)


def _placeholder_faults(settings: VendorSettings) -> Iterator[tuple[Where, str]]:
    used = {name for _, table in _tables(settings) for name in placeholders_in(table)}
    for name, one in settings.placeholders.items():
        where: Where = ("placeholders", name)
        if name in {NAME_KEY, ENVIRONMENT_KEY} or not _NAME.fullmatch(name):
            yield where, "a placeholder's name is a to z, 0 to 9 and _, a letter first; not name, not environment"
        elif name not in used:
            yield where, f"no text of the table has {{{name}}}"
        if one.default is not None and not one.fits(one.default):
            yield (*where, "default"), f"default: it does not fit the pattern {one.pattern}"


def _tables(settings: VendorSettings) -> Iterator[tuple[Where, Mapping[str, Any]]]:
    yield ("provider",), settings.provider
    for name, table in settings.environments.items():
        yield ("environments", name), table


def _commands(value: Any, where: Where) -> Iterator[Where]:
    """Yield the paths of what would start a program: an array at a key whose name ends with "command"."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            if isinstance(one, list) and str(key).endswith(("command", "on_change")):
                yield (*where, key)
            yield from _commands(one, (*where, key))
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield from _commands(one, (*where, index))
