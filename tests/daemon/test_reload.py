"""Reload: read, validate, plan, apply; all or nothing, and what did not change notices nothing."""

import itertools
import json
import signal
import socket
import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

from tests.daemon.harness import Daemon, Home, at_home, metric, until
from tests.daemon.tables import DAEMON, PARTNER, PX, TT
from tokend.sandbox.faults import Behaviour

OTHER = PARTNER.replace("providers.partner", "providers.other").replace("out/partner.jwt", "out/other.jwt")


def plan(answer: Mapping[str, Any]) -> dict[str, str]:
    return {step["name"]: step["action"] for step in answer["plan"]}


def reloaded(daemon: Daemon, *tables: str, **details: str) -> dict[str, str]:
    """Put these providers into the configuration and reload; returns what that did to which.

    From the log: the watcher of the file may have been quicker than the command.
    """
    before = len(daemon.log("config.applied"))
    daemon.home.write(*tables, **details)
    assert daemon.ask("POST", "/v1/reload").status == 200
    steps = [dict(word.split("=") for word in line.split()) for line in daemon.log("config.applied")[before:]]
    return {step["token"]: step["action"] for step in steps}


def names(daemon: Daemon) -> set[str]:
    return {row["name"] for row in daemon.get("/v1/tokens").json["tokens"]}


def look(home: Home, name: str) -> tuple[int, int, bytes]:
    found = home.out(name).stat()
    return found.st_ino, found.st_mtime_ns, home.out(name).read_bytes()


@pytest.mark.parametrize("way", ["file", "signal", "command"])
def test_a_new_provider_comes_by_each_of_the_three_ways(home: Home, way: str) -> None:
    """A change of the file is noticed within 5 s; SIGHUP and `tokend reload` cause a reload now."""
    daemon = home.start(PX).settled()
    before = look(home, "bot.env"), daemon.lease("px")
    if way == "file":
        home.write(PX, PARTNER)
        until(lambda: daemon.lease("partner"), "the new token", seconds=5)
    elif way == "signal":
        home.write(PX, PARTNER)
        daemon.send(signal.SIGHUP)
        until(lambda: daemon.lease("partner"), "the new token", seconds=5)
    else:
        home.write(PX, PARTNER)
        done = home.run("reload")
        assert done.returncode == 0, done.stderr
        assert "partner" in names(daemon)  # `tokend reload` waits until it is in force
    daemon.settled()
    assert home.out("partner.jwt").read_text() == daemon.lease("partner")["access_token"]
    # The other one noticed nothing: no request, no write, no gap.
    assert (look(home, "bot.env"), daemon.lease("px")) == before
    assert home.requests("projectx") == 1
    assert len([line for line in daemon.log("sink.written") if "token=px" in line]) == 1


def test_a_bad_reload_changes_nothing_and_is_reported_everywhere(home: Home) -> None:
    """docs/promises.md 77, 78: the log has all of it, status and metrics show it, `tokend reload` exits 2. After the
    fix all of them show that."""
    daemon = home.start(PX, PARTNER).settled().quiet()
    before = look(home, "bot.env"), look(home, "partner.jwt"), daemon.lease("px"), daemon.lease("partner")
    loaded_at = daemon.status()["config"]["loaded_at"]
    assert metric(daemon, "tokend_config_last_reload_successful") == 1
    home.write(PX.replace("api_key", "apikey"), PARTNER.replace('"15m"', "15"), OTHER)
    done = home.run("reload")
    assert done.returncode == 2
    answer = daemon.ask("POST", "/v1/reload")
    assert (answer.status, answer.json["code"]) == (422, "config_invalid")
    errors = answer.json["errors"]
    assert len(errors) >= 2
    assert all(error["file"] == str(home.config) and error["line"] > 1 and error["column"] >= 1 for error in errors)
    for error in errors:
        place = f"{home.config}:{error['line']}:{error['column']}: "
        assert place + error["message"] in done.stderr
        assert any(place in line for line in daemon.log("config.refused"))
    config = daemon.status()["config"]
    assert config["loaded_at"] == loaded_at
    assert "api_key" in config["error"]
    assert metric(daemon, "tokend_config_last_reload_successful") == 0
    assert "refused" in home.run("status").stdout
    until(lambda: any("refused" in note for note in daemon.notes if note.startswith("STATUS=")), "STATUS=")
    assert names(daemon) == {"px", "partner"}
    assert (look(home, "bot.env"), look(home, "partner.jwt"), daemon.lease("px"), daemon.lease("partner")) == before

    home.write(PX, PARTNER)
    until(lambda: daemon.status()["config"]["error"] is None, "the mended file")
    assert metric(daemon, "tokend_config_last_reload_successful") == 1
    until(lambda: "refused" not in [note for note in daemon.notes if note.startswith("STATUS=")][-1], "STATUS=")
    assert home.requests("projectx") == 1


