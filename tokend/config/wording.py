"""What pydantic found, in our words: what was expected, what type was found, what to write. Never the value."""

import types
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from tokend.config.report import did_you_mean
from tokend.sources import SecretSource

_FOUND = {bool: "a boolean", int: "an integer", float: "a float", str: "a string", list: "an array", dict: "a table"}
_EXPECTED = {
    "string_type": 'a string: write it in quotes, "…"',
    "bool_type": "true or false, without quotes",
    "int_type": "a whole number, without quotes",
    "dict_type": "a table: { key = value }",
    "model_type": "a table: { key = value }",
    "tuple_type": 'an array: ["…", "…"]',
    "list_type": 'an array: ["…", "…"]',
    "path_type": 'a path as a string: "/…"',
    "is_instance_of": 'a path as a string: "/…"',
}
Where = tuple[str | int, ...]


def explain(error: ErrorDetails, model: type[BaseModel], values: Mapping[str, Any]) -> tuple[Where, str]:
    """The path below the table, and the sentence."""
    kind, where = error["type"], _where(error["loc"], values)
    if kind == "extra_forbidden":
        known = sorted(_keys(model, where[:-1]))
        return where, f'unknown key "{where[-1]}"; known are {", ".join(known)}{did_you_mean(str(where[-1]), known)}'
    if kind == "missing":
        return where, f"{where[-1]} is missing"
    if kind == "literal_error":
        return where, _choices(error, model, where)
    if kind == "value_error":
        return where, _named(where, str(error.get("ctx", {}).get("error", "it is not valid")))
    if kind in {"greater_than_equal", "less_than_equal"}:
        context = error.get("ctx", {})
        limit = f"at least {context['ge']}" if "ge" in context else f"at most {context.get('le')}"
        return where, _named(where, f"expected {limit}")
    if kind == "too_short":
        return where, _named(where, "expected at least one item")
    expected = _EXPECTED.get(kind, "another type of value")
    return where, _named(where, f"expected {expected}; found {_FOUND.get(type(error['input']), 'a date or time')}")


def is_public(model: type[BaseModel], where: Where) -> bool:
    """Tell whether the value there may be shown: a known key that never holds a secret."""
    if not where:
        return False
    owner = _model_at(model, where[:-1])
    if owner is None:
        return False
    field = _fields(owner).get(str(where[-1]))
    return field is not None and not _holds(field.annotation, (SecretSource, dict))


def _named(where: Where, sentence: str) -> str:
    names = [part for part in where if isinstance(part, str)]
    return f"{names[-1]}: {sentence}" if names else sentence


def _where(location: tuple[str | int, ...], values: Mapping[str, Any]) -> Where:
    """pydantic's location without what it adds for unions: only what stands in the document."""
    path: list[str | int] = []
    here: Any = values
    for index, part in enumerate(location):
        last = index == len(location) - 1
        if isinstance(here, Mapping) and (part in here or last):
            path.append(part)
            here = here.get(part)
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            path.append(part)
            here = here[part]
    return tuple(path)


def _choices(error: ErrorDetails, model: type[BaseModel], where: Where) -> str:
    owner = _model_at(model, where[:-1])
    field = None if owner is None else _fields(owner).get(str(where[-1]))
    choices = [] if field is None else [str(choice) for choice in _literals(field.annotation)]
    near = did_you_mean(error["input"], choices) if isinstance(error["input"], str) else ""
    return _named(where, "expected one of " + ", ".join(f'"{choice}"' for choice in choices) + near)


def _literals(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(choice for part in get_args(annotation) for choice in _literals(part))


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _keys(model: type[BaseModel], where: Where) -> list[str]:
    owner = _model_at(model, where)
    return [] if owner is None else [key for key in _fields(owner) if key != "literal"]


def _model_at(model: type[BaseModel], where: Where) -> type[BaseModel] | None:
    """The model of the table at ``where``, None where a table is free."""
    for part in where:
        field = _fields(model).get(str(part))
        inner = None if field is None else _model_in(field.annotation)
        if inner is None:
            return None
        model = inner
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)


def _holds(annotation: Any, kinds: tuple[type, ...]) -> bool:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return issubclass(annotation, kinds)
    origin = get_origin(annotation)
    return (isinstance(origin, type) and issubclass(origin, kinds)) or any(
        _holds(p, kinds) for p in get_args(annotation)
    )
