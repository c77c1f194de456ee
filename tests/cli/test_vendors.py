"""`tokend vendors`: the list, a table to paste, own files, and their errors."""

import json
import tomllib
from pathlib import Path

from tests.cli.test_check import tokend
from tests.cli.test_vendor_table import FILE
from tests.config.written import written


def test_the_list_has_a_line_for_each_vendor_and_what_it_needs() -> None:
    """Without a configuration, a daemon or a network."""
    done = tokend("vendors", "--config", "/nonexistent/config.toml")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    number = next(number for number, line in enumerate(lines) if line.startswith("schwab "))
    assert lines[number].split()[:2] == ["schwab", "oauth2"]
    assert lines[number + 1].split() == ["needs", "client_id,", "client_secret,", "redirect_uri"]


def test_a_vendor_is_a_table_to_paste() -> None:
    """What is printed is TOML; an unknown one has a near miss."""
    done = tokend("vendors", "schwab")
    assert tomllib.loads(done.stdout)["providers"]["schwab"]["vendor"] == "schwab"
    done = tokend("vendors", "schwap")
    assert (done.returncode, done.stdout) == (2, "")
    assert 'did you mean "schwab"?' in done.stderr


def test_own_vendors_stand_beside_the_configuration(tmp_path: Path) -> None:
    """They are listed and shown like tokend's; JSON has their file."""
    path, own = written(tmp_path, ""), written(tmp_path, FILE, name="vendors/demo.toml")
    assert "demo " in tokend("vendors", "--config", str(path)).stdout
    found = json.loads(tokend("vendors", "demo", "-o", "json", "--config", str(path)).stdout)
    assert (found["version"], found["name"], found["file"]) == (1, "demo", str(own))
    assert found["placeholders"]["version"] == {"pattern": "v1|v2", "default": "v1", "meaning": ""}
    assert found["table"].endswith('[providers.demo.answer]\ntoken = "access_token"\n')
    rows = {
        row["name"]: row for row in json.loads(tokend("vendors", "-o", "json", "--config", str(path)).stdout)["vendors"]
    }
    assert rows["schwab"]["file"] is None
    assert rows["demo"]["environments"] == ["live", "sim"]


def test_errors_of_own_files_are_reported_with_their_places(tmp_path: Path) -> None:
    """Exit code 2, all at once; a kind that does not exist, too."""
    path = written(tmp_path, "")
    bad = written(tmp_path, FILE.replace("kind =", "knd ="), name="vendors/demo.toml")
    done = tokend("vendors", "--config", str(path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{bad}:")
    written(tmp_path, FILE.replace('"oauth2"', '"oauth3"'), name="vendors/demo.toml")
    done = tokend("vendors", "demo", "--config", str(path))
    assert done.returncode == 2
    assert 'there is no kind "oauth3"' in done.stderr


def test_init_takes_vendors_beside_kinds(tmp_path: Path) -> None:
    """Their tables follow those of the kinds."""
    done = tokend("init", "tt", "schwab", "--output", "-")
    providers = tomllib.loads(done.stdout)["providers"]
    assert list(providers) == ["tt", "schwab"]
    assert done.stdout.startswith("# tokend: a configuration for tt, schwab.\n")
    done = tokend("init", "schwap", "--output", "-")
    assert done.returncode == 2
    assert 'did you mean "schwab"?' in done.stderr


def test_a_shell_completes_the_names() -> None:
    """Of the vendors, and for `init` of the kinds as well."""
    words = {"_TOKEND_COMPLETE": "bash_complete", "COMP_CWORD": "2"}
    assert tokend(environ={**words, "COMP_WORDS": "tokend vendors schw"}).stdout.split() == ["plain,schwab"]
    assert tokend(environ={**words, "COMP_WORDS": "tokend init t"}).stdout.split()[:1] == ["plain,tt"]
