"""A host's rate limit that one provider meets holds back the others of the host: status, API and metrics say so."""

import json
import re
import socket
from pathlib import Path

from tests.cli.running import SECRETS, daemon, eventually, short_directory, tokend_as, write_config
from tests.small_server import QuietHandler, serving

CONFIG = """\
[daemon]
socket = "tokend.sock"
socket_mode = "0666"
state_directory = "state"

[providers.topstepx]
kind = "projectx"
base_url = "{url}"
username = {{ file = "secrets/tt-key" }}
api_key = {{ file = "secrets/projectx-key" }}
access = {{ users = ["root"] }}

[providers.other]
kind = "projectx"
base_url = "{url}"
username = {{ file = "secrets/projectx-username" }}
api_key = {{ file = "secrets/projectx-key" }}

[providers.links]
kind = "auth-token"
base_url = "{url}"
client_secret = {{ file = "secrets/xerve" }}
"""


class Limiting(QuietHandler):
    """An upstream that gives everybody a token for a minute, and one user a 429 of ten."""

    def post(self) -> None:
        login = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if login["userName"] == SECRETS["tt-key"]:
            self.reply(429, {}, {"Retry-After": "600"})
        else:
            self.reply(200, {"success": True, "token": "fake-token", "expiresIn": 1})


def test_who_is_held_back_by_anothers_rate_limit_says_until_when_and_by_whom() -> None:
    """In words, in the API and as a metric; who may not read the other token does not learn its name."""
    with (
        short_directory() as directory,
        serving(Limiting) as url,
        daemon(write_config(directory, CONFIG, url=url)) as running,
    ):
        host = url.removeprefix("http://")
        assert eventually(lambda: running.row("other")["paused_until"] is not None)
        for name in ("topstepx", "other", "links"):
            row = running.row(name)
            assert (row["paused_by"], row["paused_token"]) == (host, "topstepx")
            shown = running.tokend("status", name).out
            assert re.search(rf"next +paused until \d\d:\d\d:\d\d: {host} asked topstepx for a pause", shown), shown
        stranger = tokend_as(12345, "status", "-o", "json", TOKEND_SOCKET=str(running.socket))
        (seen,) = [row for row in json.loads(stranger.out)["tokens"] if row["name"] == "other"]
        assert (seen["paused_by"], seen["paused_token"]) == (host, None)
        assert "topstepx" not in stranger.out
        assert (
            "asked another token for a pause"
            in tokend_as(12345, "status", "other", TOKEND_SOCKET=str(running.socket)).out
        )
        assert b'tokend_token_paused_until_timestamp_seconds{token="other"} 1.' in page(running.socket)


def page(path: Path) -> bytes:
    """Get the metrics page."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return b"".join(iter(lambda: connection.recv(65536), b""))
