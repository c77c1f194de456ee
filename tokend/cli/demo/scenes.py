"""Scenes of the demo, in order. Each prints a line after it has observed what the line says."""

import base64
import json
import time
from collections.abc import Callable
from contextlib import suppress

import click

from tokend.cli.demo.config import CONFIG, DOCKER_CONFIG, SECRETS
from tokend.cli.demo.login_scenes import SANDBOX_OPTIONS, show_kill, show_login, show_rotation, start_daemon
from tokend.cli.demo.stage import LOOK_SECONDS, DemoFailedError, Stage
from tokend.client import TokendError

HELD = ("topstepx", "tt", "partner")
ORDER = {"currency": "BTC", "amount": "0.001", "orderId": "12345"}
USER = {"clientId": "CLIENT_001", "username": "demo", "displayName": "Demo User", "ipAddress": "127.0.0.1"}
# (token, its file, function that reads the token from the text)
FILES: tuple[tuple[str, str, Callable[[str], str]], ...] = (
    ("topstepx", "bot.env", lambda text: text.strip().removeprefix("JWT_TOKEN=")),
    ("topstepx", "topstepx.json", lambda text: str(json.loads(text)["access_token"])),
    ("tt", "tt_token.json", lambda text: str(json.loads(text)["access_token"])),
    ("partner", "partner.jwt", lambda text: text),
)


def play(stage: Stage) -> None:
    """Play all scenes once. Raises `DemoFailedError` at the first one that fails."""
    _start_sandbox(stage)
    _start_daemon(stage)
    first = {name: _show_arrival(stage, name) for name in HELD}
    for name, file, extract in FILES:
        _show_file(stage, name, file, extract)
    _show_patched_file(stage)
    _show_store(stage)
    _show_use(stage)
    _show_payment(stage)
    _show_login_link(stage)
    show_login(stage)
    show_rotation(stage)
    show_kill(stage)
    stage.say("…", "demo", "tokens live 20 s here; each is refreshed at half of that")
    for name in ("topstepx", "partner"):
        _show_refresh(stage, name, after=first[name])
    _show_wrong_secret(stage)
    stage.say("✓", "demo", "everything shown above really happened")


def go_on(stage: Stage, *, until: float) -> None:
    """Show further refreshes until ``until`` (seconds of the monotonic clock)."""
    if (left := until - time.monotonic()) < 1:
        return
    click.echo(f"Watching for {left:.0f} more seconds (Ctrl-C ends it) …")
    seen = {name: _generation(stage, name) for name in HELD}
    while time.monotonic() < until:
        for name in HELD:
            with suppress(TokendError):
                generation = _generation(stage, name)
                if generation != seen[name]:
                    seen[name] = generation
                    stage.say("✓", name, f"refreshed by itself: {stage.describe(name)}")
        time.sleep(LOOK_SECONDS)


def _start_sandbox(stage: Stage) -> None:
    port_file = stage.directory / "sandbox.port"
    options = ("--port", "0", "--port-file", str(port_file), "--ttl", "20s", "--tt-ttl", "40s")
    stage.spawn("sandbox", "tokend.sandbox", *options, *SANDBOX_OPTIONS)
    port = stage.until("the sandbox listens", lambda: int(port_file.read_text()))
    stage.url = f"http://127.0.0.1:{port}"
    stage.say("✓", "sandbox", f"plays the upstreams and Railway at {stage.url}")


def _start_daemon(stage: Stage) -> None:
    (stage.directory / "secrets").mkdir(mode=0o700)
    (stage.directory / "out").mkdir()
    (stage.directory / "out" / "config.json").write_text(DOCKER_CONFIG)
    for name, value in SECRETS.items():
        stage.write_secret(name, value)
    config = stage.directory / "config.toml"
    config.write_text(CONFIG.format(url=stage.url))
    stage.say("✓", "config", "config.toml: four held tokens, two on demand")
    stage.say("✓", "demo", f"works in {stage.directory}")
    start_daemon(stage)
    stage.say("✓", "daemon", "serves tokend.sock")


def _show_arrival(stage: Stage, name: str) -> int:
    generation = stage.until(f"a token for {name}", lambda: _generation(stage, name))
    stage.say("✓", name, f"token arrived: {stage.describe(name)}")
    return generation


def _show_file(stage: Stage, name: str, file: str, extract: Callable[[str], str]) -> None:
    path = stage.directory / "out" / file

    def is_same() -> bool | None:
        return extract(path.read_text()) == stage.client.get(name).access_token or None

    stage.until(f"{path} holds the token of {name}", is_same)
    mode = f"{path.stat().st_mode & 0o777:04o}"
    stage.say("✓", name, f"written to out/{file}, mode {mode}, the same token")


