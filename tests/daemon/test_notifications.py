"""``[daemon] notify`` with the real daemon: a command that a person's mail or pager would be."""

import json
import signal
from pathlib import Path

from tests.daemon.harness import Daemon, Home, until
from tests.daemon.tables import DAEMON, PARTNER, PX, SECRETS

SCRIPT = 'printf "%s|%s|%s\\n" "$TOKEND_EVENT" "$TOKEND_NAME" "$TOKEND_DETAIL" >>notices; env >environment'


def table(script: str = SCRIPT) -> str:
    """The table of the daemon, with a command."""
    return DAEMON + f"notify = {json.dumps(['sh', '-c', script])}\n"


def notices(home: Home) -> list[tuple[str, str]]:
    """The events and names so far."""
    if not (home.path / "notices").exists():
        return []
    return [(line.split("|")[0], line.split("|")[1]) for line in (home.path / "notices").read_text().splitlines()]


def in_home(home: Home, script: str = SCRIPT) -> str:
    return table(f"cd {home.path} && {script}")


def started(home: Home, tables: str, daemon: str) -> Daemon:
    home.write(tables, daemon=daemon)
    return home.start()


def test_each_episode_is_told_when_it_begins_and_when_it_ends(home: Home) -> None:
    """Rejected credentials, a refused configuration, a file that cannot be written; a restart reports nothing twice."""
    home.secret("px-key", "wrong")
    daemon = started(home, PX, in_home(home))
    until(lambda: notices(home) == [("rejected", "px")], "the first notice")
    daemon.send(signal.SIGHUP)
    home.save(home.config, in_home(home) + "nonsense = 1\n")
    until(lambda: notices(home)[1:] == [("config_refused", "")], "the refused configuration")
    home.write(PX, PARTNER.replace("out/partner.jwt", "gone/partner.jwt"), daemon=in_home(home))
    until(lambda: notices(home)[2:] == [("recovered", ""), ("sink_failing", "partner")], "the sink")
    (home.path / "gone").mkdir()
    home.secret("px-key", SECRETS["px-key"])
    until(lambda: sorted(notices(home)[4:]) == [("recovered", "partner"), ("recovered", "px")], "the ends")
    lines = (home.path / "notices").read_text().splitlines()
    assert all(line.split("|")[2] for line in lines)
    text = "".join(lines) + (home.path / "environment").read_text()
    assert not any(secret in text for secret in (*SECRETS.values(), daemon.lease("px")["access_token"]))
    assert "TOKEND_FILE" not in text
    until(lambda: len(daemon.log("notify.sent")) == 6, "the line of the last notice")


def test_what_was_told_before_a_restart_is_not_told_again(home: Home) -> None:
    """Its end is."""
    home.secret("px-key", "wrong")
    started(home, PX, in_home(home))
    until(lambda: notices(home) == [("rejected", "px")], "the first notice")
    home.daemons[-1].end()
    daemon = started(home, PX, in_home(home))
    assert daemon.row("px")["state"] == "rejected"
    home.secret("px-key", SECRETS["px-key"])
    until(lambda: notices(home) == [("rejected", "px"), ("recovered", "px")], "the end")


def test_an_expired_token_is_told(home: Home) -> None:
    """Its secret is away, and it has ended."""
    daemon = started(home, PARTNER.replace('"15m"', '"2s"'), in_home(home))
    until(lambda: daemon.row("partner")["valid"], "a token")
    (home.path / "s" / "partner").unlink()
    until(lambda: ("expired", "partner") in notices(home), "the notice")
    home.secret("partner", SECRETS["partner"])
    until(lambda: notices(home)[-1] == ("recovered", "partner"), "the end")


def refused(daemon: Daemon, words: str) -> bool:
    return any(words in line for line in daemon.log("notify.failed"))


def test_a_command_that_fails_is_logged_and_delays_nothing(home: Home) -> None:
    """Its output goes nowhere; the next notice is sent all the same."""
    home.secret("px-key", "wrong")
    daemon = started(home, PX, in_home(home, "echo spoken; exit 3"))
    until(lambda: refused(daemon, "failed with exit status 3"), "the line of the log")
    home.write(PX, daemon=DAEMON + 'notify = ["/nonexistent/program"]\n')
    until(lambda: daemon.log("config.loaded"), "the new command")
    home.secret("px-key", SECRETS["px-key"])
    until(lambda: refused(daemon, "cannot be run: No such file"), "the second line")
    assert "spoken" not in Path(home.log).read_text()


def test_a_command_that_is_set_later_is_told_what_goes_on(home: Home) -> None:
    """The person who sets it should know what is wrong now."""
    home.secret("px-key", "wrong")
    daemon = home.start(PX)
    until(lambda: daemon.row("px")["state"] == "rejected", "the rejection")
    home.write(PX, daemon=in_home(home))
    until(lambda: notices(home) == [("rejected", "px")], "the notice")
