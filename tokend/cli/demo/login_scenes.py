"""Scenes of a login: a person allows it, its refresh token rotates, and the daemon is killed in the middle of that."""

from typing import Any

from tokend.cli.demo.stage import DemoFailedError, Stage
from tokend.cli.login.requests import LoginRequests

NAME = "cloud"
SANDBOX_OPTIONS = ("--oauth2-rotation", "grace", "--oauth2-device-interval", "1s", "--oauth2-ttl", "6s")


def start_daemon(stage: Stage) -> None:
    """Start the daemon, and wait until it answers."""
    stage.spawn("tokend", "tokend", "run", "--config", str(stage.directory / "config.toml"))
    stage.until("the daemon answers", stage.client.list)


def show_login(stage: Stage) -> None:
    """Log in with a code, as a person does with `tokend login` and a phone."""
    row = stage.until(f"{NAME} waits for a login", lambda: stage.row(NAME, "login_required"))
    stage.say("!", NAME, f"no login yet; the command for it is: {row['login']['command']}")
    login = LoginRequests(stage.client, NAME, other_account=False)
    begun = login.begin("device", None)
    address, code = str(begun["verification_uri"]), str(begun["user_code"])
    stage.say("!", NAME, f"a person opens {address.removeprefix(stage.url)} and enters the code {code}")
    stage.submit(address, user_code=code, decision="allow", account="demo", scope=["openid", "read"])
    stage.until("the login is done", lambda: login.look()["state"] == "done" or None)
    stage.until(f"{NAME} is valid", lambda: stage.row(NAME, "valid"))
    stage.say("✓", NAME, f"logged in as {_login(stage)['subject']}: {stage.describe(NAME)}")


def show_rotation(stage: Stage) -> None:
    """Wait for a refresh: the refresh token is replaced, too."""
    first = stage.client.get(NAME).generation
    stage.until(f"{NAME} is refreshed", lambda: stage.client.get(NAME).generation != first or None)
    if _newest(stage) == 0:
        raise DemoFailedError("the refresh token was not replaced")
    stage.say("✓", NAME, f"refreshed by itself, with a new refresh token: {stage.describe(NAME)}")


def show_kill(stage: Stage) -> None:
    """Kill the daemon when the server has replaced the refresh token and has not answered yet."""
    fault = {"vendor": "oauth2", "mode": "slow", "executed": True, "delay": 60, "path": "/oauth2/token", "count": 1}
    stage.read("/_sandbox/behaviour", None, fault)
    stage.until("the refresh token is replaced", lambda: _waits(stage) or None)
    stage.kill("tokend")
    stage.say("!", "daemon", "killed (SIGKILL) in the middle of a refresh: the new refresh token reached nobody")
    start_daemon(stage)
    stage.say("✓", "daemon", "started again; the journal says that an answer was lost")
    stage.until(f"{NAME} is refreshed", lambda: _is_over(stage) or None)
    if _grant(stage)["ended"] is not None:
        raise DemoFailedError("the login was lost")
    stage.say("✓", NAME, "5 s later it sent the same refresh token again: answered, no login was lost")


def _waits(stage: Stage) -> bool:
    """Return whether the server holds an answer back."""
    return bool(stage.read("/_sandbox/requests?vendor=oauth2")["open"].get("oauth2"))


def _is_over(stage: Stage) -> bool:
    """Return whether the server has answered the repeat: something harmless was asked before it."""
    requests = stage.read("/_sandbox/requests?vendor=oauth2")["requests"]
    asked = [one["method"] for one in requests if one["path"] == "/oauth2/token"]
    return "GET" in asked and asked[-1] == "POST" and stage.row(NAME, "valid") is not None


def _login(stage: Stage) -> Any:
    row = stage.row(NAME)
    return {} if row is None else row["login"]


def _grant(stage: Stage) -> Any:
    """Return what the server says of the login: its only grant but the one of its start."""
    return stage.read("/_sandbox/oauth2")["grants"][-1]


def _newest(stage: Stage) -> int:
    """Return the index of the newest refresh token."""
    return int(_grant(stage)["refresh_token"])
