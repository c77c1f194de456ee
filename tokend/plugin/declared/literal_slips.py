"""Warnings about expressions of a table in which a field stands where a value was probably meant."""

from collections.abc import Iterator
from typing import Any

from tokend.plugin.declared.expressions import Expression
from tokend.plugin.declared.places import Place
from tokend.plugin.settings_base import Settings


def literal_slips(value: Any, *path: str | int) -> Iterator[str]:
    """Yield a warning for each such field below a table, a list or an expression, with the path of its key."""
    if isinstance(value, Expression):
        where = ".".join(map(str, path))
        yield from (f"{where}: {slip}" for slip in value.slips())
    elif isinstance(value, Place):
        yield from literal_slips(value.expression, *path)
    elif isinstance(value, Settings):
        for key, field in type(value).model_fields.items():
            yield from literal_slips(getattr(value, key), *path, field.alias or key)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from literal_slips(item, *path, key)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from literal_slips(item, *path, index)
