"""Wrong credentials: at most two requests, whatever happens, until something changes."""

import base64
import json
import signal
import time
from datetime import datetime

import pytest

from tests.daemon.harness import Home, until
from tests.daemon.tables import ALL_KINDS, PX, SECRETS

USER = {"clientId": "CLIENT_001", "username": "u", "displayName": "Some User", "ipAddress": "127.0.0.1"}


def test_a_rejected_secret_is_not_presented_again_until_it_changes(home: Home) -> None:
    """At most 2 requests; the state survives restart, reload and readers; a changed secret file recovers by itself."""
    home.secret("px-key", "a-wrong-key")
    daemon = home.start(PX)
    until(lambda: daemon.row("px").get("state") == "rejected", "the rejection")
    assert home.requests("projectx") <= 2
    count = home.requests("projectx")
    row = daemon.row("px")
    assert row["next_attempt_at"] is None
    assert row["last_error"]["class"] == "rejected"
    assert datetime.fromisoformat(row["last_error"]["at"])
    answer = daemon.get("/v1/tokens/px")
    assert (answer.status, answer.json["code"]) == (503, "login_required")
    assert home.run("get", "px").returncode == 4
    assert home.run("status", "px").returncode == 4
    assert until(lambda: [note for note in daemon.notes if "px (rejected" in note], "STATUS= that says so")
    home.config.write_text(home.config.read_text() + "# a comment\n")
    until(lambda: daemon.log("config.loaded"), "a reload")

    daemon.end(signal.SIGKILL)
    daemon = home.start()
    assert daemon.row("px")["state"] == "rejected"
    assert daemon.get("/readyz").status == 503
    assert home.requests("projectx") == count  # neither the reload nor the restart asked again

    home.secret("px-key", SECRETS["px-key"])
    daemon.settled()
    assert home.requests("projectx") == count + 1
    assert daemon.row("px")["last_error"] is None


def test_a_secret_that_was_fixed_while_nobody_ran_is_tried_at_the_next_start(home: Home) -> None:
    """What was rejected is remembered by its fingerprint: another secret is another matter."""
    home.secret("px-key", "a-wrong-key")
    daemon = home.start(PX)
    until(lambda: daemon.row("px").get("state") == "rejected", "the rejection")
    daemon.end()
    count = home.requests("projectx")
    assert count <= 2
    home.secret("px-key", SECRETS["px-key"])
    home.start().settled()
    assert home.requests("projectx") == count + 1


def test_a_wrong_secret_of_one_provider_leaves_the_others_alone(home: Home) -> None:
    """`rejected` concerns one provider; on-demand kinds reach it after two refusals, and later issues are not sent."""
    home.secret("xerve", "a-wrong-secret")
    daemon = home.start(ALL_KINDS).settled()
    for _ in range(4):
        answer = daemon.ask("POST", "/v1/tokens/links/issue", USER)
        assert answer.status == 503
    assert answer.json["code"] == "login_required"
    assert home.requests("xerve") == 2
    assert daemon.row("links")["state"] == "rejected"
    assert all(daemon.lease(name) for name in ("px", "tt", "partner"))
    daemon.end(signal.SIGKILL)
    daemon = home.start()
    assert daemon.ask("POST", "/v1/tokens/links/issue", USER).status == 503
    assert home.requests("xerve") == 2
    home.secret("xerve", SECRETS["xerve"])
    until(lambda: daemon.row("links")["state"] == "on_demand", "the changed secret")
    assert daemon.ask("POST", "/v1/tokens/links/issue", USER).status == 201


def start_token(life: int) -> str:
    """A token as the vendor makes them, that ends in ``life`` seconds."""
    claims = base64.urlsafe_b64encode(json.dumps({"exp": int(time.time()) + life}).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJub25lIn0.{claims}.obviously-fake"


ONLY_A_TOKEN = PX.replace('username = {{ file = "s/px-user" }}\napi_key = {{ file = "s/px-key" }}', "{given}")


@pytest.mark.parametrize(
    ("life", "form", "reason"),
    [
        (-60, "{}", "initial_token expired at "),
        (600, '"{}"', "initial_token stands in quotes, which must go"),
        (600, "{} x", "initial_token holds white space, which must go"),
    ],
    ids=["over", "quoted", "white space"],
)
def test_a_start_token_that_is_over_or_no_token_needs_a_person(home: Home, life: int, form: str, reason: str) -> None:
    """Without credentials: exit code 4 of `run --once`, `get` and `status`, with the reason, and a true note."""
    home.write(ONLY_A_TOKEN.replace("{given}", 'initial_token = {{ file = "./s/given" }}'))
    value = form.format(start_token(life))
    home.secret("given", value)
    assert reason in home.run("check", str(home.config)).stderr
    assert home.run("run", "--once", "--config", str(home.config)).returncode == 4
    daemon = home.start()
    until(lambda: daemon.row("px").get("state") == "rejected", "the state")
    row = daemon.row("px")
    assert row["last_error"]["detail"].startswith(reason)
    assert row["note"] == "cannot be renewed: no credentials are configured; a person must give another token"
    assert (home.run("get", "px").returncode, home.run("status", "px").returncode) == (4, 4)
    assert home.requests("projectx") == 0
    home.secret("given", good := start_token(600))
    until(lambda: daemon.row("px")["state"] == "valid", "the new token")
    assert daemon.lease("px")["access_token"] == good
    assert daemon.row("px")["note"].endswith("it is served until it expires")
    assert value not in home.log.read_text()
