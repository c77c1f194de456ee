"""Check of a kind's class: each secret is a field of its own.

`ProviderSettings.secrets` returns the fields whose value is a `SecretSource`. A secret that is elsewhere would not be
read by ``tokend check``, not be watched, and be quoted in messages.
"""

import dataclasses
import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints, is_typeddict

from pydantic import BaseModel, SecretBytes, SecretStr

from tokend.plugin.secret_source import SecretSource
from tokend.plugin.secret_table import IsSecretTable
from tokend.values.secret import Secret

# Types that hold a secret in clear, as it stands in the file.
_IN_CLEAR = (Secret, SecretStr, SecretBytes)


def secret_faults(model: type[BaseModel]) -> list[str]:
    """Return a fault for each field of ``model`` that holds a secret, and is not simply a `SecretField`."""
    faults = []
    for name, field in model.model_fields.items():
        if any(isinstance(mark, IsSecretTable) for mark in field.metadata):
            continue
        if fault := next(_faults(field.annotation, name, "", frozenset()), None):
            faults.append(fault)
    return faults


def _faults(annotation: Any, name: str, inside: str, seen: frozenset[type]) -> Iterator[str]:
    """Yield the faults below an annotation. ``inside`` names the container around the annotation; "" is the field."""
    advice = "secrets are fields of their own"
    origin = get_origin(annotation)
    if origin is Annotated or origin is Union or origin is types.UnionType:
        parts = get_args(annotation)[:1] if origin is Annotated else get_args(annotation)
        if not inside and any(map(_is_source, parts)) and not all(_is_source(p) or p is type(None) for p in parts):
            yield f"{advice}: field {name} may hold a secret or another value; declare it as {name}: SecretField | None"
        for part in parts:
            yield from _faults(part, name, inside, seen)
    elif (alias := getattr(annotation, "__value__", None)) is not None and not isinstance(annotation, type):
        yield from _faults(alias, name, inside, seen)
    elif origin is not None:
        for part in get_args(annotation):
            yield from _faults(part, name, inside or f"a {getattr(origin, '__name__', origin)}", seen)
    elif isinstance(annotation, type):
        if issubclass(annotation, _IN_CLEAR):
            yield f"{advice}: field {name} is of the type {annotation.__name__}; declare it as {name}: SecretField"
        elif issubclass(annotation, SecretSource):
            if inside:
                yield f"{advice}: field {name} holds a secret inside {inside}; declare it as {name}: SecretField"
            elif annotation is not SecretSource:
                yield f"{advice}: field {name} is a subclass of SecretSource; declare it as {name}: SecretField"
        elif annotation not in seen:
            for part in _members(annotation):
                yield from _faults(part, name, f"the table {annotation.__name__}", seen | {annotation})


def _is_source(annotation: Any) -> bool:
    """Return whether an annotation is a `SecretField`, perhaps annotated further."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation is SecretSource


def _members(model: type) -> list[Any]:
    """Return the annotations of a class that pydantic fills from a table or an array."""
    if issubclass(model, BaseModel):
        return [field.annotation for field in model.model_fields.values()]
    if dataclasses.is_dataclass(model) or is_typeddict(model) or (issubclass(model, tuple) and model is not tuple):
        return list(get_type_hints(model, include_extras=True).values())
    return []
