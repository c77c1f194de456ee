"""Ready tables of vendors: what `check` takes once the values are filled in."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.config.written import written
from tokend.cli.vendor_table import example_of, ready_table, without_example
from tokend.cli.vendors import known_vendors, table_of
from tokend.config import InvalidConfigError, load
from tokend.config.config_files import read_document
from tokend.config.findings import Findings
from tokend.config.toml_messages import Vocabulary
from tokend.config.vendor_file import Vendor, read_vendor
from tokend.kinds import PROVIDERS, SINKS
from tokend.providers.oauth2.kind import OAuth2

LOOKUP, _ = known_vendors("/nonexistent/config.toml")
FILE = """\
title = "A vendor of tests with a title that is long enough to be broken at the end of a line, here and there"
docs = "https://vendor.example/docs"
checked = 2026-11-30
notes = ["One thing.", "Another thing."]

[needs]
client_id = "the app's key"
client_secret = ""
scope = 'what it may do, as in ["read", "write"]'
"answer.token" = 'as "access_token"'

[placeholders.region]
pattern = "[a-z]{2}"
meaning = "the region"

[placeholders.version]
pattern = "v1|v2"
default = "v1"

[provider]
kind = "oauth2"
grant = "client_credentials"
token_url = "https://{region}.vendor.example/{version}/token"

[environments.live]

[environments.sim]
token_url = "https://sim.vendor.example/token"
"""


def vendor(path: Path) -> Vendor:
    """Read the file of a vendor."""
    findings = Findings()
    document = read_document(path, findings, lambda: Vocabulary(frozenset(), frozenset()), reloading=False)
    assert document is not None
    found = read_vendor("demo", document, findings, is_built_in=False)
    assert found is not None, findings.errors
    return found


@pytest.mark.parametrize("name", LOOKUP.names())
def test_the_table_of_each_vendor_is_a_configuration(name: str, tmp_path: Path) -> None:
    """As it is printed; only what is written as … may be refused."""
    found = LOOKUP.get(name)
    assert found is not None
    text = table_of(found)
    table = tomllib.loads(text)["providers"][name]
    open_keys = [key for key, value in table.items() if "…" in str(value)]
    path = written(tmp_path, text)
    try:
        load(path, providers=PROVIDERS, sinks=SINKS, environ={}, starting=True, reads_secrets=False)
    except InvalidConfigError as error:
        assert {one.where[2] for one in error.errors} <= {*open_keys}


def test_a_table_has_what_the_vendor_says_and_asks(tmp_path: Path) -> None:
    """Comments above; a key for each need: a secret's place where the kind has one, an example where there is one."""
    text = ready_table(vendor(written(tmp_path, FILE)), OAuth2, "mine")
    assert max(map(len, text.splitlines())) <= 100
    head, _, table = text.partition("[providers.mine]\n")
    assert head.startswith("# A vendor of tests")
    assert "# https://vendor.example/docs\n# checked 2026-11-30\n# - One thing.\n# - Another thing.\n" in head
    assert '# - environment = "live" or "sim"\n' in head
    assert '# - vendor = { name = "demo", version = "…" }: v1|v2; default "v1"\n' in head
    assert table.splitlines() == [
        'vendor = { name = "demo", region = "…" }  # region: the region',
        'client_id = "…"  # the app\'s key',
        'client_secret = { credential = "mine-client-secret" }',
        'scope = ["read", "write"]  # what it may do',
        "",
        "[providers.mine.answer]",
        'token = "access_token"',
    ]


@pytest.mark.parametrize(
    ("meaning", "example", "rest"),
    [
        ('the URL, as "https://a.example"', "https://a.example", "the URL"),
        ('as in ["a", "b"]', ["a", "b"], None),
        ("as a number", None, "as a number"),
        ("a number, as 8", 8, "a number"),
        ('as in ["a" b]', None, 'as in ["a" b]'),
        ('the word "as"', None, 'the word "as"'),
    ],
)
def test_an_example_in_the_words_becomes_the_value(meaning: str, example: Any, rest: str | None) -> None:
    """The words beside it are what is left."""
    assert example_of(meaning) == example
    assert without_example(meaning) == rest