def test_a_directory_of_providers_that_is_away_for_a_moment_takes_none_of_them_away(home: Home) -> None:
    """A mount or a deploy by rename: the old configuration stays in force, and status has the ways out."""
    directory, away = home.path / "conf.d", home.path / "away"
    directory.mkdir(mode=0o700)
    partner = PARTNER.replace('"s/', '"../s/').replace('"out/', '"../out/')
    home.save(directory / "partner.toml", home.text(partner, daemon=""))
    home.save(directory / ".#partner.toml", "an editor's lock, no TOML")
    home.write(PX, daemon='include = ["conf.d/*.toml"]\n' + DAEMON)
    daemon = home.start().settled()
    before = daemon.lease("partner")
    directory.rename(away)
    until(lambda: "conf.d is gone. Delete the pattern" in str(daemon.status()["config"]["error"]), "the error")
    assert home.run("reload").returncode == 2
    assert (names(daemon), daemon.lease("partner")) == ({"px", "partner"}, before)
    away.rename(directory)
    until(lambda: daemon.status()["config"]["error"] is None, "the directory")
    assert daemon.lease("partner") == before

    directory.rename(away)
    daemon.end()
    daemon = home.start().settled()
    assert any("there is no directory" in line for line in daemon.log("config.warning"))
    away.rename(directory)
    until(lambda: daemon.lease("partner") == before, "the token of the state directory")


def test_a_dry_run_shows_the_plan_and_does_nothing(home: Home) -> None:
    """--dry-run: names and actions; nothing is applied, nothing is said to systemd."""
    daemon = home.start(PX, PARTNER).settled()
    before = daemon.lease("px")

    def told_and_not_done() -> bool:
        home.write(PX, PARTNER)
        daemon.ask("POST", "/v1/reload")
        daemon.quiet()
        reloads = daemon.noted("RELOADING=1")
        home.write(PX.replace("api_key =", 'refresh_before = "1h"\napi_key ='), PARTNER.replace("15m", "20m"), OTHER)
        told = plan(daemon.ask("POST", "/v1/reload?dry_run=true").json)
        return told == {"px": "change", "partner": "change", "other": "add"} and daemon.noted("RELOADING=1") == reloads

    # The watcher of the file may be quicker: then once more.
    until(told_and_not_done, "a dry run before the watcher")
    assert daemon.lease("px") == before
    until(lambda: "other" in names(daemon), "the watcher")
    done = home.run("reload", "--dry-run")
    assert (done.returncode, done.stdout) == (0, "nothing would change\n")


def test_a_renamed_provider_keeps_its_token_without_a_request(home: Home) -> None:
    """docs/promises.md 80: the same token and generation under the new name; the old name is gone."""
    daemon = home.start(PX, PARTNER).settled()
    before = daemon.lease("px")
    assert reloaded(daemon, PX.replace("providers.px", "providers.renamed"), PARTNER) == {"renamed": "rename"}
    after = daemon.lease("renamed")
    assert {**after, "name": "px"} == before
    assert daemon.get("/v1/tokens/px").status == 404
    daemon.end(signal.SIGKILL)
    assert home.start().lease("renamed") == after
    assert home.requests("projectx") == 1


def test_a_removed_provider_leaves_its_files_and_comes_back_with_its_token(home: Home) -> None:
    """docs/promises.md 79: files stay; the state stays too, for the day it comes back."""
    daemon = home.start(PX, PARTNER).settled()
    before, file = daemon.lease("px"), look(home, "bot.env")
    assert reloaded(daemon, PARTNER) == {"px": "remove"}
    assert daemon.get("/v1/tokens/px").status == 404
    assert look(home, "bot.env") == file
    assert reloaded(daemon, PARTNER, PX) == {"px": "add"}
    assert daemon.lease("px") == before
    daemon.settled()
    assert look(home, "bot.env") == file
    assert home.requests("projectx") == 1


