"""A vendor's clock that is an hour off: `tokend status` says so."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.cli.running import daemon, short_directory, write_config

CONFIG = """\
[daemon]
socket = "tokend.sock"
state_directory = "state"

[providers.one]
kind = "projectx"
base_url = "{url}"
username = {{ file = "secrets/projectx-username" }}
api_key = {{ file = "secrets/projectx-key" }}
"""


class Ahead(BaseHTTPRequestHandler):
    """An upstream whose clock is an hour ahead."""

    def do_POST(self) -> None:
        body = json.dumps({"success": True, "token": "fake-token", "expiresIn": 600}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return the value of the Date header."""
        return formatdate(time.time() + 3600, usegmt=True)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def ahead() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Ahead) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_status_says_that_the_vendors_clock_is_an_hour_ahead() -> None:
    """In words and as a warning of the row; the token is valid all the same."""
    with short_directory() as directory, ahead() as url, daemon(write_config(directory, CONFIG, url=url)) as running:
        row = running.becomes("one", "valid")
        (warning,) = [one for one in row["warnings"] if one["code"] == "upstream_clock"]
        host = url.removeprefix("http://")
        assert warning["message"].startswith(f"the clock of {host} is 1 h ahead of this machine's")
        assert f"the clock of {host} is 1 h ahead" in running.tokend("status", "one").out
