"""JSON schemas of all models of settings."""

from typing import Any

import pytest

from tokend import kinds
from tokend.config import DaemonSettings
from tokend.plugin.secret_source import PLACES

PROVIDERS, SINKS = kinds.PROVIDERS.all(), kinds.SINKS.all()


@pytest.mark.parametrize("model", [DaemonSettings, *PROVIDERS.values(), *SINKS.values()])
def test_every_model_has_a_json_schema_of_its_toml_keys(model: type[Any]) -> None:
    """A duration is a string; a secret is a string or a table; each key of the schema is a TOML key."""
    schema = model.model_json_schema()
    assert set(schema["properties"]) == {field.alias or name for name, field in model.model_fields.items()}
    assert schema["additionalProperties"] is False
    if "timeout" in schema["properties"]:
        assert schema["properties"]["timeout"]["type"] == "string"
    if secret := schema.get("$defs", {}).get("SecretSource"):
        string, table = secret["anyOf"]
        assert string["type"] == "string"
        beside = {"identity", "mount", "path", "field", "select", "encoding"}
        assert set(table["properties"]) == {*PLACES, *beside}
