"""The main job: five kinds, end to end, and what the daemon says of how it goes."""

import json
import signal
import stat
import time
from datetime import datetime
from typing import Any

from tests.daemon.harness import Daemon, Home, at_home, until
from tests.daemon.tables import ALL_KINDS, PARTNER, PX
from tests.sandbox.player import Player
from tokend.sandbox.faults import Behaviour

ORDER = {"currency": "BTC", "amount": "0.001", "orderId": "12345"}
USER = {"clientId": "CLIENT_001", "username": "u", "displayName": "Some User", "ipAddress": "127.0.0.1"}


def held_in_files(home: Home, daemon: Daemon) -> None:
    """Every file holds the very token that the socket gives, in its own form, and has its mode."""
    px, tt, partner = (daemon.lease(name) for name in ("px", "tt", "partner"))
    assert home.out("bot.env").read_bytes() == f"JWT_TOKEN={px['access_token']}\n".encode()
    layout = json.loads(home.out("tt_token.json").read_bytes())
    assert {**layout, "acquisition_time": ""} == {
        "status": "Ok",
        "access_token": tt["access_token"],
        "token_type": "bearer",
        "seconds_until_expiry": 12 * 3600,
        "seconds_until_expiry_on_save": 12 * 3600,
        "acquisition_time": "",
    }
    assert datetime.fromisoformat(layout["acquisition_time"]).tzinfo is None
    assert home.out("partner.jwt").read_bytes() == partner["access_token"].encode()
    for name in ("bot.env", "tt_token.json", "partner.jwt"):
        assert stat.S_IMODE(home.out(name).stat().st_mode) == 0o600


def test_all_five_kinds_end_to_end(home: Home) -> None:
    """Held tokens arrive by one request each, in files and on the socket; on-demand ones are accepted where they go."""
    daemon = home.start(ALL_KINDS).settled()
    held_in_files(home, daemon)
    assert (home.requests("projectx"), home.requests("tt"), home.requests("xerve")) == (1, 1, 0)
    vendor = Player(home.sandbox)
    assert vendor.call("POST", "/api/Account/search", {}, headers=daemon.lease("px")["headers"]).status == 200
    assert vendor.call("GET", "/portfolio", headers=daemon.lease("partner")["headers"]).status == 200
    request_id = daemon.ask("POST", "/v1/tokens/tt/request-id").json["request_id"]
    users = f"/ttuser/ext_uat_cert/users?requestId={request_id}"
    assert vendor.call("GET", users, headers=daemon.lease("tt")["headers"]).status == 200

    path = "/api/wallet/transfer"
    payment = daemon.ask("POST", "/v1/tokens/wallet/issue", {**ORDER, "url": path})
    assert payment.status == 201
    assert vendor.call("POST", path, ORDER, headers=payment.json["headers"]).status == 200
    assert vendor.call("POST", path, {**ORDER, "amount": "1000"}, headers=payment.json["headers"]).status == 401

    link = daemon.ask("POST", "/v1/tokens/links/issue", USER).json["extra"]["loginLink"]
    login = link[link.index("/login/") :]
    assert vendor.call("GET", login).status == 200
    assert vendor.call("GET", login).status >= 400

    wrong = daemon.ask("POST", "/v1/tokens/links/issue", {**USER, "unknown": "x"})
    assert (wrong.status, home.requests("xerve")) == (400, 3)
    assert "unknown" in wrong.json["errors"]
    states = {row["name"]: row["state"] for row in daemon.status()["tokens"]}
    assert states == {"px": "valid", "tt": "valid", "partner": "valid", "wallet": "on_demand", "links": "on_demand"}


def test_tokens_are_refreshed_by_themselves_in_files_and_on_the_socket() -> None:
    """A life of 8 s: the next token comes by itself, and readers never see an expired one meanwhile."""
    with at_home(ttl=8.0) as home:
        daemon = home.start(PX).settled()
        first = daemon.lease("px")

        def newer() -> dict[str, Any] | None:
            now = daemon.lease("px")
            return now if now["generation"] > first["generation"] else None

        second = until(newer, "a newer token")
        assert second["access_token"] != first["access_token"]
        until(lambda: second["access_token"] in home.out("bot.env").read_text(), "the file")
        assert len(daemon.log("token.expired")) == 0


