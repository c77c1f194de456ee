"""`tokend schema`: what loads is valid, and what a schema can see to be wrong is not."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.cli.running import CONFIG, tokend
from tests.docs.pages import configuration
from tests.test_kinds import package
from tokend.cli.config_schema import configuration_schema

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / "config.toml.example").read_text()
# `#key = value` and `#[table]` are configuration; `# words` are prose.
UNCOMMENTED = re.sub(r"^#(?=[A-Za-z\[])", "", EXAMPLE, flags=re.MULTILINE)
KINDS = configuration(ROOT / "docs" / "kinds.md")


def wrong(document: dict[str, Any]) -> list[str]:
    """Where a configuration is invalid."""
    return [error.json_path for error in Draft202012Validator(configuration_schema()[0]).iter_errors(document)]


def test_the_command_prints_a_schema_of_2020_12() -> None:
    """What `tokend schema` prints is a schema itself."""
    done = tokend("schema")
    assert (done.code, done.err) == (0, "")
    printed = json.loads(done.out)
    assert printed["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(printed)


@pytest.mark.parametrize("text", [EXAMPLE, UNCOMMENTED, KINDS, CONFIG.format(url="https://a.example", nowhere="")])
def test_configurations_that_load_are_valid(text: str) -> None:
    """The example with and without its comment signs, the KINDS's, the tests' own."""
    assert wrong(tomllib.loads(text)) == []


def test_a_table_with_a_vendor_is_left_to_the_check() -> None:
    """Its kind and what else it lacks are in the vendor's file."""
    assert wrong(tomllib.loads('[providers.a]\nvendor = "github"\nclient_id = "x"\n')) == []
    assert wrong(tomllib.loads("[providers.a]\nvendor = {}\n")) == ["$.providers.a.vendor"]


HEAD = '[providers.a]\nkind = "jwt"\n'


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[demon]\n", "$"),
        ('[daemon]\nsocket_mod = "0660"\n', "$.daemon"),
        ('[providers.A]\nkind = "jwt"\nsecret = "s"\n', "$.providers"),
        ('[providers.a]\nsecret = "s"\n', "$.providers.a"),
        ('[providers.a]\nkind = "jwtt"\nsecret = "s"\n', "$.providers.a.kind"),
        (HEAD, "$.providers.a"),
        (HEAD + 'secret = ""\n', "$.providers.a.secret"),
        (HEAD + 'secret = {}\n', "$.providers.a.secret"),
        (HEAD + 'secret = { env = "A", file = "b" }\n', "$.providers.a.secret"),
        (HEAD + 'secret = { env = "A", token = "b" }\n', "$.providers.a.secret"),
        (HEAD + 'secret = { age = "a" }\n', "$.providers.a.secret"),
        (HEAD + 'secret = "s"\nttl = 15\n', "$.providers.a.ttl"),
        (HEAD + 'secret = "s"\nttl = "15"\n', "$.providers.a.ttl"),
        (HEAD + 'secret = "s"\nrefresh_before = "100%"\n', "$.providers.a.refresh_before"),
        (HEAD + 'secret = "s"\n[[providers.a.sinks]]\nkind = "raw"\n', "$.providers.a.sinks[0]"),
        (HEAD + 'secret = "s"\n[[providers.a.sinks]]\nkind = "row"\npath = "a"\n', "$.providers.a.sinks[0].kind"),
        ('[providers.a]\nkind = "auth-token"\nclient_secret = "s"\nsinks = []\n', "$.providers.a"),
    ],
)  # fmt: skip
def test_what_can_be_seen_to_be_wrong_is_invalid_there(text: str, place: str) -> None:
    """Unknown keys, missing ones, bare numbers, secrets with two places: each where it stands."""
    assert place in wrong(tomllib.loads(text))


UNUSABLE = {
    "not importable": ("import sys\nsys.exit(3)\n", "SystemExit"),
    "without a schema": (
        "from tokend.plugin.authoring import HeldSettings\n"
        "class Odd:\n    pass\n"
        "class Faulty(HeldSettings):\n"
        "    odd: Odd\n"
        "    async def fetch(self, runtime, previous):\n        raise NotImplementedError\n",
        "has no schema (PydanticInvalidForJsonSchema)",
    ),
}


@pytest.mark.parametrize(("source", "said"), UNUSABLE.values(), ids=UNUSABLE)
def test_an_unusable_kind_is_left_out(tmp_path: Path, source: str, said: str) -> None:
    """The schema of all other kinds is printed; a line on stderr names the kind that is missing."""
    package(tmp_path, source, name="faulty", value="faulty_schema:Faulty", module="faulty_schema")
    done = subprocess.run(
        [sys.executable, "-m", "tokend", "schema"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])},
    )
    assert done.returncode == 0, done.stderr
    kinds = json.loads(done.stdout)["$defs"]["provider"]["properties"]["kind"]["enum"]
    assert "jwt" in kinds
    assert "faulty" not in kinds
    assert done.stderr.startswith('tokend: left out: kind "faulty"')
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
