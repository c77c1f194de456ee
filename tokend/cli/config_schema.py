"""The configuration's JSON Schema, generated from the pydantic models of the configuration."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from tokend.plugin.kind_bugs import is_built_in
from tokend.plugin.secret_source import PLACES

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NAME_PATTERN = "^[a-z0-9][a-z0-9._-]{0,63}$"

# Keys beside ``vault`` in the table of a secret.
IN_A_VAULT = ("mount", "path", "field")


def configuration_schema(path: Path | None = None) -> tuple[dict[str, Any], list[str]]:
    """Return the schema of a configuration file, as a JSON object, and a sentence for each kind that is left out.

    ``path`` is a configuration whose plug-ins' files add kinds. Raises `ConfigError` if it cannot be read.
    """
    from tokend import kinds
    from tokend.config import DaemonSettings, SocketSettings
    from tokend.plugin.vault_settings import VaultSettings

    (providers, faulty_providers), (sinks, faulty_sinks) = kinds.PROVIDERS.usable(), kinds.SINKS.usable()
    left_out = [error.detail for error in (*faulty_providers, *faulty_sinks)]
    if path is not None:
        left_out += _add_files(path, providers, sinks)
    left_out += [*_drop_without_schema(providers), *_drop_without_schema(sinks)]
    models: list[type[BaseModel]] = [
        DaemonSettings,
        SocketSettings,
        VaultSettings,
        *providers.values(),
        *sinks.values(),
    ]
    references, found = models_json_schema([(model, "validation") for model in models], schema_generator=_Toml)
    definitions = _untitled(found["$defs"])
    refer = {model: references[model, "validation"] for model in models}
    # The required paths have defaults, which `load_config` fills in.
    _definition(definitions, refer[DaemonSettings]).pop("required", None)
    definitions["SecretSource"] = _secret(definitions["SecretSource"])
    for kind, model in _kinds(providers, sinks):
        _name_kind(_definition(definitions, refer[model]), kind)
    for model in providers.values():
        if "refresh_before" in model.model_fields:  # on-demand kinds have no sinks
            sinks_key = {"type": "array", "items": {"$ref": "#/$defs/sink"}}
            _definition(definitions, refer[model])["properties"]["sinks"] = sinks_key
    definitions["sink"] = _by_kind(sinks, refer)
    definitions["provider"] = _by_kind(providers, refer)
    schema = {
        "$schema": DIALECT,
        "title": "tokend's configuration",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "include": {"type": "array", "items": {"type": "string", "minLength": 1}},
            "daemon": refer[DaemonSettings],
            "sockets": {"type": "array", "items": refer[SocketSettings]},
            "vaults": {
                "type": "object",
                "propertyNames": {"pattern": NAME_PATTERN},
                "additionalProperties": refer[VaultSettings],
            },
            "providers": {
                "type": "object",
                "propertyNames": {"pattern": NAME_PATTERN},
                "additionalProperties": _or_vendor({"$ref": "#/$defs/provider"}),
            },
        },
        "$defs": definitions,
    }
    return schema, left_out


def _add_files(path: Path, providers: dict[str, Any], sinks: dict[str, Any]) -> list[str]:
    """Add the kinds of the plug-ins' files of a configuration; return a sentence for each file that is not loaded."""
    from tokend.kinds import load_config
    from tokend.plugin.plugin_file import load_plugin

    reasons = []
    for plugin in load_config(path, starting=True, reads_secrets=False).plugins:
        if plugin.error is not None:
            reasons.append(f"plug-in {plugin.file}: {plugin.error}")
        elif plugin.file is not None:
            loaded, _ = load_plugin(Path(plugin.file))
            providers.update(loaded.providers)
            sinks.update(loaded.sinks)
    return reasons


def _drop_without_schema(models: dict[str, Any]) -> list[str]:
    """Remove the kinds that have a field without a JSON schema; return a sentence for each."""
    reasons = []
    for kind, model in list(models.items()):
        if is_built_in(model):
            continue
        try:
            model.model_json_schema(schema_generator=_Toml)
        except Exception as error:
            del models[kind]
            reasons.append(f'kind "{kind}" ({model.__module__}) has no schema ({type(error).__name__})')
    return reasons


class _Toml(GenerateJsonSchema):
    """Schema without nulls, which TOML does not have, and without defaults, which TOML may write in another form."""

    def nullable_schema(self, schema: Any) -> Any:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> Any:
        return self.generate_inner(schema["schema"])


def _untitled(schema: Any) -> Any:
    """Drop pydantic's titles, which repeat each key in capitals."""
    if isinstance(schema, list):
        return [_untitled(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _untitled(one) for key, one in schema.items() if not (key == "title" and isinstance(one, str))}


def _secret(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a secret: a string, or a table with exactly one key of `PLACES`."""
    text, table = definition["anyOf"]
    together = {"age": ["identity"], "identity": ["age"], "vault": ["path"], **{key: ["vault"] for key in IN_A_VAULT}}
    places = {**table, "oneOf": [{"required": [place]} for place in PLACES], "dependentRequired": together}
    del places["description"]
    return {"description": "A secret: where it is, or (tokend check warns) itself.", "oneOf": [text, places]}


def _kinds(*tables: Mapping[str, type[BaseModel]]) -> Iterable[tuple[str, type[BaseModel]]]:
    for table in tables:
        yield from table.items()


def _name_kind(definition: dict[str, Any], kind: str) -> None:
    """Require the key ``kind`` with this value."""
    definition["properties"]["kind"] = {"const": kind}
    definition["required"] = sorted({*definition.get("required", []), "kind"})


def _by_kind(table: Mapping[str, type[BaseModel]], refer: Mapping[Any, Any]) -> dict[str, Any]:
    """Choose the schema by ``kind``. Conditions instead of oneOf: a validator then reports errors of that kind only."""
    return {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"enum": list(table)}},
        "allOf": [
            {"if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]}, "then": refer[model]}
            for kind, model in table.items()
        ],
    }


def _or_vendor(schema: dict[str, Any]) -> dict[str, Any]:
    """Allow a table with ``vendor``, whose file has what the table lacks: only `tokend check` can judge it."""
    vendor = {"anyOf": [{"type": "string"}, {"type": "object", "required": ["name"]}]}
    given = {"type": "object", "required": ["vendor"], "properties": {"vendor": vendor}}
    return {"if": {"required": ["vendor"]}, "then": given, "else": schema}


def _definition(definitions: dict[str, Any], reference: Mapping[str, Any]) -> dict[str, Any]:
    found = definitions[reference["$ref"].rpartition("/")[2]]
    assert isinstance(found, dict)  # noqa: S101  (pydantic makes an object of each model)
    return found
