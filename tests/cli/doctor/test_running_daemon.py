"""`tokend doctor` beside a real daemon, and without one: findings, advice, exit codes."""

import grp  # noqa: F401  (another user may not be able to import it)
import json
import os
from collections.abc import Sequence
from typing import Any

import pytest

from tests.cli.one_provider import CONFIG, own
from tests.cli.running import SOMEBODY, Running, as_root, eventually, running, tokend, write_config
from tests.client.fake_daemon import answering, http
from tests.expecting import present
from tokend import __version__
from tokend.cli.as_user import Identity, run_as
from tokend.cli.doctor.running_daemon import Daemon, ask, findings, identity_of_daemon, is_of_unit

__all__ = ["own", "running"]


def found(text: str) -> dict[str, list[dict[str, str]]]:
    """The findings by code. Each has a level, a message, and advice."""
    answer = json.loads(text)
    assert answer["version"] == 1
    by_code: dict[str, list[dict[str, str]]] = {}
    for one in answer["findings"]:
        assert set(one) == {"level", "code", "message", "advice"}
        assert one["level"] in {"info", "warning", "error"}
        assert one["message"]
        assert one["advice"]
        by_code.setdefault(one["code"], []).append(one)
    return by_code


def test_a_daemon_that_is_well_has_no_errors(own: Running) -> None:
    """Exit code 0, also with warnings; the daemon's configuration is found by its command."""
    done = own.tokend("doctor", "-o", "json")
    codes = found(done.out)
    assert (done.code, done.err) == (0, "")
    assert {"version", "user", "daemon", "config", "state_directory", "socket", "extras"} <= codes.keys()
    assert codes["config"][0]["message"] == f"{own.config}: 1 provider, no errors"
    assert str(own.socket) in codes["daemon"][0]["message"]
    assert "version_differs" not in codes  # the daemon is of the same version
    text = own.tokend("doctor")
    assert text.code == 0
    assert text.out.splitlines()[-1].startswith("0 errors, ")


def test_what_fails_is_an_error_with_advice(running: Running) -> None:
    """Exit code 1. Rejected credentials, a token that is missing, with what to do."""
    running.becomes("refused", "rejected")
    done = running.tokend("doctor", "-o", "json")
    codes = found(done.out)
    assert done.code == 1
    [rejected] = codes["token_rejected"]
    assert (rejected["level"], rejected["advice"]) == ("error", "correct the credentials, then: tokend refresh refused")
    assert [one["message"].split(":")[0] for one in codes["token_missing"]] == ["away"]
    # A warning of the configuration is there once: where it has its place, not from the status again.
    assert codes["plain_http"]
    assert all(one["message"].startswith(f"{running.config}:") for one in codes["plain_http"])


def test_a_refused_configuration_and_keys_for_a_restart_are_found(own: Running) -> None:
    """The daemon has the one, the file on disk the other: exit code 2."""
    write_config(own.directory, CONFIG.replace("0666", "0660"))
    assert own.tokend("reload").code == 0
    done = own.tokend("doctor", str(own.config), "-o", "json")
    assert (done.code, found(done.out)["restart_needed"][0]["level"]) == (0, "warning")
    write_config(own.directory, CONFIG + "zzz = 1\n")
    assert eventually(lambda: own.client.status()["config"]["error"] is not None)
    done = own.tokend("doctor", "-o", "json")
    codes = found(done.out)
    assert (done.code, codes["config_refused"][0]["level"]) == (2, "error")
    assert 'unknown key "zzz"' in codes["config_invalid"][0]["message"]


def test_without_daemon_and_configuration_it_says_what_to_do(own: Running) -> None:
    """No daemon is a warning, no configuration an error: exit code 2."""
    nowhere = str(own.directory / "none.sock")
    done = tokend("doctor", "-o", "json", TOKEND_SOCKET=nowhere, TOKEND_CONFIG=str(own.directory / "none.toml"))
    codes = found(done.out)
    assert done.code == 2
    assert (codes["not_running"][0]["level"], codes["config_missing"][0]["level"]) == ("warning", "error")
    assert codes["config_missing"][0]["advice"] == "tokend init writes one"


@as_root
def test_a_user_without_the_socket_s_group_is_told_which(own: Running) -> None:
    """The kernel refuses the connection."""
    own.socket.chmod(0o660)
    somebody = Identity("somebody", SOMEBODY, SOMEBODY, ())
    denied = present(run_as(somebody, lambda: ask(str(own.socket)).trouble))
    assert (denied.level, denied.code) == ("warning", "socket_denied")
    assert "add this user to the group of the socket (root)" in denied.advice