def test_keys_that_do_not_enter_the_request_cause_none(home: Home) -> None:
    """refresh_before, headers, required, access, timeout: in force at once, with the token that is there."""
    daemon = home.start(PX).settled()
    before = daemon.lease("px")
    more = 'refresh_before = "1h"\ntimeout = "7s"\nrequired = false\nheaders = {{ "X-Account" = "7" }}\n'
    assert reloaded(daemon, PX.replace("api_key =", more + "api_key =")) == {"px": "change"}
    after = daemon.lease("px")
    assert after["headers"] == {**before["headers"], "X-Account": "7"}
    assert after["access_token"] == before["access_token"]
    assert daemon.row("px")["required"] is False
    assert home.requests("projectx") == 1


def test_another_account_withdraws_the_old_token(home: Home) -> None:
    """The old token belongs to somebody else: gone from the socket and the file at once, then the new one comes."""
    daemon = home.start(PX).settled()
    before = daemon.lease("px")
    with at_home() as elsewhere:
        # Until both were seen there is no new token.
        elsewhere.sandbox.stage.faults.set("projectx", Behaviour("slow", executed=True, delay=60.0))
        home.write(PX, url=elsewhere.sandbox.url)
        daemon.ask("POST", "/v1/reload")
        until(lambda: home.out("bot.env").read_text() == "JWT_TOKEN=\n", "the file")
        assert daemon.get("/v1/tokens/px").status == 503
        elsewhere.sandbox.stage.faults.set("projectx", None)
        daemon.settled()
        after = daemon.lease("px")
        assert after["generation"] > before["generation"]
        assert after["access_token"] != before["access_token"]
        assert home.out("bot.env").read_text() == f"JWT_TOKEN={after['access_token']}\n"
        assert (home.requests("projectx"), elsewhere.requests("projectx")) == (1, 1)


def test_a_changed_provider_serves_its_old_token_until_the_new_settings_gave_one(home: Home) -> None:
    """docs/promises.md 81: app_name enters TT's request but not the account; the old token stays meanwhile."""
    daemon = home.start(TT).settled()
    before = daemon.lease("tt")
    assert reloaded(daemon, TT.replace('"App"', '"OtherApp"')) == {"tt": "change"}
    assert daemon.lease("tt") == before
    assert json.loads(home.out("tt_token.json").read_text())["access_token"] == before["access_token"]
    assert daemon.ask("POST", "/v1/tokens/tt/request-id").json["request_id"].startswith("OtherApp-Company--")


def test_a_changed_minting_shows_no_gap(home: Home) -> None:
    """jwt: what is signed changed, so the old token is withdrawn, but by the new one: no reader meets a 503."""
    daemon = home.start(PARTNER).settled()
    first, gaps, stop = daemon.lease("partner"), [], threading.Event()

    def read() -> None:
        while not stop.is_set():
            if (status := daemon.get("/v1/tokens/partner").status) != 200:
                gaps.append(status)

    reader = threading.Thread(target=read)
    reader.start()
    home.write(PARTNER.replace('"15m"', '"20m"'))
    until(lambda: daemon.lease("partner")["generation"] > first["generation"], "the longer one")
    second = daemon.lease("partner")
    home.secret("partner", "another-partner-secret-of-some-length")  # only the file's content, no reload
    until(lambda: daemon.lease("partner")["generation"] > second["generation"], "the one of the new secret", seconds=5)
    stop.set()
    reader.join()
    assert gaps == []
    until(lambda: home.out("partner.jwt").read_text() == daemon.lease("partner")["access_token"], "the file")


def test_a_changed_sink_is_written_and_the_others_are_left_alone(home: Home) -> None:
    """Sinks are compared one by one."""
    second = '\n[[providers.partner.sinks]]\nkind = "json"\npath = "out/partner.json"\n'
    daemon = home.start(PARTNER).settled()
    before, raw = daemon.lease("partner"), look(home, "partner.jwt")
    home.write(PARTNER + second)
    daemon.ask("POST", "/v1/reload")
    until(lambda: home.out("partner.json").exists(), "the added file")
    assert json.loads(home.out("partner.json").read_text())["generation"] == before["generation"]
    home.write(PARTNER + second + 'mode = "0640"\ngroup = "daemon"\n')
    daemon.ask("POST", "/v1/reload")
    until(lambda: home.out("partner.json").stat().st_mode & 0o777 == 0o640, "the new mode")
    assert (look(home, "partner.jwt"), daemon.lease("partner")) == (raw, before)


