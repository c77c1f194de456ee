"""`tokend check --plan`: what a reload to a file would change, asked of the running daemon."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.one_provider import CONFIG
from tests.cli.running import SOMEBODY, Running, as_root, lines, tokend, tokend_as
from tokend.client import BadRequestError

TWO = """
[providers.two]
kind = "jwt"
secret = {{ file = "secrets/partner" }}
claims = {{ clientId = "two" }}
"""


def beside(own: Running, text: str) -> Path:
    """Write another configuration beside the one in force."""
    path = own.directory / "next.toml"
    path.write_text(text.format())
    path.chmod(0o600)
    return path


def test_a_file_that_is_not_in_force_is_planned_and_nothing_changes(own: Running) -> None:
    """Providers by name, and the keys that need a restart; exit code 0. The watcher has nothing to do with it."""
    text = CONFIG.replace('"15m"', '"14m"').replace("tokend.sock", "other.sock") + TWO
    path = beside(own, text)
    done = own.tokend("check", "--plan", str(path))
    assert (done.code, done.err) == (0, "")
    assert lines(done.out) == [
        "change   one",
        "add      two",
        "restart needed for daemon.socket: until then the values of the last start hold",
    ]
    answer = json.loads(own.tokend("check", str(path), "--plan", "-o", "json").out)
    assert answer["restart_needed"] == ["daemon.socket"]
    assert [step["name"] for step in answer["plan"]] == ["one", "two"]
    status = own.client.status()
    assert [row["name"] for row in status["tokens"]] == ["one"]
    assert (status["config"]["error"], status["config"]["restart_needed"]) == (None, [])


def test_without_a_file_the_plan_is_that_of_the_configuration_in_force(own: Running) -> None:
    """Which has been applied, so that nothing would change."""
    done = own.tokend("check", "--plan")
    assert (done.code, done.out) == (0, "nothing would change\n")
    assert own.tokend("check", "--plan", str(own.config)).out == "nothing would change\n"


def test_errors_of_the_file_are_exit_code_2_with_places_and_without_its_lines(own: Running) -> None:
    """In text and in JSON."""
    path = beside(own, CONFIG + "planted = 1\n")
    done = own.tokend("check", "--plan", str(path))
    assert (done.code, done.out) == (2, "")
    assert lines(done.err)[0].startswith(f'{path}:16:1: unknown key "planted"')
    assert lines(done.err)[1:] == ["1 error"]
    answer = json.loads(own.tokend("check", "--plan", "-o", "json", str(path)).out)
    assert (answer["ok"], answer["errors"][0]["line"]) == (False, 16)
    missing = own.tokend("check", "--plan", str(own.directory / "missing.toml"))
    assert (missing.code, missing.out) == (2, "")
    assert "the daemon cannot read it: No such file or directory" in missing.err
    assert own.client.status()["config"]["error"] is None


@as_root
def test_only_root_and_the_daemon_s_user_may_name_a_file(own: Running) -> None:
    """An admin may plan the configuration in force, and read no other file with the daemon's eyes: exit code 6."""
    where = str(own.socket)
    own.config.write_text(CONFIG.format().replace("[providers", f'admins = ["{SOMEBODY}"]\n\n[providers', 1))
    assert own.tokend("reload").code == 0
    assert tokend_as(SOMEBODY, "reload", "--dry-run", TOKEND_SOCKET=where).code == 0
    done = tokend_as(SOMEBODY, "check", "--plan", "/etc/shadow", TOKEND_SOCKET=where)
    assert (done.code, done.out) == (6, "")
    assert f"only root and the daemon's user may plan another file: your uid {SOMEBODY} is neither" in done.err


def test_a_path_has_to_be_absolute_and_is_only_for_a_dry_run(own: Running) -> None:
    """Any other request is 400, and changes nothing."""
    wrong: tuple[tuple[str, dict[str, Any]], ...] = (
        ("?dry_run=true", {"path": "next.toml"}),
        ("?dry_run=true", {"path": 5}),
        ("?dry_run=true", {"path": "/a\0b"}),
        ("", {"path": str(own.config)}),
        ("?dry_run=true", {"paths": []}),
    )
    for query, body in wrong:
        with pytest.raises(BadRequestError) as caught:
            own.client.call("POST", "/v1/reload" + query, body)
        assert caught.value.code == "bad_request"


def test_without_a_daemon_it_is_3() -> None:
    """Planning is the daemon's work."""
    assert tokend("check", "--plan", TOKEND_SOCKET="/nonexistent.sock").code == 3
