"""The event loop's thread waits for no disk, no name and no other process while the daemon serves."""

import socket
import sys
from contextlib import closing
from pathlib import Path

from tests.behaviour.api.test_loopback_port import get
from tests.daemon.harness import Daemon, Home, loopback_address, until
from tests.daemon.tables import DAEMON, PARTNER, PX

SECRET = "obviously-fake-secret-of-the-loopback-port"
WATCHED = str(Path(__file__).with_name("loop_thread.py"))
ACCESS = 'access = {{ users = ["root", "no-such-user"], groups = ["no-such-group"] }}\n'
SINKS = """
[[providers.partner.sinks]]
kind = "socket"
path = "out/partner.sock"

[[providers.partner.sinks]]
kind = "json"
path = "out/partner.json"
on_change = ["true"]
"""
OTHERS = """
[providers.minted]
kind = "command"
command = ["printf", "fake-token"]
env = {{ KEY = {{ file = "s/partner" }} }}

[providers.renewed]
kind = "file"
path = "s/token"
select = "token"
"""


def drive(home: Home, daemon: Daemon, listen: str) -> None:
    """Make every kind of request, and change what the daemon watches."""
    for target in ("/v1/tokens", "/v1/status", "/metrics", "/openapi.json", "/livez", "/readyz", "/nowhere"):
        assert daemon.get(target).status in (200, 404)
        assert get(listen, target, SECRET).status in (200, 404)
    assert get(listen, "/v1/tokens/px", "obviously-fake-guess-that-is-wrong").status == 401
    for name in ("minted", "renewed"):
        assert daemon.lease(name)
        assert daemon.ask("POST", f"/v1/tokens/{name}/refresh", {}).status == 200
    for _ in range(3):
        assert daemon.lease("px")
        assert daemon.lease("partner")
    assert daemon.ask("POST", "/v1/tokens/partner/refresh", {}).status == 200
    assert daemon.ask("POST", "/v1/tokens/partner/forget", {}).status in (200, 204)
    assert daemon.ask("POST", "/v1/reload?dry_run=true").status == 200
    assert daemon.ask("POST", "/v1/reload").status == 200
    until(lambda: daemon.lease("partner"), "a new token")
    for path in (home.out("partner.sock"), home.socket.parent / "credentials.sock"):
        with closing(socket.socket(socket.AF_UNIX)) as client:
            client.settimeout(20)
            client.connect(str(path))
            client.recv(65536)
    home.secret("partner", "another-fake-secret-of-the-partner")
    home.secret("token", '{"token": "another-fake-token"}')
    until(lambda: daemon.lease("renewed")["access_token"] == "another-fake-token", "the watch")
    until(lambda: daemon.log("secret.changed"), "the watch")
    home.socket.unlink()
    until(lambda: daemon.lease("partner"), "the socket")
    home.write(PARTNER, PX, daemon=home.config.read_text().partition("\n[providers")[0] + "\n")
    until(lambda: len(daemon.log("config.loaded")) > 1, "a reload by the watch")


def test_the_loop_opens_no_file_looks_up_no_name_and_starts_no_process(home: Home) -> None:
    """Whatever clients ask and administrators change. /proc is the kernel's memory."""
    listen = loopback_address()
    home.secret("listen", SECRET)
    home.secret("token", '{"token": "fake-token"}')
    home.write(
        PARTNER.replace("[providers.partner]\n", "[providers.partner]\n" + ACCESS) + SINKS, PX, OTHERS,
        daemon=DAEMON + 'credentials_socket = "run/credentials.sock"\n'
        f'listen = "{listen}"\nlisten_secret = {{ file = "s/listen" }}\n',
    )  # fmt: skip
    notes = home.path / "notes"
    python = sys.executable
    # The daemon's command is `python -m tokend run …`; this one watches it.
    code = f"import os, sys; os.execv({python!r}, [{python!r}, {WATCHED!r}, {str(notes)!r}, *sys.argv[4:]])"
    daemon = home.start(wrap=(python, "-c", code)).settled()
    drive(home, daemon, listen)
    assert daemon.end() == 0
    assert notes.exists()
    assert not notes.read_text(), notes.read_text()


def test_the_watch_notices_a_file_that_the_loop_opens(home: Home) -> None:
    """It would prove nothing otherwise: an administrator's command makes the loop's thread look at a file."""
    notes = home.path / "notes"
    code = (
        "import sys, threading, tests.behaviour.daemon.loop_thread as watched\n"
        "import tokend.service_manager.notify as notify\n"
        "class Looking(notify.Notifier):\n"
        "    def status(self, text):\n"
        "        open('/etc/hostname').close()\n"
        "        super().status(text)\n"
        "notify.Notifier = Looking\n"
        f"sys.exit(watched.main({str(notes)!r}, sys.argv[4:]))"
    )
    home.write(PARTNER)
    daemon = home.start(wrap=(sys.executable, "-c", code), PYTHONPATH=str(Path(__file__).parents[3])).settled()
    until(lambda: "/etc/hostname" in notes.read_text(), "the note")
    assert daemon.end() == 0