def test_what_is_read_only_at_start_is_said(home: Home) -> None:
    """A socket elsewhere needs a restart; log_level and admins do not."""
    daemon = home.start(PARTNER).settled()
    home.write(PARTNER, daemon=DAEMON.replace("t.sock", "other.sock") + 'log_level = "debug"\n')
    daemon.ask("POST", "/v1/reload")
    for _ in range(2):  # the first one may come after the watcher's, and stays until the restart all the same
        answer = daemon.ask("POST", "/v1/reload").json
        assert answer == {"version": 1, "plan": [], "restart_needed": ["daemon.socket"]}
    assert len([line for line in daemon.log("config.restart_needed") if "restart needed for socket" in line]) == 1
    assert daemon.status()["config"]["restart_needed"] == ["daemon.socket"]
    done = home.run("reload")
    assert (done.returncode, done.stdout.split(":")[0]) == (0, "restart needed for daemon.socket")
    assert "restart needed for daemon.socket" in home.run("status").stdout
    daemon.lease("partner")
    until(lambda: any("level=debug" in line for line in daemon.log()), "the new level")
    assert home.socket.exists()
    home.write(PARTNER)
    assert daemon.ask("POST", "/v1/reload?dry_run=true").json["restart_needed"] == []
    until(lambda: daemon.status()["config"]["restart_needed"] == [], "the former value")


def test_a_storm_of_sighups_is_one_reload_a_second(home: Home) -> None:
    """docs/promises.md 68: thousands of signals for two seconds; the daemon answers all the while."""
    daemon = home.start(PARTNER).settled()
    sent, stop = 0, threading.Event()

    def storm() -> None:
        nonlocal sent
        while not stop.is_set():
            daemon.send(signal.SIGHUP)
            sent += 1

    thread = threading.Thread(target=storm)
    thread.start()
    until(lambda: len(daemon.log("config.loaded")) >= 3 and daemon.lease("partner"), "three reloads")
    # While the storm goes on, the end comes all the same (docs/promises.md 89).
    assert daemon.end(signal.SIGTERM) == 0
    stop.set()
    thread.join()
    assert sent > 100
    stamps = [line.split()[0].removeprefix("timestamp=") for line in daemon.log("config.loaded")]
    times = [datetime.fromisoformat(stamp).timestamp() for stamp in stamps]
    assert all(later - earlier > 0.9 for earlier, later in itertools.pairwise(times)), stamps


def test_a_reload_survives_its_client(home: Home) -> None:
    """The client may disconnect at once: the configuration is applied whole, and systemd hears READY=1."""
    daemon = home.start(PARTNER).settled()
    home.write(PARTNER, OTHER)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(home.socket))
        client.sendall(b"POST /v1/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
    until(lambda: daemon.lease("other"), "the new provider")
    until(lambda: daemon.noted("READY=1") == 1 + daemon.noted("RELOADING=1"), "READY=1")


def literals(daemon: Daemon) -> list[str]:
    """The warnings in the log about secrets in the configuration itself."""
    return [line for line in daemon.log("config.warning") if "code=literal_secret" in line]


def test_a_warning_is_logged_once_until_it_changes(home: Home) -> None:
    """A literal secret: no line at a reload, nor where the lines before it move. A new warning is logged."""
    literal = PARTNER.replace('{{ file = "s/partner" }}', '"obviously-fake-secret-of-32-bytes"')
    daemon = home.start(literal).settled()
    assert len(literals(daemon)) == 1
    assert "a secret stands in the file itself" in literals(daemon)[0]
    reloaded(daemon, OTHER, literal)
    reloaded(daemon, literal)
    assert len(literals(daemon)) == 1
    reloaded(daemon, literal, literal.replace("partner", "second"))
    assert len(literals(daemon)) == 2
    # What was put right and comes back is a warning again.
    reloaded(daemon, OTHER, literal)
    reloaded(daemon, literal, literal.replace("partner", "second"))
    assert len(literals(daemon)) == 3


def test_the_status_shows_the_warnings_about_a_token(home: Home) -> None:
    """Each with a code for programs; they go when the configuration is put right."""
    literal = PARTNER.replace('{{ file = "s/partner" }}', '"obviously-fake-secret-of-32-bytes"')
    daemon = home.start(literal, OTHER).settled()
    warning = next(one for one in daemon.row("partner")["warnings"] if one["code"] == "literal_secret")
    assert warning["message"].startswith("secret: a secret stands in the file itself: use { file = }")
    assert [one["code"] for one in daemon.row("other")["warnings"]] == ["kind"]  # its key is short
    assert warning["message"] in home.run("status", "partner").stdout
    reloaded(daemon, PARTNER, OTHER)
    assert [one["code"] for one in daemon.row("partner")["warnings"]] == ["kind"]
