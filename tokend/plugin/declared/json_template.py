"""JSON bodies of a configuration: a TOML table or array whose strings have placeholders."""

import json
import math
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any

from pydantic import PlainValidator, WithJsonSchema

from tokend.plugin.declared.placeholders import Placeholder, Text, Value, as_text
from tokend.values.secret import Secret

DEEPEST = 32
Path = tuple[str | int, ...]


class JsonTemplate:
    """A parsed body. Immutable; equal to another of the same content. Raises ValueError for what is no JSON.

    A string that is one placeholder has the type of its value; a secret is a string. Keys are literal.
    """

    __slots__ = ("_tree",)

    def __init__(self, written: Any) -> None:
        self._tree = _parsed_tree(written, ())

    def names(self) -> Iterator[tuple[Path, str]]:
        """Yield the name of each placeholder with its path in the body."""
        for path, text in self.texts():
            yield from ((path, name) for name in text.names)

    def texts(self) -> Iterator[tuple[Path, Text]]:
        """Yield each string with its path in the body."""
        waiting: list[tuple[Path, Any]] = [((), self._tree)]
        while waiting:
            path, one = waiting.pop(0)
            if isinstance(one, dict):
                waiting = [((*path, key), item) for key, item in one.items()] + waiting
            elif isinstance(one, list):
                waiting = [((*path, index), item) for index, item in enumerate(one)] + waiting
            elif isinstance(one, Text):
                yield path, one

    @property
    def shown(self) -> Any:
        """The body with its placeholders as they are written."""
        return _shown(self._tree)

    @property
    def is_table(self) -> bool:
        """Whether the body is a table, not an array."""
        return isinstance(self._tree, dict)

    def without(self, names: Collection[str]) -> "JsonTemplate":
        """Return the body without the members and elements that are the placeholder of one of these names alone."""
        made = JsonTemplate({})
        made._tree = _without(self._tree, names)
        return made

    def filled(self, values: Mapping[str, Value]) -> Any:
        """Return the body as a JSON value, in clear."""
        return _filled(self._tree, values)

    def fill(self, values: Mapping[str, Value]) -> bytes:
        """Return the body, in clear."""
        return json.dumps(self.filled(values), ensure_ascii=False, separators=(",", ":")).encode()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JsonTemplate) and _typed(self._tree) == _typed(other._tree)

    def __hash__(self) -> int:
        return hash(repr(self._tree))

    def __repr__(self) -> str:
        """Return the whole body: fingerprints of settings are made of it. A field of this type has ``repr=False``."""
        return f"JsonTemplate({self._tree!r})"


def _parsed_tree(value: Any, path: Path) -> Any:
    where = "".join(f"{part}: " for part in path)
    if len(path) > DEEPEST:
        raise ValueError(f"JSON is nested at most {DEEPEST} levels deep")
    if isinstance(value, dict):
        for key in value:
            if any(isinstance(part, Placeholder) for part in _parts(key)):
                raise ValueError(f"{where}{key}: keys are literal: a placeholder stands in a value")
        return {key: _parsed_tree(item, (*path, key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_parsed_tree(item, (*path, index)) for index, item in enumerate(value)]
    if isinstance(value, str):
        try:
            return Text.parse(value)
        except ValueError as error:
            raise ValueError(f"{where}{error}") from None
    if not isinstance(value, bool | int | float) or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"{where}JSON has texts, numbers, true, false, tables and arrays: write a date as a string")
    return value


def _parts(key: str) -> tuple[str | Placeholder, ...]:
    try:
        return Text.parse(key).parts
    except ValueError:
        return ()


def _filled(tree: Any, values: Mapping[str, Value]) -> Any:
    if isinstance(tree, dict):
        return {key: _filled(item, values) for key, item in tree.items()}
    if isinstance(tree, list):
        return [_filled(item, values) for item in tree]
    if isinstance(tree, Text):
        value = tree.fill_typed(values)
        return as_text(value) if isinstance(value, Secret) else value
    return tree


def _without(tree: Any, names: Collection[str]) -> Any:
    if isinstance(tree, dict):
        return {key: _without(item, names) for key, item in tree.items() if not _is_alone(item, names)}
    return [_without(item, names) for item in tree if not _is_alone(item, names)] if isinstance(tree, list) else tree


def _is_alone(tree: Any, names: Collection[str]) -> bool:
    return isinstance(tree, Text) and tree.only in names


def _shown(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _shown(item) for key, item in tree.items()}
    return [_shown(item) for item in tree] if isinstance(tree, list) else tree.shown if isinstance(tree, Text) else tree


def _typed(tree: Any) -> Any:
    """Return a tree in which true and 1 differ."""
    if isinstance(tree, dict):
        return {key: _typed(item) for key, item in tree.items()}
    return [_typed(item) for item in tree] if isinstance(tree, list) else (type(tree), tree)


def _parsed(value: object) -> JsonTemplate:
    if isinstance(value, JsonTemplate):
        return value
    if not isinstance(value, dict | list | tuple):
        raise ValueError('a JSON body is a table or an array: { value = "{value}" }')  # noqa: TRY004
    return JsonTemplate(value)


JsonField = Annotated[JsonTemplate, PlainValidator(_parsed), WithJsonSchema({"type": ["object", "array"]})]
"""The type of a settings field with a JSON body."""
