"""The page of declared requests: its tables are configurations, and its names and values are those of the program."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks
from tests.plugin.declared.signing_tables import AT, filled, request_of, values_of
from tokend import config
from tokend.kinds import PROVIDERS, SINKS
from tokend.plugin.declared.built_in_names import BUILT_IN, COUNTERS, Moment
from tokend.plugin.declared.computed_value import ComputedValue, Part
from tokend.plugin.declared.parameters import Parameter
from tokend.plugin.declared.placeholders import Value
from tokend.values.secret import Secret

PAGE = ROOT / "docs/requests.md"
TEXT = PAGE.read_text(encoding="utf-8")
SECRETS = ("user", "password", "key", "secret", "passphrase", "seed", "window")


def section(title: str) -> str:
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_each_table_is_a_configuration(tmp_path: Path) -> None:
    """One after another; what is declared is all that is wrong with none of them."""
    tables = blocks(PAGE, "toml")
    assert tables
    for block in tables:
        file = tmp_path / "config.toml"
        file.write_text(re.sub(r"\{ (file|credential) = \"[^\"]*\"", '{ env = "PATH"', block.text), encoding="utf-8")
        file.chmod(0o600)
        config.load(file, providers=PROVIDERS, sinks=SINKS)


def test_each_built_in_name_stands_in_the_table_of_names() -> None:
    """And no other."""
    rows = [line.split("|")[1] for line in section("Names").splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} - {"token"} == set(BUILT_IN)


def test_each_key_of_a_value_a_part_and_a_parameter_is_described() -> None:
    """In code, in its section."""
    for title, model in (("Values", ComputedValue), ("Values", Part), ("Parameters", Parameter)):
        fields = set(model.model_fields) - {"name"}
        assert fields <= set(re.findall(r"\b(\w+)\b", " ".join(re.findall(r"`([^`]+)`", section(title)))))


SCHEMES = re.findall(r"^\| ([\w .-]+) \| (.*) \|$", section("Values").partition("| scheme |")[2], re.MULTILINE)


@pytest.mark.parametrize(("scheme", "written"), SCHEMES, ids=[scheme for scheme, _ in SCHEMES])
def test_each_scheme_is_a_value_that_can_be_computed(scheme: str, written: str) -> None:
    """Its first keys; ``digest`` is the value that the row of Gate describes."""
    del scheme
    keys = re.findall(r"`((?:hmac|hash|totp|parts|separator|output|prefix) = (?:\"[^\"]*\"|\[.*?\]))`", written)
    table: dict[str, object] = {}
    for key in keys:
        for name, value in tomllib.loads(key).items():
            table.setdefault(name, value)
    if not table:
        return  # the same as the row above
    if "hmac" in table:
        table["key"] = "secret"
        table.pop("hash", None)
    values = values_of({"signature": table, "digest": {"hash": "sha512", "parts": ["body"]}})
    given: dict[str, Value] = {name: Secret(f"fake-{name}") for name in SECRETS}
    request = request_of({"headers": {"S": "{signature}"}, "query": {"a": "b"}})
    assert filled(request, values, given, Moment(AT, dict.fromkeys(COUNTERS, 7))).headers["S"]
