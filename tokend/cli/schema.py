"""``tokend schema``: the configuration's JSON Schema, made of the models that read it."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import click
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NAME_PATTERN = "^[a-z0-9][a-z0-9._-]{0,63}$"
PLACES = ("env", "file", "credential", "command")


@click.command(epilog="Example: tokend schema > tokend.schema.json, for editors that check TOML as it is written.")
def schema() -> None:
    """Print the JSON Schema (2020-12) of the configuration.

    What a schema cannot say (secrets that are there, one file in two sinks) only `tokend check` knows.
    """
    click.echo(json.dumps(configuration_schema(), indent=2))


def configuration_schema() -> dict[str, Any]:
    """The schema of a configuration file, as a JSON object."""
    from tokend import kinds
    from tokend.config import DaemonSettings

    providers, sinks = kinds.PROVIDERS.all(), kinds.SINKS.all()
    models: list[type[BaseModel]] = [DaemonSettings, *providers.values(), *sinks.values()]
    # Model by model a reference; and the definitions of all of them.
    references, found = models_json_schema([(model, "validation") for model in models], schema_generator=_Toml)
    definitions = _untitled(found["$defs"])
    refer = {model: references[model, "validation"] for model in models}
    # `load` fills in the daemon's own places.
    _definition(definitions, refer[DaemonSettings]).pop("required", None)
    definitions["SecretSource"] = _secret(definitions["SecretSource"])
    for kind, model in _kinds(providers, sinks):
        _name_kind(_definition(definitions, refer[model]), kind)
    for model in providers.values():
        if "refresh_before" in model.model_fields:  # on-demand kinds have nothing that could be written
            sinks_key = {"type": "array", "items": {"$ref": "#/$defs/sink"}}
            _definition(definitions, refer[model])["properties"]["sinks"] = sinks_key
    definitions["sink"] = _by_kind(sinks, refer)
    definitions["provider"] = _by_kind(providers, refer)
    return {
        "$schema": DIALECT,
        "title": "tokend's configuration",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "include": {"type": "array", "items": {"type": "string", "minLength": 1}},
            "daemon": refer[DaemonSettings],
            "providers": {
                "type": "object",
                "propertyNames": {"pattern": NAME_PATTERN},
                "additionalProperties": {"$ref": "#/$defs/provider"},
            },
        },
        "$defs": definitions,
    }


class _Toml(GenerateJsonSchema):
    """TOML has no null, and says a default in words that the models do not have: both are left out."""

    def nullable_schema(self, schema: Any) -> Any:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> Any:
        return self.generate_inner(schema["schema"])


def _untitled(schema: Any) -> Any:
    """Without pydantic's titles, which repeat each key in capitals."""
    if isinstance(schema, list):
        return [_untitled(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _untitled(one) for key, one in schema.items() if not (key == "title" and isinstance(one, str))}


def _secret(definition: Mapping[str, Any]) -> dict[str, Any]:
    """A string, or a table with exactly one place; `SecretSource` says that it is one of the two."""
    text, table = definition["anyOf"]
    places = {**table, "oneOf": [{"required": [place]} for place in PLACES]}
    del places["description"]
    return {"description": "A secret: where it is, or (tokend check warns) itself.", "oneOf": [text, places]}


def _kinds(*tables: Mapping[str, type[BaseModel]]) -> Iterable[tuple[str, type[BaseModel]]]:
    for table in tables:
        yield from table.items()


def _name_kind(definition: dict[str, Any], kind: str) -> None:
    """A table says its kind."""
    definition["properties"]["kind"] = {"const": kind}
    definition["required"] = sorted({*definition.get("required", []), "kind"})


def _by_kind(table: Mapping[str, type[BaseModel]], refer: Mapping[Any, Any]) -> dict[str, Any]:
    """Conditions, not oneOf: a validator then speaks of the kind that was meant, and not of all the others."""
    return {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"enum": list(table)}},
        "allOf": [
            {"if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]}, "then": refer[model]}
            for kind, model in table.items()
        ],
    }


def _definition(definitions: dict[str, Any], reference: Mapping[str, Any]) -> dict[str, Any]:
    found = definitions[reference["$ref"].rpartition("/")[2]]
    assert isinstance(found, dict)  # noqa: S101  (what pydantic makes of a model)
    return found
