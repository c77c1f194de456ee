"""Planted secrets, searched for in everything the daemon shows; and what keeps others from its memory and files."""

import os
import re
import resource
import stat
import subprocess
from pathlib import Path

import pytest

from tests.daemon.harness import Home, at_home, until
from tests.daemon.tables import ALL_KINDS, DAEMON, PARTNER

USER = {"clientId": "CLIENT_001", "username": "u", "displayName": "Some User", "ipAddress": "127.0.0.1"}
PLANTED = {
    "px-user": "planted-fake-user-0",
    "px-key": "planted-fake-secret-1",
    "tt-key": "planted-fake-key-2",
    "tt-secret": "planted-fake-secret-3",
    "partner": "planted-fake-secret-4-of-32-bytes-or-more",
    "wallet-key": "planted-fake-key-5",
    "wallet-secret": "planted-fake-secret-6-of-32-bytes-or-more",
    "xerve": "planted-fake-secret-7-of-32-bytes-or-more",
}
# The account's name is no secret to those who see its status, but it has no business anywhere either.
ACCEPTED = {
    "projectx_username": "px-user",
    "projectx_api_key": "px-key",
    "tt_api_key": "tt-key",
    "tt_api_secret": "tt-secret",
    "partner_secret": "partner",
    "wallet_key": "wallet-key",
    "wallet_secret": "wallet-secret",
    "xerve_client_secret": "xerve",
}
TOKEN = re.compile(rb"eyJ[A-Za-z0-9_-]{8,}")


def test_no_secret_and_no_token_is_shown_anywhere():
    """docs/promises.md P4: in no log at debug level, argv, status, list, metrics, event, error, file of another."""
    with at_home(**{option: PLANTED[name] for option, name in ACCEPTED.items()}) as home:
        for name, value in PLANTED.items():
            home.secret(name, value)
        literal = ALL_KINDS.replace('{{ file = "s/px-key" }}', '"planted-fake-secret-1"')
        by_env = literal.replace('{{ file = "s/wallet-secret" }}', '{{ env = "PLANTED" }}')
        hook = 'on_change = ["sh", "-c", "env > out/seen; tr \'\\\\0\' \' \' < /proc/$$/cmdline >> out/seen"]\n'
        home.write(by_env.replace('path = "out/bot.env"', f'path = "out/bot.env"\n{hook}'),
                   daemon=DAEMON + 'log_level = "debug"\n')  # fmt: skip
        daemon = home.start(PLANTED=PLANTED["wallet-secret"]).settled()
        tokens = [daemon.lease(name)["access_token"] for name in ("px", "tt", "partner")]
        tokens.append(
            daemon.ask("POST", "/v1/tokens/wallet/issue", {"amount": "1", "orderId": "2", "currency": "B"}).body
        )
        until(lambda: home.out("seen").exists(), "the hook")

        shown = {"cmdline": Path(f"/proc/{daemon.process.pid}/cmdline").read_bytes()}
        for target in ("/v1/status", "/v1/tokens", "/metrics", "/openapi.json", "/readyz", "/v1/tokens/none"):
            shown[target] = daemon.get(target).body
        # Errors of each sort, upstream, by parameters, by configuration.
        shown["wrong"] = daemon.ask("POST", "/v1/tokens/links/issue", {**USER, "x": "y"}).body
        home.secret("xerve", PLANTED["xerve"] + "x")
        for turn in range(2):
            shown[f"refused {turn}"] = daemon.ask("POST", "/v1/tokens/links/issue", USER).body
        home.config.write_text(
            home.config.read_text() + f'\n[providers.bad]\nkind = "jwt"\nscret = "{PLANTED["partner"]}"\n'
        )
        shown["reload"] = daemon.ask("POST", "/v1/reload").body
        shown["check"] = (done := home.run("check", str(home.config))).stdout.encode() + done.stderr.encode()
        shown["status after it"] = daemon.get("/v1/status").body
        home.secret("px-user", PLANTED["px-user"] + "x")
        shown["refresh"] = daemon.ask("POST", "/v1/tokens/px/refresh").body
        daemon.end()
        shown["log"] = home.log.read_bytes()
        shown["notes"] = "\n".join(daemon.notes).encode()
        shown["seen by the hook"] = home.out("seen").read_bytes()
        assert b"level=debug" in shown["log"]

        secrets = [value.encode() for value in PLANTED.values()]
        for where, text in shown.items():
            assert [secret for secret in secrets if secret in text] == [], where
            assert TOKEN.findall(text) == [], where
        _search_files(home, [token.encode() if isinstance(token, str) else token for token in tokens[:3]], secrets)


def _search_files(home: Home, tokens: list[bytes], secrets: list[bytes]) -> None:
    """Tokens are in their sinks' files and the private state, secrets only where somebody wrote them."""
    sinks = {"bot.env", "tt_token.json", "partner.jwt"}
    for path in home.path.rglob("*"):
        if path.is_file() and path != home.config and path.parent.name != "s":
            content = path.read_bytes()
            private = path.is_relative_to(home.path / "state")  # headers to send are kept there, a key among them
            assert private or [secret for secret in secrets if secret in content] == [], path
            if private or path.name in sinks:
                assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
            else:
                assert [token for token in tokens if token in content] == [], path


def test_the_state_is_for_the_owner_alone(home: Home):
    """0700 and 0600, whatever the umask."""
    old = os.umask(0)
    try:
        daemon = home.start(PARTNER).settled()
    finally:
        os.umask(old)
    state = home.path / "state"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (state, *state.rglob("*"))}
    assert modes == {"state": 0o700, "tokens": 0o700, "lock": 0o600, "salt": 0o600, "partner.json": 0o600}
    # Somebody opened it: the next start closes what is inside. The directory itself may be the operator's (/srv …).
    daemon.end()
    state.chmod(0o755)
    (state / "tokens").chmod(0o755)
    home.start()
    assert stat.S_IMODE((state / "tokens").stat().st_mode) == 0o700


def test_the_process_is_closed_to_others_and_has_room(home: Home):
    """docs/promises.md 71, 108, 109: not dumpable, no core, as many descriptors as the hard limit allows."""
    wrap = ("prlimit", "--nofile=256:4096")
    home.write(PARTNER)
    daemon = home.start(wrap=wrap).settled()
    proc = Path(f"/proc/{daemon.process.pid}")
    soft, hard = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
    assert (soft, hard) == (4096, 4096)
    assert resource.prlimit(daemon.process.pid, resource.RLIMIT_CORE) == (0, 0)
    status = proc.joinpath("status").read_text()
    assert re.search(r"^Umask:\t0077$", status, re.MULTILINE)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run it in another group")
def test_nobody_of_the_same_uid_can_look_into_it(home: Home):
    """docs/promises.md 109: the kernel gives /proc/PID of an undumpable process to root and its group (proc(5))."""
    wrap = ("setpriv", "--regid=54321", "--clear-groups")
    with subprocess.Popen([*wrap, "sleep", "60"]) as ordinary:
        until(lambda: Path(f"/proc/{ordinary.pid}/environ").stat().st_gid == 54321, "an ordinary process")
        ordinary.kill()
    home.write(PARTNER)
    daemon = home.start(wrap=wrap).settled()
    assert Path(f"/proc/{daemon.process.pid}/environ").stat().st_gid == 0
