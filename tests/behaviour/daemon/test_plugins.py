"""Plug-ins in a running daemon: loaded at starts and reloads, named by status and version; a fault stops no other."""

import signal
import subprocess
import sys
from pathlib import Path

from tests.cli.running import environment
from tests.daemon.harness import Home, until
from tests.daemon.tables import DAEMON, PARTNER

ACME = """
from typing import Literal

from tokend.plugin import HeldSettings, Runtime, Secret, Token


class Acme(HeldSettings):
    kind: Literal["acme"] = "acme"
    word: str = "fake-acme-token"

    async def fetch(self, runtime: Runtime, previous: Token | None) -> Token:
        now = runtime.clock.instant()
        return Token(Secret(self.word), "Bearer", issued_at=now, expires_at=now.after(3600))
"""
PLUGINS = DAEMON.rstrip("\n") + '\nplugins = ["acme.py"]\n'
USES = '[providers.here]\nkind = "acme"\n'


def plugin(home: Home, text: str) -> Path:
    path = home.path / "acme.py"
    home.save(path, text)
    return path


def test_a_reload_brings_a_plug_in_and_status_and_version_name_it(home: Home) -> None:
    """Its token is read like any other."""
    daemon = home.start(PARTNER).settled()
    path = plugin(home, ACME)
    home.write(PARTNER, USES, daemon=PLUGINS)
    assert home.run("check", str(home.config)).returncode == 0
    assert home.run("reload").returncode == 0
    until(lambda: daemon.lease("here")["access_token"] == "fake-acme-token", "its token")
    row = {"file": str(path), "package": None, "version": None, "providers": ["acme"], "sinks": [], "error": None}
    assert daemon.status()["plugins"] == [row]
    assert f"plug-in {path}: acme\n" in home.run("status").stdout + "\n"
    assert f"plug-in {path}: acme" in home.run("version", "--config", str(home.config)).stdout
    assert f"plug-in {path}: acme" in home.run("doctor", str(home.config)).stdout
    assert not (home.path / "__pycache__").exists()
    assert daemon.end() == 0
    assert "have not ended" not in daemon.log()[-1]


def test_a_broken_plug_in_is_refused_by_a_reload_and_lets_a_start_go_on(home: Home) -> None:
    """The old configuration stays; after a restart the other providers run, and the daemon is not ready."""
    path = plugin(home, "import sys\nsys.exit('no licence')\n")
    daemon = home.start(PARTNER).settled()
    home.write(PARTNER, USES, daemon=PLUGINS)
    refused = home.run("reload")
    assert refused.returncode == 2
    assert f"{path}:2:1: this plug-in cannot be loaded: SystemExit: no licence" in refused.stderr
    assert refused.stderr.count("plug-in") == 1
    assert daemon.lease("partner")
    daemon.end()
    daemon = home.start()
    until(lambda: daemon.lease("partner"), "the other provider")
    until(lambda: [one["token"] for one in daemon.get("/readyz").json["reasons"]] == ["here"], "the only reason")
    answer = daemon.get("/readyz")
    assert answer.status == 503
    [reason] = answer.json["reasons"]
    assert reason["detail"] == "its kind, that of one of its sinks, or its vendor cannot be used"
    assert "not loaded: this plug-in cannot be loaded: SystemExit: no licence" in home.run("status").stdout
    until(lambda: any("this provider is left out" in line for line in daemon.log("config.warning")), "the warning")
    plugin(home, ACME)
    until(lambda: daemon.lease("here")["access_token"] == "fake-acme-token", "the corrected plug-in, without a word")
    daemon.settled()


def test_a_plug_in_that_changed_needs_a_restart(home: Home) -> None:
    """The status says so, and the running code goes on."""
    plugin(home, ACME)
    home.write(USES, daemon=PLUGINS)
    daemon = home.start().settled()
    plugin(home, ACME.replace("fake-acme-token", "fake-later-token"))
    until(lambda: daemon.status()["config"]["restart_needed"] == ["daemon.plugins"], "the remark")
    until(lambda: daemon.log("config.restart_needed"), "the line of the log")
    assert daemon.lease("here")["access_token"] == "fake-acme-token"
    assert home.run("refresh", "here").returncode == 0
    assert daemon.lease("here")["access_token"] == "fake-acme-token"
    daemon.end()
    daemon = home.start().settled()
    assert home.run("refresh", "here").returncode == 0
    assert daemon.lease("here")["access_token"] == "fake-later-token"
    assert daemon.status()["config"]["restart_needed"] == []


def test_a_single_run_without_a_plug_in_gets_the_other_tokens_and_does_not_succeed(home: Home) -> None:
    """7: a required token is missing. A run for that token alone says why."""
    plugin(home, "raise ValueError\n")
    home.write(PARTNER, USES, daemon=PLUGINS)
    assert home.run("run", "--once", "--wait", "5s", "--config", str(home.config)).returncode == 7
    assert home.out("partner.jwt").exists()
    asked = home.run("run", "--once", "--config", str(home.config), "-o", "raw", "here")
    assert (asked.returncode, "here: its kind or its vendor cannot be used" in asked.stderr) == (7, True), asked


THREAD = """
import threading
threading.Thread(target=threading.Event().wait, name="of acme", daemon=False).start()
"""


def test_a_thread_that_a_plug_in_leaves_behind_keeps_no_process(home: Home) -> None:
    """Neither the daemon's, which names it, nor that of a command or of a start that is refused."""
    plugin(home, THREAD + ACME)
    home.write(USES, daemon=PLUGINS)
    assert home.run("check", str(home.config)).returncode == 0
    home.write(USES, '[providers.there]\nkind = "nothing"\n', daemon=PLUGINS)
    assert home.run("run", "--config", str(home.config)).returncode == 2
    home.write(USES, daemon=PLUGINS)
    daemon = home.start().settled()
    assert daemon.end() == 0
    assert 'threads of plug-ins have not ended: "of acme"; the daemon ends without them' in "\n".join(daemon.log())


def test_a_person_can_end_a_check_whose_plug_in_does_not_end(home: Home) -> None:
    """By Ctrl-C. What a plug-in raises is not Ctrl-C."""
    begun = home.path / "begun"
    plugin(home, f"import pathlib, threading\npathlib.Path({str(begun)!r}).touch()\nthreading.Event().wait()\n")
    home.write(USES, daemon=PLUGINS)
    argv = [sys.executable, "-m", "tokend", "check", str(home.config)]
    with subprocess.Popen(argv, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as check:
        until(begun.exists, "the import")
        check.send_signal(signal.SIGINT)
        assert check.wait(60) == 1
    plugin(home, "raise KeyboardInterrupt\n")
    done = home.run("check", str(home.config))
    assert (done.returncode, "acme.py:1:1: this plug-in cannot be loaded: KeyboardInterrupt" in done.stderr) == (
        2,
        True,
    )
