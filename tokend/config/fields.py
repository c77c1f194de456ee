"""Queries on the settings models about one key: its type, its sibling keys, and whether its value may be shown."""

import re
import types
from collections.abc import Iterable
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from tokend.plugin.secret_source import SecretSource, is_shown
from tokend.plugin.secret_table import IsSecretTable
from tokend.plugin.shown_text import looks_secret
from tokend.values.near_miss import nearest

Where = tuple[str | int, ...]

# Least similarity at which an unknown key counts as a misspelt known key (`findings.nearest`).
NEARLY_CERTAIN = 0.8
# An unknown key with one of these words may hold a secret.
_SECRETIVE = re.compile(r"secret|key|token|pass|pwd|pin|auth|cred|private|jwt|sig|user", re.IGNORECASE)
# Keys of a secret's table that name its place. A value may still be a secret written there by mistake (`is_no_secret`).
SHOWN_PLACES = frozenset({"env", "file", "credential", "token", "age", "identity", "keyring", "vault"})
_PLACES = SHOWN_PLACES | {"encoding", "select", "mount", "path", "field"}


class Visibility(Enum):
    """The part of a value that may be shown: nothing, a secret's place, or everything."""

    HIDDEN = "hidden"
    PLACES = "places"
    PUBLIC = "public"


def visibility(model: type[BaseModel], where: Where) -> Visibility:
    """Return the visibility of the value at ``where`` below a table of ``model``."""
    for number, part in enumerate(where):
        if isinstance(part, int):
            continue  # a table of an array
        field = _fields(model).get(part)
        if field is None:
            return _of_unknown(model, str(part)) if number == len(where) - 1 else Visibility.HIDDEN
        # A field with repr=False may hold a secret. A dict may hold anything.
        if not field.repr or _holds(field.annotation, (dict,)):
            return Visibility.HIDDEN
        if _holds(field.annotation, (SecretSource,)):
            return Visibility.PLACES
        inner = _model_in(field.annotation)
        if inner is None:
            return Visibility.PUBLIC
        model = inner
    return Visibility.PUBLIC if where else Visibility.HIDDEN


def is_visible(value: Where, path: Where, visibility: Visibility) -> bool:
    """Return whether the value at path ``value`` may be shown beside a problem at ``path``."""
    if visibility is Visibility.PLACES:
        return value[-1] in _PLACES and value[:-1] in (path, path[:-1])
    # A problem with one item of an array shows the whole array.
    whole = path[:-1] if isinstance(path[-1], int) and len(path) > 1 else path
    return visibility is Visibility.PUBLIC and value[: len(whole)] == whole


def is_no_secret(path: Where, document: Any) -> bool:
    """Return False if the text at ``path`` may be a secret that was written instead of its place, or of a name."""
    for part in path:
        document = document[part]
    if path[-1] in SHOWN_PLACES:
        return isinstance(document, str) and is_shown(str(path[-1]), document)
    return not isinstance(document, str) or not looks_secret(document)


def known_keys(model: type[BaseModel], where: Where) -> list[str]:
    """Return the known keys of the table at ``where``, sorted. Empty if any key is allowed there."""
    owner = _model_at(model, where)
    return [] if owner is None else sorted(_fields(owner))


def allowed_values(model: type[BaseModel], where: Where) -> list[str]:
    """Return the allowed values of the key at ``where``. Empty if the key is no choice of words.

    A key may be in a table of free keys whose values are choices.
    """
    owner = _model_at(model, where[:-1])
    if owner is None and len(where) > 1:
        where = where[:-1]
        owner = _model_at(model, where[:-1])
    field = None if owner is None else _fields(owner).get(str(where[-1]))
    return [] if field is None else [str(choice) for choice in _literals(field.annotation)]


def secret_fields(model: type[BaseModel]) -> list[str]:
    """Return the keys that hold secrets."""
    return [key for key, field in _fields(model).items() if _holds(field.annotation, (SecretSource,))]


def secret_tables(model: type[BaseModel]) -> list[str]:
    """Return the keys of the tables that hold secrets by names."""
    return [key for key, field in _fields(model).items() if any(isinstance(m, IsSecretTable) for m in field.metadata)]


def known_and_public_keys(models: Iterable[type[BaseModel]]) -> tuple[frozenset[str], frozenset[str]]:
    """Return all keys of ``models`` and of their inner tables, and the keys that hold a secret in none of them."""
    known: set[str] = set()
    # People write a secret itself instead of its place.
    hidden: set[str] = set(SHOWN_PLACES)
    waiting = list(models)
    seen: set[type[BaseModel]] = set()  # a table may have tables of its own sort in it
    while waiting:
        model = waiting.pop()
        if model in seen:
            continue
        seen.add(model)
        for key, field in _fields(model).items():
            known.add(key)
            if visibility(model, (key,)) is not Visibility.PUBLIC:
                hidden.add(key)
            if (inner := _model_in(field.annotation)) is not None:
                waiting.append(inner)
    return frozenset(known), frozenset(known - hidden)


def _of_unknown(model: type[BaseModel], key: str) -> Visibility:
    near = nearest(key, _fields(model), cutoff=NEARLY_CERTAIN)
    if near is None or _SECRETIVE.search(key):
        return Visibility.HIDDEN
    return Visibility.PUBLIC if visibility(model, (near,)) is Visibility.PUBLIC else Visibility.HIDDEN


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    """Return the fields by TOML key. ``literal`` is no key: the value of ``literal = "…"`` in a file is a secret."""
    return {field.alias or name: field for name, field in model.model_fields.items() if name != "literal"}


def _model_at(model: type[BaseModel], where: Where) -> type[BaseModel] | None:
    """Return the model of the table at ``where``; None if there is none, as in a dict of values."""
    is_free = False  # in a dict of tables, whose keys are the operator's
    for part in where:
        if isinstance(part, int):
            continue  # a table of an array
        if is_free:
            is_free = False
            continue
        field = _fields(model).get(part)
        inner = None if field is None else _model_in(field.annotation)
        if field is None or inner is None:
            return None
        model, is_free = inner, _holds(field.annotation, (dict,))
    return None if is_free else model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)


def _literals(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(choice for part in get_args(annotation) for choice in _literals(part))


def _holds(annotation: Any, kinds: tuple[type, ...]) -> bool:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return issubclass(annotation, kinds)
    origin = get_origin(annotation)
    return (isinstance(origin, type) and issubclass(origin, kinds)) or any(
        _holds(p, kinds) for p in get_args(annotation)
    )
