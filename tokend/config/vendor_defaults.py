"""A vendor's table as the defaults of a user's: merged, filled in, and which key comes from whom. Pure."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from tokend.values.secret import Secret

Where: TypeAlias = tuple[str | int, ...]

# Keys of a secret's table that name no place.
_OF_CONTENT = frozenset({"encoding", "select"})
# A brace that is written twice is a brace: the kinds' own placeholders have the same notation.
_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([a-z][a-z0-9_]*)\}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Defaults:
    """What one provider's table has from a vendor's file.

    ``written`` is the user's own table and ``given`` the vendor's. ``key_of`` returns the key in the file of a path of
    ``given``. ``is_partial``: something that the vendor needs is missing, so the vendor's part cannot be judged;
    ``reported`` has the paths of what is missing.
    """

    vendor: str
    file: Path
    written: Mapping[str, Any]
    given: Mapping[str, Any]
    key_of: Callable[[Where], str] = field(repr=False)
    is_partial: bool = False
    reported: frozenset[Where] = frozenset()

    def is_written(self, below: Where) -> bool:
        """Return whether the user wrote the value at a path of the table; an array is one value."""
        return is_written(self.written, below)

    def origin(self, below: Where) -> str | None:
        """Return the key in the vendor's file of a value that the user did not write; None if it is not from there."""
        if self.is_written(below):
            return None
        ends = range(len(below), 0, -1)
        return next((self.key_of(below[:end]) for end in ends if has(self.given, below[:end])), None)

    def is_unjudged(self, below: Where) -> bool:
        """Return whether an error there only follows from what is missing, which is reported."""
        return below in self.reported or (self.is_partial and not self.is_written(below))


def merged(given: Mapping[str, Any], written: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``given`` with the keys of ``written`` over it: tables merge, everything else replaces."""
    both = {
        key: merged(given[key], value) if isinstance(value, Mapping) and isinstance(given.get(key), Mapping) else value
        for key, value in written.items()
    }
    return {**given, **both}


def with_literals(table: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``table`` whose literal secrets have the encoding that the vendor's table ``given`` says.

    A secret's place is a table, and merges with it. A literal one is a text, and has replaced it.
    """
    changed = {}
    for key, value in table.items():
        vendors = given.get(key)
        if not isinstance(vendors, Mapping):
            continue
        if isinstance(value, Mapping):
            changed[key] = with_literals(value, vendors)
        elif isinstance(value, str) and vendors and vendors.keys() <= _OF_CONTENT:
            changed[key] = {**vendors, "literal": Secret(value)}
    return {**table, **changed}


def filled(value: Any, values: Mapping[str, str]) -> Any:
    """Return a value with the placeholders of ``values`` filled in, in all its texts. Others stay as they are."""
    if isinstance(value, Mapping):
        return {key: filled(one, values) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, values) for one in value]
    if not isinstance(value, str):
        return value
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]) if match[1] else match[0], value)


def placeholders_in(value: Any) -> Iterator[str]:
    """Yield the names in braces in all texts of a value."""
    if isinstance(value, Mapping):
        for one in value.values():
            yield from placeholders_in(one)
    elif isinstance(value, list):
        for one in value:
            yield from placeholders_in(one)
    elif isinstance(value, str):
        yield from (match[1] for match in _PLACEHOLDER.finditer(value) if match[1])


def has(table: Mapping[str, Any], below: Where) -> bool:
    """Return whether a table has something at a path."""
    here: Any = table
    for part in below:
        if not isinstance(here, Mapping) or part not in here:
            return False
        here = here[part]
    return True


def is_written(table: Mapping[str, Any], below: Where) -> bool:
    """Return as `has`; what lies inside a value that is no table is there with that value."""
    here: Any = table
    for part in below:
        if not isinstance(here, Mapping):
            return True
        if part not in here:
            return False
        here = here[part]
    return True


def dotted(path: Where) -> str:
    """Return a path as a TOML key shows it."""
    return ".".join(str(part) for part in path)