def _show_patched_file(stage: Stage) -> None:
    path = stage.directory / "out" / "config.json"

    def others_and_token() -> tuple[object, str]:
        found = json.loads(path.read_text())
        entry = found["auths"].pop("registry.example.com", {"auth": ""})
        return found, base64.b64decode(entry["auth"]).decode().removeprefix("bot:")

    def is_same() -> bool | None:
        return others_and_token()[1] == stage.client.get("topstepx").access_token or None

    stage.until(f"{path} holds the token of topstepx", is_same)
    if others_and_token()[0] != json.loads(DOCKER_CONFIG):
        raise DemoFailedError(f"{path} lost something of its owner's")
    stage.say("✓", "topstepx", "set in out/config.json; everything else in it is as before")


def _show_store(stage: Stage) -> None:
    place = {"projectId": "sandbox-project", "environmentId": "sandbox-environment", "serviceId": "bot"}
    headers = {"Project-Access-Token": SECRETS["railway"], "Content-Type": "application/json"}

    def is_same() -> bool | None:
        found = stage.read("/graphql/v2", headers, {"query": "query { variables }", "variables": place})
        return found["data"]["variables"].get("JWT_TOKEN") == stage.client.get("topstepx").access_token or None

    stage.until("Railway's variable holds the token of topstepx", is_same)
    stage.say("✓", "topstepx", "written to JWT_TOKEN at Railway, the same token")
    stage.until("Railway redeploys the service", lambda: _deployments(stage) or None)
    stage.say("✓", "railway", f"redeployed the service bot with it: {_deployments(stage)} deployment")


def _deployments(stage: Stage) -> int:
    services = stage.read("/_sandbox/railway")["services"]
    return sum(int(one["deployments"]) for one in services if one["service"] == "bot")


def _show_use(stage: Stage) -> None:
    _expect(200, stage.call("/portfolio", stage.client.get("partner").headers), "the partner API")
    stage.say("✓", "partner", "GET /portfolio accepted it: 200")


def _show_payment(stage: Stage) -> None:
    path = "/api/wallet/transfer"
    payment = stage.client.issue("wallet", url=path, **ORDER)
    _expect(200, stage.call(path, payment.headers, ORDER), "the wallet")
    stage.say("✓", "wallet", "issued a JWT that hashes the order; payment accepted: 200")
    _expect(401, stage.call(path, payment.headers, {**ORDER, "amount": "1000"}), "the wallet, to another order,")
    stage.say("✓", "wallet", "the same JWT with another amount: 401, another hash")


def _show_login_link(stage: Stage) -> None:
    link = str(stage.client.issue("login-links", **USER).extra["loginLink"])
    path = link[link.index("/login/") :]
    _expect(200, stage.call(path), "the login link")
    stage.say("✓", "login-links", "issued a single-use login link; it logged the user in: 200")
    _expect(410, stage.call(path), "the used link")
    stage.say("✓", "login-links", "the same link again: 410, already used")


def _show_refresh(stage: Stage, name: str, *, after: int) -> None:
    stage.until(f"{name} is refreshed", lambda: _generation(stage, name) > after or None)
    stage.say("✓", name, f"refreshed by itself: {stage.describe(name)}")


def _show_wrong_secret(stage: Stage) -> None:
    stage.write_secret("projectx-key", "a-wrong-key")
    stage.say("!", "topstepx", "secrets/projectx-key now holds a wrong api_key")
    row = stage.until("topstepx is rejected", lambda: stage.row("topstepx", "rejected"))
    stage.say("!", "topstepx", f"state rejected, no further attempt: {row['last_error']['detail']}")
    others = [name for name in HELD if name != "topstepx"]
    if any(stage.row(name, "valid") is None for name in others):
        raise DemoFailedError("another provider is no longer valid")
    stage.say("✓", "others", f"{', '.join(others)} are still valid")
    stage.write_secret("projectx-key", SECRETS["projectx-key"])
    stage.say("!", "topstepx", "the right api_key again; the daemon was not restarted")
    stage.until("topstepx recovers", lambda: stage.row("topstepx", "valid"))
    stage.say("✓", "topstepx", f"recovered: {stage.describe('topstepx')}")


def _generation(stage: Stage, name: str) -> int:
    """Return the present generation. Raises a `TokendError` while there is no token."""
    generation = stage.client.get(name).generation
    if generation is None:
        raise DemoFailedError(f"{name} was served without a generation")
    return generation


def _expect(status: int, found: int, who: str) -> None:
    if found != status:
        raise DemoFailedError(f"{who} answered {found} where {status} was expected")
