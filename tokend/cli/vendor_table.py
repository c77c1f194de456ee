"""A ready table for a vendor: what its user has to fill in, below comments with what the vendor's file says."""

import json
import re
import tomllib
from collections.abc import Iterator
from textwrap import wrap
from typing import Any

from pydantic import BaseModel

from tokend.cli.toml_text import Inline, Where, written
from tokend.config.fields import Visibility, visibility
from tokend.config.vendor_file import NAME_KEY, Vendor

UNKNOWN = "…"
COLUMNS = 100
# An example in the words about a key: as "https://127.0.0.1:8182", as in ["a", "b"], as 8.
_EXAMPLE = re.compile(r'\bas (?:in )?("[^"]*"|\[[^\]]*\]|[0-9]+\b)')


def ready_table(vendor: Vendor, model: type[BaseModel], name: str | None = None) -> str:
    """Return the table ``[providers.NAME]`` as TOML, by default named for the vendor. ``model`` is that of its kind."""
    name = vendor.name if name is None else name
    table: dict[str, Any] = {"vendor": _choice(vendor)}
    for key, meaning in vendor.settings.needs.items():
        where = tuple(key.split("."))
        below = table
        for part in where[:-1]:
            below = below.setdefault(part, {})
        below[where[-1]] = _secret(name, where) if _is_secret(model, where) else _example(meaning)
    needs = vendor.settings.needs

    def remark(where: Where) -> str | None:
        meaning = needs.get(".".join(map(str, where)))
        return _of_choice(vendor, where) if meaning is None else without_example(meaning) or None

    comments = "".join(f"{line}\n" for line in _comments(vendor))
    return comments + written(table, ("providers", name), remark)


def example_of(meaning: str) -> Any:
    """Return the example in the words about a key; None if there is none."""
    found = _EXAMPLE.search(meaning)
    try:
        return None if found is None else tomllib.loads(f"value = {found[1]}")["value"]
    except tomllib.TOMLDecodeError:
        return None


def without_example(meaning: str) -> str | None:
    """Return the words about a key without the example in them, which stands as its value; None if nothing is left."""
    if example_of(meaning) is None:
        return meaning
    return _EXAMPLE.sub("", meaning).strip(" ,;:") or None


def _example(meaning: str) -> Any:
    found = example_of(meaning)
    return UNKNOWN if found is None else found


def _choice(vendor: Vendor) -> Any:
    """Return the value of ``vendor``: the name, and what it asks for and has no default."""
    needed = {name: one for name, one in vendor.settings.placeholders.items() if one.default is None}
    if not needed:
        return vendor.name
    return Inline({NAME_KEY: vendor.name, **{name: _example(one.meaning) for name, one in needed.items()}})


def _of_choice(vendor: Vendor, where: Where) -> str | None:
    if where != ("vendor",):
        return None
    asked = [
        f"{name}: {one.meaning or one.pattern}"
        for name, one in vendor.settings.placeholders.items()
        if one.default is None
    ]
    return "; ".join(asked) or None


def _is_secret(model: type[BaseModel], where: Where) -> bool:
    return where[0] == "secrets" or visibility(model, where) is Visibility.PLACES


def _secret(name: str, where: Where) -> Inline:
    return Inline(credential=f"{name}-{str(where[-1]).replace('_', '-')}")


def _comments(vendor: Vendor) -> Iterator[str]:
    settings = vendor.settings
    yield from _comment(settings.title or vendor.name)
    if settings.docs is not None:
        yield from _comment(settings.docs)
    if settings.checked is not None:
        yield from _comment(f"checked {settings.checked.isoformat()}")
    for note in settings.notes:
        yield from _comment(f"- {note}", indent="  ")
    if settings.environments:
        yield from _comment(f"- environment = {' or '.join(map(json.dumps, settings.environments))}")
    for name, one in settings.placeholders.items():
        if one.default is not None:
            written = f'- vendor = {{ name = "{vendor.name}", {name} = "…" }}: {one.meaning or one.pattern}'
            yield from _comment(f'{written}; default "{one.default}"', indent="  ")


def _comment(text: str, indent: str = "") -> list[str]:
    return wrap(
        text, COLUMNS, initial_indent="# ", subsequent_indent=f"# {indent}", break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
