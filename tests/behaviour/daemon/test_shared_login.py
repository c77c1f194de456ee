"""Several daemons on one login file, against a server that takes each refresh token once."""

import json
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

from tests.behaviour.logins.opened_file import watched
from tests.daemon.harness import Daemon, Home, at_home, until
from tests.sandbox.player import Player

TABLE = """
[providers.mine]
kind = "oauth2"
grant = "refresh_token"
token_url = "{url}/oauth2/token"
revoke_url = "{url}/oauth2/revoke"
client_id = "sandbox-oauth2-client"
client_secret = {{ file = "s/oauth2" }}
refresh_token = {{ file = "s/first" }}
login_file = "../common/login"
timeout = "3s"
"""
# Of a daemon that is stopped amid its exchange: it must not end before.
PATIENT = TABLE.replace('"3s"', '"30s"')


@contextmanager
def homes(count: int = 2, **options: Any) -> Iterator[list[Home]]:
    """Homes of daemons that share a directory with the login, and a server."""
    with at_home(**options) as first:
        made = []
        (first.path / "common").mkdir(mode=0o700)
        for number in range(count):
            home = Home(first.path / f"home{number}", first.sandbox, daemons=first.daemons)
            (home.path / "s").mkdir(mode=0o700, parents=True)
            (home.path / "out").mkdir()
            home.secret("oauth2", "sandbox-oauth2-secret")
            home.secret("first", "sandbox-refresh-token")
            home.write(TABLE)
            made.append(home)
        yield made


def witness(home: Home) -> list[dict[str, Any]]:
    """What the server says of the refreshes."""
    report = Player(home.sandbox).control("requests?vendor=oauth2").json
    return [one["detail"] for one in report["requests"] if one["detail"].get("grant_type")]


def value(daemon: Daemon) -> str:
    return str(daemon.lease("mine")["access_token"])


def differs(daemon: Daemon, known: str) -> bool:
    return value(daemon) != known


def content(home: Home) -> Any:
    return json.loads((home.path.parent / "common" / "login").read_text())


def is_asked(home: Home) -> bool:
    """Whether the server has a request that it has not answered."""
    return bool(Player(home.sandbox).control("requests?vendor=oauth2").json["open"].get("oauth2"))


def answer_faults(home: Home, **behaviour: Any) -> None:
    assert Player(home.sandbox).control("behaviour", {"vendor": "oauth2", **behaviour}).status == 200


def test_two_daemons_have_one_token_and_no_refresh_token_is_sent_twice_over_kills() -> None:
    """The file, the lock and the watch of the file together: as many requests as one daemon would make."""
    with homes() as (one, other):
        daemons = [one.start().settled(), other.start().settled()]
        until(lambda: value(daemons[0]) == value(daemons[1]), "the same token")
        for index, home in ((1, other), (0, one)):
            known = until(partial(value, daemons[index]), "a token")
            daemons[index].end(signal.SIGKILL)
            daemons[index] = home.start().settled()
            assert home.run("refresh", "mine").returncode == 0
            until(partial(differs, daemons[0], known), "another token")
            until(lambda: value(daemons[0]) == value(daemons[1]), "the same token")
        seen = [(call["refresh_token"], call["new_refresh_token"], call["reuse"]) for call in witness(one)]
        assert seen == [(index, index + 1, False) for index in range(3)]
        assert Player(one.sandbox).control("requests?vendor=oauth2").json["most_open"]["oauth2"] == 1


def stopped_with_the_lock(home: Home) -> Daemon:
    """A daemon that was stopped in the middle of an exchange."""
    home.write(PATIENT)
    answer_faults(home, mode="hang", count=1)
    daemon = home.start(ready=False)
    until(lambda: is_asked(home), "an exchange")
    assert content(home)["logins"]["state"]["is"] == "exchanging"
    daemon.send(signal.SIGSTOP)
    return daemon


def test_a_daemon_that_hangs_with_the_lock_costs_nobody_the_login() -> None:
    """The others send nothing, serve what they have, and go on when it has ended."""
    with homes() as (one, other):
        first = stopped_with_the_lock(one)
        second = other.start(ready=False)
        row = until(lambda: second.row("mine").get("last_error") and second.row("mine"), "a failure")
        assert row["last_error"]["class"] == "store"
        assert "another daemon has held" in row["last_error"]["detail"]
        assert witness(one) == []
        first.end(signal.SIGKILL)
        second.settled()
        assert [call["reuse"] for call in witness(one)] == [False]


def test_a_daemon_that_waits_for_the_lock_ends_at_once() -> None:
    """Nothing waits for a system call that another process decides."""
    with homes() as (one, other):
        other.write(PATIENT)
        first = stopped_with_the_lock(one)
        with watched(one.path.parent / "common" / "login.lock") as lock:
            second = other.start(ready=False)
            until(lambda: lock.count() > 1, "its wait for the lock")
        until(lambda: second.status(), "its socket")
        assert second.end(seconds=15) == 0
        first.send(signal.SIGCONT)


def test_a_logout_of_one_is_everybodys() -> None:
    """The watch of the file brings it; the token is withdrawn and revoked."""
    with homes() as (one, other):
        first, second = one.start().settled(), other.start().settled()
        assert one.run("logout", "mine").returncode == 0
        until(lambda: second.row("mine")["valid"] is False, "the end of the token")
        assert not first.row("mine")["valid"]
        assert "sandbox-rt" not in json.dumps(content(one))
        assert len(witness(one)) == 1


def test_an_older_file_that_was_put_back_sends_nothing() -> None:
    """It is spent. `tokend status` says so."""
    with homes() as (one, other):
        first = one.start().settled()
        login = one.path.parent / "common" / "login"
        shutil.copy(login, login.with_name("copy"))
        assert one.run("refresh", "mine").returncode == 0
        first.end()
        second = other.start().settled()
        second.end()
        shutil.copy(login.with_name("copy"), login)
        again = one.start()
        until(lambda: "is older than it was" in str(again.row("mine").get("note")), "the note")
        assert one.run("refresh", "mine").returncode != 0
        assert [call["reuse"] for call in witness(one)] == [False, False]


def test_many_readers_of_two_daemons_cause_one_request_at_a_time() -> None:
    """While the server hangs nobody is sent to a browser; afterwards all get the token."""
    with homes() as (one, other):
        answer_faults(one, mode="hang", count=1)
        daemons = [one.start(ready=False), other.start(ready=False)]
        until(lambda: all(daemon.status() for daemon in daemons), "their sockets")

        def read(number: int) -> int:
            return daemons[number % 2].get("/v1/tokens/mine", Prefer="wait=1").status

        with ThreadPoolExecutor(16) as pool:
            assert set(pool.map(read, range(100))) <= {200, 503, 504}
        assert not any(daemon.row("mine")["state"] == "login_required" for daemon in daemons)
        for daemon in daemons:
            daemon.settled()
        assert value(daemons[0]) == value(daemons[1])
        assert [call["reuse"] for call in witness(one)] == [False]
        # The first one is cut by the daemon's timeout, and goes on hanging at the server.
        assert Player(one.sandbox).control("requests?vendor=oauth2").json["most_open"]["oauth2"] <= 2
