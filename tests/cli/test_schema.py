"""`tokend schema`: the command, which prints the schema and names the kinds that it leaves out."""

import json
from pathlib import Path

from tests.cli.running import tokend
from tests.config.written import written
from tests.docs.test_config_example import PLUGIN


def test_the_schema_is_printed_as_json() -> None:
    """On standard output, alone."""
    done = tokend("schema")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["title"] == "tokend's configuration"


def test_the_schema_has_the_kinds_of_the_files_that_a_configuration_names(tmp_path: Path) -> None:
    """A file that cannot be loaded is named on standard error; so is a configuration that cannot be read."""
    written(tmp_path, PLUGIN, name="acme.py")
    written(tmp_path, "raise ValueError", name="other.py")
    config = written(tmp_path, '[daemon]\nplugins = ["acme.py", "other.py"]\n')
    done = tokend("schema", "--config", str(config))
    assert done.code == 0
    assert "acme" in json.loads(done.out)["$defs"]["provider"]["properties"]["kind"]["enum"]
    assert f"left out: plug-in {tmp_path}/other.py: this plug-in cannot be loaded: ValueError" in done.err
    none = tokend("schema", "--config", f"{tmp_path}/none.toml")
    assert (none.code, none.out, "no configuration at" in none.err) == (2, "", True)
