"""A secret that is a part of a JSON content, by one JMESPath expression."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.config.written import PARTNER, loaded, only, refused, written
from tests.plugin.test_secret_reading import PLANTED, source
from tokend.plugin.secret_inspection import inspect_secret
from tokend.plugin.secret_reading import read_secret
from tokend.values.errors import SecretError

CONTENT = {"private_key": PLANTED, "number": 17, "parts": [{"name": "a", "key": "x"}, {"name": "b", "key": "eA=="}]}


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("private_key", PLANTED),
        ("number", "17"),
        ("parts[?name=='a'].key | [0]", "x"),
        ("join('.', parts[].name)", "a.b"),
        ("`1.5`", "1.5"),
    ],
)
def test_the_secret_is_what_the_expression_finds(tmp_path: Path, expression: str, found: str) -> None:
    """A string as it is, a number as JSON writes it."""
    (tmp_path / "key.json").write_text(json.dumps(CONTENT, indent=2))
    assert read_secret(source({"file": "key.json", "select": expression}, str(tmp_path))).reveal() == found


def test_each_place_with_a_content_takes_an_expression(tmp_path: Path) -> None:
    """The content is decoded after the selection."""
    text = json.dumps(CONTENT)
    (tmp_path / "key").write_text(text)
    environ = {"KEY": text, "CREDENTIALS_DIRECTORY": str(tmp_path)}
    for place in (
        {"env": "KEY"},
        {"file": "key"},
        {"credential": "key"},
        {"command": [sys.executable, "-c", f"print({text!r})"]},
    ):
        made = source({**place, "select": "parts[1].key", "encoding": "base64"}, str(tmp_path))
        assert read_secret(made, environ).reveal() == "x"


@pytest.mark.parametrize(
    ("content", "expression", "why"),
    [
        (json.dumps(CONTENT), "privat_key", 'select = "privat_key" finds nothing'),
        (json.dumps(CONTENT), "parts", 'select = "parts" finds an array: a secret is a string or a number'),
        (json.dumps(CONTENT), "parts[0]", "finds an object"),
        (json.dumps(CONTENT), "number == `17`", "finds true or false"),
        (json.dumps({"private_key": ""}), "private_key", "is empty"),
        (PLANTED, "private_key", 'is no JSON, which select = "private_key" needs'),
        (f'\ufeff"{PLANTED}"', "@", "is no JSON: it begins with a byte order mark"),
        (json.dumps(["planted-fake"] * 4000), "[].[@, @, @, @, @, @, @, @, @, @][]", "visits too many nodes"),
        (json.dumps(CONTENT), f"{'a' * 100}", f'"{"a" * 80}…" finds nothing'),
    ],
)
def test_an_error_names_place_and_expression_and_never_the_content(content: str, expression: str, why: str) -> None:
    """A content that is no JSON may be the secret itself."""
    with pytest.raises(SecretError) as raised:
        read_secret(source({"env": "KEY", "select": expression}), {"KEY": content})
    assert why in raised.value.detail
    assert raised.value.detail.startswith("environment variable KEY")
    assert "planted-fake" not in raised.value.detail


def test_an_expression_stands_beside_a_content() -> None:
    """A token is no JSON; an expression must compile."""
    with pytest.raises(ValidationError, match="a token is no JSON content"):
        source({"token": "login", "select": "a"})
    for wrong in ("a..b", "", 5, "unknown(@)"):
        with pytest.raises(ValidationError):
            source({"env": "KEY", "select": wrong})


def test_another_expression_is_another_secret() -> None:
    """A reload compares the places; the text of the expression belongs to them."""
    one, other = (source({"env": "KEY", "select": text}) for text in ("a", "b"))
    assert one == source({"env": "KEY", "select": "a"}) != other


def test_oddities_are_those_of_the_selected_text(tmp_path: Path) -> None:
    """A JSON document may have lines and quotes; the secret in it may not."""
    (tmp_path / "key").write_text(json.dumps({"good": PLANTED, "bad": f" {PLANTED}"}, indent=1))
    (tmp_path / "key").chmod(0o600)
    found = inspect_secret("key", source({"file": "key", "select": "good"}, str(tmp_path)))
    assert (found.error, found.warnings) == (None, ())
    [warning] = inspect_secret("key", source({"file": "key", "select": "bad"}, str(tmp_path))).warnings
    assert "begins with white space" in warning.message
    assert PLANTED not in warning.message


def test_a_configuration_says_where_an_expression_is_wrong(tmp_path: Path) -> None:
    """With line and column, and what to write."""
    wrong = PARTNER.replace('{ env = "KEY" }', '{ env = "KEY", select = "a." }')
    problem = only(refused(written(tmp_path, wrong)))
    assert (problem.line, problem.column) == (3, 25)
    assert "not JMESPath" in problem.message
    missing = PARTNER.replace('{ env = "KEY" }', '{ env = "JSON", select = "key" }')
    problem = only(refused(written(tmp_path, missing), environ={"JSON": '{"kee": "planted-fake"}'}))
    assert 'environment variable JSON: select = "key" finds nothing' in problem.message
    assert "planted-fake" not in str(problem)


def test_jmespath_is_imported_by_an_expression_only(tmp_path: Path) -> None:
    """An idle daemon imports no library for what its configuration does not use."""
    program = (
        "import sys; from pydantic import BaseModel; from tokend.plugin.secret_source import SecretField;"
        "M = type('M', (BaseModel,), {'__annotations__': {'secret': SecretField}});"
        "M(secret={'env': 'KEY'}); print('jmespath' in sys.modules, 'tokend.plugin.declared' in sys.modules);"
        "M(secret={'env': 'KEY', 'select': 'a'}); print('jmespath' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False", "False", "True"]


def test_a_provider_reads_its_part_of_a_key_file(tmp_path: Path) -> None:
    """As of a service account: one file, several secrets."""
    (tmp_path / "key.json").write_text(json.dumps({"secret": "obviously-fake-secret-of-32-bytes"}))
    (tmp_path / "key.json").chmod(0o600)
    text = PARTNER.replace('{ env = "KEY" }', '{ file = "./key.json", select = "secret" }')
    config = loaded(written(tmp_path, text))
    assert config.warnings == ()
    assert config.secret_files == (tmp_path / "key.json",)
