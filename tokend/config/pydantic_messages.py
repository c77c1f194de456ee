"""Messages for pydantic's validation errors: the expected type, the type that was found, what to write.

No message contains the value.
"""

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from tokend.config.fields import Where, allowed_values, known_keys
from tokend.plugin.settings_base import KeyValueError
from tokend.plugin.shown_text import shown
from tokend.values.near_miss import did_you_mean

# Words to choose from are short: different ones have much in common.
_NEAR_CHOICE = 0.7
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


def explain(
    error: ErrorDetails, model: type[BaseModel], values: Mapping[str, Any], beside: Collection[str] = ()
) -> tuple[Where, str]:
    """Return the error's path below the table, and its message.

    ``beside`` are keys of the table that are no fields of ``model``.
    """
    kind, where = error["type"], _where(error["loc"], values)
    if kind == "extra_forbidden":
        known = sorted({*known_keys(model, where[:-1]), *(beside if len(where) == 1 else ())})
        return where, f'unknown key "{where[-1]}"; known are {", ".join(known)}{did_you_mean(str(where[-1]), known)}'
    if kind == "missing":
        return where, f"{where[-1]} is missing"
    if kind == "literal_error":
        return where, _choices(error, model, where)
    if kind == "value_error":
        fault = error.get("ctx", {}).get("error", "it is not valid")
        if isinstance(fault, KeyValueError):
            where = (*where, fault.key)
        # The text may quote a secret that was written where a name belongs.
        return where, _named(where, shown(str(fault)))
    if kind in {"greater_than_equal", "less_than_equal"}:
        context = error.get("ctx", {})
        limit = f"at least {context['ge']}" if "ge" in context else f"at most {context.get('le')}"
        return where, _named(where, f"expected {limit}")
    if kind == "string_pattern_mismatch":
        return where, _named(where, f"expected a text of the form {error.get('ctx', {}).get('pattern')}")
    if kind in {"string_too_short", "string_too_long"}:
        context = error.get("ctx", {})
        limit = f"at least {context['min_length']}" if "min_length" in context else f"at most {context['max_length']}"
        found = len(error["input"])
        return where, _named(
            where, f"expected a text of {limit} character{'' if limit[-2:] == ' 1' else 's'}; found {found}"
        )
    if kind == "too_short":
        return where, _named(where, "expected at least one item")
    expected = _EXPECTED.get(kind, "another type of value")
    return where, _named(where, f"expected {expected}; found {_FOUND.get(type(error['input']), 'a date or time')}")


def _named(where: Where, sentence: str) -> str:
    names = [part for part in where if isinstance(part, str)]
    return f"{names[-1]}: {sentence}" if names else sentence


def _where(location: tuple[str | int, ...], values: Mapping[str, Any]) -> Where:
    """Return pydantic's location without the parts that pydantic adds for unions: the path in the document."""
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
    choices = allowed_values(model, where)
    if len(choices) == 1:
        return _named(where, f'expected "{choices[0]}"')
    near = did_you_mean(error["input"], choices, cutoff=_NEAR_CHOICE) if isinstance(error["input"], str) else ""
    return _named(where, "expected one of " + ", ".join(f'"{choice}"' for choice in choices) + near)