def row(**changes: Any) -> dict[str, Any]:
    base = {
        "name": "a", "state": "valid", "valid": True, "required": True, "last_error": None, "sinks": [], "warnings": [],
    }  # fmt: skip
    return {**base, **changes}


def of(*rows: dict[str, Any], **more: Any) -> Sequence[tuple[str, str]]:
    status = {"ready": True, "config": {"error": None}, "tokens": list(rows), **more}
    return [(one.level, one.code) for one in findings(Daemon("/s", None, status, __version__, 7, 0))][1:]


def test_pauses_offsets_warnings_sinks_and_listeners_are_findings() -> None:
    """Optional tokens and sinks are warnings only. The learned difference of a clock is one of the status' warnings."""
    sink = {"state": "failing", "required": False, "target": "/x", "path": "/x", "error": "full"}
    assert of(row(paused_until="2026-01-01T00:00:00Z", paused_by="api.example")) == [("warning", "paused")]
    offset = {"code": "upstream_clock", "message": "the clock of api.example is 1 h ahead of this machine's"}
    assert of(row(warnings=[offset])) == [("warning", "upstream_clock")]
    assert of(row(warnings=[{"code": "odd_secret", "message": "it ends with a space"}])) == [("warning", "odd_secret")]
    assert of(row(sinks=[sink])) == [("warning", "sink_failing")]
    assert of(row(sinks=[{**sink, "required": True}])) == [("error", "sink_failing")]
    assert of(row(state="expired", valid=False, required=False)) == [("warning", "token_missing")]
    assert of(row(state="failing")) == [("warning", "token_failing")]
    assert of(row(state="on_demand", valid=False)) == []
    login = {"command": "tokend login a"}
    assert of(row(state="login_required", login=login)) == [("error", "login_required")]
    listener = {"name": "loopback", "address": "127.0.0.1:1", "state": "failing", "error": "in use"}
    assert of(listeners=[listener]) == [("error", "listener_failing")]
    plugin = {"file": "/p/acme.py", "package": None, "version": None, "providers": ["acme"], "sinks": [], "error": None}
    assert of(plugins=[plugin]) == [("info", "plugin")]
    assert of(plugins=[{**plugin, "error": "SyntaxError"}]) == [("error", "plugin")]


def test_the_user_and_the_groups_of_a_process_are_the_kernel_s_word() -> None:
    """Not those of the user database. A test belongs to no unit of tokend."""
    me = Daemon("/s", None, pid=os.getpid())
    identity = present(identity_of_daemon(me))
    assert (identity.uid, identity.gid, set(identity.groups)) == (os.geteuid(), os.getegid(), set(os.getgroups()))
    assert identity_of_daemon(Daemon("/s", None, pid=None)) is None
    assert not is_of_unit(me, "tokend.service")
    assert not is_of_unit(Daemon("/s", None, pid=None), "tokend.service")


def test_another_version_is_a_warning() -> None:
    """An upgrade without a restart."""
    status = {"ready": True, "config": {"error": None}, "tokens": []}
    assert [one.code for one in findings(Daemon("/s", None, status, "0.1.0", 7, 0))] == ["daemon", "version_differs"]
    assert [one.code for one in findings(Daemon("/s", None, status, None, 7, 0))] == ["daemon"]


@pytest.mark.parametrize(
    "answer",
    [
        {"ready": 1, "config": {"error": "\x1b]0;x\x07"}, "tokens": [], "info": {}},
        {"ready": 1, "config": {"error": None}, "tokens": [{"name": "\x1b[2J"}], "info": []},
        {"info": {"version": "\x1b[2J"}},
    ],
)
def test_another_program_at_the_socket_is_a_finding_without_control_characters(answer: dict[str, Any]) -> None:
    """Doctor is often run by root, at a terminal."""
    with answering(http(json.dumps(answer).encode())) as fake:
        shown = tokend("doctor", TOKEND_SOCKET=fake.path)
        codes = found(tokend("doctor", "-o", "json", TOKEND_SOCKET=fake.path).out)
    assert "Traceback" not in shown.err
    assert not any(one in shown.out for one in ("\x1b", "\x07"))
    assert {"no_answer", "not_running", "config_refused"} & codes.keys()
