"""Tables with ``vendor``: what the user wrote, over the defaults of the vendor's file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tokend.config.config_files import Document
from tokend.config.fields import Visibility
from tokend.config.findings import ConfigProblem, Findings
from tokend.config.vendor_defaults import Defaults, Where, has, is_written, merged
from tokend.config.vendor_file import ENVIRONMENT_KEY, NAME_KEY, Vendor
from tokend.config.vendor_lookup import VendorLookup
from tokend.plugin.shown_text import shown
from tokend.values.near_miss import did_you_mean

VENDOR = "vendor"
# Stands for a placeholder that is missing or wrong, so that the user's own keys are checked nevertheless.
_STAND_IN = "missing"


@dataclass(slots=True)
class _Choice:
    """What one table says of its vendor, and what is wrong with that, by path below the table."""

    vendor: Vendor
    environment: str | None = None
    values: dict[str, str] = field(default_factory=dict)
    faults: list[tuple[Where, str]] = field(default_factory=list)


def with_defaults(
    lookup: VendorLookup, document: Document, path: Where, table: Mapping[str, Any], findings: Findings
) -> dict[str, Any] | None:
    """Return a provider's table with its vendor's defaults, and note in ``document`` where each key comes from.

    Errors are added to ``findings``. Returns None if no vendor can be had.
    """

    def problem(where: Where, message: str) -> ConfigProblem:
        return document.problem((*path, *where), message, visibility=Visibility.PUBLIC)

    name = _name_in(table[VENDOR])
    if name is None or name not in lookup:
        where: Where = (VENDOR, NAME_KEY) if isinstance(table[VENDOR], Mapping) else (VENDOR,)
        findings.errors.append(problem(where, _no_vendor(name, lookup)))
        return None
    if (vendor := lookup.get(name)) is None:
        return None  # reported at its file
    chosen = _choice(vendor, table)
    written = {key: value for key, value in table.items() if key != VENDOR}
    if vendor.settings.environments:
        written.pop(ENVIRONMENT_KEY, None)
    given = vendor.defaults(chosen.environment, chosen.values)
    needs = {tuple(key.split(".")): what for key, what in vendor.settings.needs.items()}
    # The vendor may give a part of what is needed, as the encoding of a secret.
    missing = {where: what for where, what in needs.items() if not is_written(written, where)}
    findings.errors += [problem(where, message) for where, message in chosen.faults]
    for where, what in missing.items():
        message = f'{where[-1]} is missing: vendor "{name}" needs it{f" ({what})" if what else ""}'
        findings.errors.append(problem(where if len(where) > 1 and has(written, where[:-1]) else (VENDOR,), message))
    document.defaults[str(path[1])] = Defaults(
        vendor=name,
        file=vendor.path,
        written=table,
        given=given,
        key_of=lambda below: vendor.key_of(below, chosen.environment),
        is_partial=bool(chosen.faults or missing),
        reported=frozenset(missing),
    )
    return merged(given, written)


def _name_in(written: Any) -> str | None:
    name = written.get(NAME_KEY) if isinstance(written, Mapping) else written
    return name if isinstance(name, str) else None


def _no_vendor(name: str | None, lookup: VendorLookup) -> str:
    if name is None:
        return 'vendor is the name of a vendor, or a table with one: "github", { name = "microsoft", tenant = "…" }'
    known = lookup.names()
    listed = ", ".join(f'"{one}"' for one in known)
    return f'there is no vendor "{shown(name)}"; it is one of {listed}{did_you_mean(name, known)}'


def _choice(vendor: Vendor, table: Mapping[str, Any]) -> _Choice:
    written = table[VENDOR] if isinstance(table[VENDOR], Mapping) else {NAME_KEY: vendor.name}
    choice = _Choice(vendor)
    choice.faults += _unknown_keys(vendor, written)
    _choose_environment(choice, written, table)
    for name, placeholder in vendor.settings.placeholders.items():
        value = written.get(name, placeholder.default)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        meaning = f" ({placeholder.meaning})" if placeholder.meaning else ""
        if value is None:
            message = f'{name} is missing: vendor = {{ name = "{vendor.name}", {name} = "…" }}{meaning}'
            choice.faults.append(((VENDOR,), message))
        elif not isinstance(value, str) or not placeholder.fits(value):
            choice.faults.append(
                ((VENDOR, name), f"{name}: expected a text of the form {placeholder.pattern}{meaning}")
            )
        else:
            choice.values[name] = value
        choice.values.setdefault(name, _STAND_IN)
    return choice


def _unknown_keys(vendor: Vendor, written: Mapping[str, Any]) -> Iterator[tuple[Where, str]]:
    known = [NAME_KEY, *([ENVIRONMENT_KEY] if vendor.settings.environments else []), *vendor.settings.placeholders]
    for key in written:
        if key not in known:
            near = did_you_mean(key, known)
            yield (VENDOR, key), f'vendor "{vendor.name}" has no "{key}"; known are {", ".join(known)}{near}'


def _choose_environment(choice: _Choice, written: Mapping[str, Any], table: Mapping[str, Any]) -> None:
    """Choose the environment: it stands beside ``vendor``, or in its table."""
    known = choice.vendor.settings.environments
    both: list[tuple[Where, Mapping[str, Any]]] = [((VENDOR, ENVIRONMENT_KEY), written), ((ENVIRONMENT_KEY,), table)]
    places = [where for where, one in both if ENVIRONMENT_KEY in one]
    if not known or not places:
        return
    if len(places) > 1:
        choice.faults.append((places[1], "environment stands beside vendor and in its table: remove one"))
        return
    value = (written if places[0][0] == VENDOR else table)[ENVIRONMENT_KEY]
    if isinstance(value, str) and value in known:
        choice.environment = value
        return
    listed = ", ".join(f'"{one}"' for one in known)
    near = did_you_mean(value, list(known)) if isinstance(value, str) else ""
    choice.faults.append((places[0], f"environment: expected one of {listed}{near}"))
