"""`tokend check --show`: the table in force, whose keys come from where, and no secret."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_check import tokend
from tests.config.written import written
from tokend.cli.commands import main

LITERAL = "fake-literal"
CONFIG = f"""\
[providers.hub]
vendor = "github"
client_id = "Iv23liExample"
refresh_before = "10m"

[[providers.hub.sinks]]
kind = "raw"
path = "out/hub"

[[providers.hub.sinks]]
kind = "http"
auth = "{LITERAL}"
request = {{ method = "PUT", url = "https://s.example/hub", json = {{ v = "{{value}}", secret = "{LITERAL}" }} }}

[providers.acme]
kind = "http"

[providers.acme.secrets]
key = {{ file = "/nonexistent/key" }}
other = "{LITERAL}"
more = {{ command = ["op", "read", "{LITERAL}"] }}
odd = {{ env = "fake{"k9XqT4vLw2ZpR7mB8nC3dF6g"}" }}

[providers.acme.request]
method = "POST"
url = "https://api.acme.example/x"
headers = {{ X-Key = "{{key}}", X-Pass = "{LITERAL}", X-App = "desk", X-Token = "" }}
form = {{ id = "k9XqT4vLw2ZpR7mB8nC3dF6g" }}

[providers.acme.answer]
token = "data.token"

[providers.px]
kind = "projectx"
username = {{ env = "NOT_SET" }}
api_key = {{ credential = "no-key" }}
proxy = "http://user:{LITERAL}@127.0.0.2:8080"
"""
RANDOM = "k9XqT4vLw2ZpR7mB8nC3dF6g"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The configuration, none of whose secrets can be read."""
    return written(tmp_path, CONFIG)


def shown(path: Path, name: str, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    """Return what is printed, which holds no secret."""
    assert main(["check", "--show", name, *more, str(path)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert LITERAL not in out
    assert RANDOM not in out
    return out


def table(text: str, name: str) -> Any:
    """Return the table as a parser reads it."""
    return tomllib.loads(text)["providers"][name]


def test_keys_of_the_vendor_are_marked(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The user's keys are not, and win."""
    text = shown(path, "hub", capsys)
    assert text.startswith(f'# {path}:1\n# what is marked comes from vendor "github"\n')
    assert 'kind = "oauth2"  # vendor github\n' in text
    assert 'refresh_before = "10m"\n' in text
    found = table(text, "hub")
    assert found["client_id"] == "Iv23liExample"
    assert found["sinks"][0] == {"kind": "raw", "path": "out/hub"}
    assert found["sinks"][1]["auth"] == "…"
    assert found["sinks"][1]["request"]["json"] == {"v": "{value}", "secret": "…"}
    assert "vendor" not in found


def test_secrets_are_places_and_literals_are_hidden(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also a secret that stands where a name or a text belongs."""
    found = table(shown(path, "acme", capsys), "acme")
    assert found["secrets"] == {
        "key": {"file": "/nonexistent/key"},
        "other": "…",
        "more": {"command": ["op", "…", "…"]},
        "odd": {"env": "(not shown)"},
    }
    assert found["request"]["headers"] == {"X-Key": "{key}", "X-Pass": "…", "X-App": "desk", "X-Token": ""}
    assert found["request"]["form"] == {"id": "…"}
    assert found["answer"] == {"token": "data.token"}
    assert table(shown(path, "px", capsys), "px") == {
        "kind": "projectx",
        "username": {"env": "NOT_SET"},
        "api_key": {"credential": "no-key"},
        "proxy": "…",
    }


def test_json_has_the_table_and_what_is_the_vendors(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For programs."""
    answer = json.loads(shown(path, "hub", capsys, "-o", "json"))
    assert (answer["version"], answer["name"], answer["vendor"]) == (1, "hub", "github")
    assert "token_url" in answer["from_vendor"]
    assert "refresh_before" not in answer["from_vendor"]
    assert answer["table"]["refresh_before"] == "10m"
    plain = json.loads(shown(path, "px", capsys, "-o", "json"))
    assert (plain["vendor"], plain["vendor_file"], plain["from_vendor"]) == (None, None, [])


def test_an_unknown_name_and_a_wrong_file_are_exit_code_2(path: Path) -> None:
    """The near miss; the errors as `check` reports them; no other way of checking beside it."""
    done = tokend("check", "--show", "hup", str(path))
    assert done.returncode == 2
    assert 'there is no provider "hup"; did you mean "hub"?' in done.stderr
    assert tokend("check", "--show", "hub", "--plan", str(path)).returncode == 2
    path.write_text(path.read_text() + "timout = 5\n")
    done = tokend("check", "--show", "hub", str(path))
    assert (done.returncode, done.stdout) == (2, "")
    assert 'did you mean "timeout"?' in done.stderr