def test_an_upstream_that_is_down_at_start_is_waited_for() -> None:
    """pending, 503 with retry_at and Retry-After; livez 200, readyz 503; it comes up by itself."""
    with at_home() as home:
        home.sandbox.stage.faults.set("projectx", Behaviour("error", code=503, count=1))
        daemon = home.start(PX + PARTNER)
        row = until(lambda: (row := daemon.row("px"))["failures"] and row, "the first failure")
        assert (row["state"], row["valid"], row["last_error"]["class"]) == ("pending", False, "transient")
        assert datetime.fromisoformat(row["next_attempt_at"])
        answer = daemon.get("/v1/tokens/px")
        assert (answer.status, answer.json["code"]) == (503, "token_unavailable")
        assert datetime.fromisoformat(answer.json["retry_at"])
        assert 1 <= int(answer.headers["retry-after"]) <= 6
        assert daemon.get("/livez").status == 200
        assert daemon.get("/readyz").status == 503
        assert not home.out("bot.env").exists()
        assert daemon.lease("partner")  # the others are none the worse
        until(lambda: any("px (pending" in note for note in daemon.notes), "STATUS= that says so")
        daemon.settled()
        assert home.requests("projectx") == 2


def test_a_daemon_that_was_frozen_refreshes_when_it_goes_on() -> None:
    """SIGSTOP past the expiry, SIGCONT: a new token within moments, and never the expired one."""
    with at_home(ttl=2.0) as home:
        daemon = home.start(PX)
        first = until(lambda: daemon.lease("px"), "a token")
        daemon.send(signal.SIGSTOP)
        until(lambda: time.time() > first["expires_at_unix"] + 1, "its end")
        daemon.send(signal.SIGCONT)
        answer = daemon.get("/v1/tokens/px")
        assert answer.status == 503 or answer.json["generation"] > first["generation"]
        assert until(lambda: daemon.lease("px"), "a new token")["generation"] > first["generation"]


def test_run_once_ends_with_the_refusal(home: Home) -> None:
    """0: everything where it belongs, hooks included; 4: rejected; 7: no token now. Nothing listens meanwhile."""
    marker = home.out("told")
    home.write(PX + f'on_change = ["sh", "-c", "sleep 0.3; echo yes > {marker}"]\n' + PARTNER)
    done = home.run("run", "--once", "--config", str(home.config))
    assert (done.returncode, done.stdout) == (0, "")
    assert home.out("bot.env").read_text().startswith("JWT_TOKEN=ey")
    assert home.out("partner.jwt").exists()
    assert marker.read_text() == "yes\n"
    assert not home.socket.exists()


def test_run_once_says_when_a_person_must_act(home: Home) -> None:
    """4: the credentials were rejected, and one request was enough to know."""
    home.secret("px-key", "a-wrong-key")
    home.write(PX + PARTNER)
    assert home.run("run", "--once", "--config", str(home.config)).returncode == 4
    assert home.requests("projectx") == 1


def test_run_once_tries_a_secret_that_was_corrected(home: Home) -> None:
    """The state says that the credentials were rejected: those of now are others. The same ones are not sent again."""
    right = (home.path / "s" / "px-key").read_text().strip()
    home.secret("px-key", "a-wrong-key")
    home.write(PX)
    for _ in range(2):
        assert home.run("run", "--once", "--config", str(home.config)).returncode == 4
    assert home.requests("projectx") == 1
    home.secret("px-key", right)
    assert home.run("run", "--once", "--config", str(home.config)).returncode == 0
    assert home.requests("projectx") == 2


def test_run_once_says_when_there_is_no_token_now(home: Home) -> None:
    """7: the upstream was down for the whole `--wait`; it was asked as the daemon asks, 5 s later at the earliest."""
    home.write(PX)
    home.sandbox.stage.faults.set("projectx", Behaviour("error", code=503))
    assert home.run("run", "--once", "--wait", "8s", "--config", str(home.config)).returncode == 7
    assert home.requests("projectx") == 2
