"""A file of certificate authorities that is corrected in place is noticed: nobody waits for the backoff."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import trustme

from tests.cli.running import daemon, eventually, short_directory, write_config

CONFIG = """\
[daemon]
socket = "tokend.sock"
state_directory = "state"

[providers.one]
kind = "projectx"
base_url = "{url}"
username = {{ file = "secrets/projectx-username" }}
api_key = {{ file = "secrets/projectx-key" }}
ca_file = "ca.pem"
"""


class Login(BaseHTTPRequestHandler):
    """Gives everybody a token."""

    def do_POST(self) -> None:
        body = json.dumps({"success": True, "token": "fake-token", "expiresIn": 60}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


class Quiet(ThreadingHTTPServer):
    """A server whose failed handshakes print no traceback."""

    def handle_error(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def https(authority: trustme.CA) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with Quiet(("127.0.0.1", 0), Login) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://localhost:{server.server_address[1]}"
        server.shutdown()


def test_an_authority_that_is_replaced_in_its_file_ends_the_backoff(tmp_path: Path) -> None:
    """The configuration stays as it is; the file is watched like a secret."""
    wrong, right = trustme.CA(), trustme.CA()
    with short_directory() as directory, https(right) as url:
        wrong.cert_pem.write_to_path(str(directory / "ca.pem"))
        with daemon(write_config(directory, CONFIG, url=url)) as running:
            assert eventually(lambda: running.row("one")["failures"] >= 3)
            assert "not trusted" in running.row("one")["last_error"]["detail"]
            planned = running.row("one")["next_attempt_at"]
            right.cert_pem.write_to_path(str(tmp_path / "new.pem"))
            (tmp_path / "new.pem").rename(directory / "ca.pem")
            assert eventually(lambda: running.row("one")["valid"])
            assert datetime.now(UTC) < datetime.fromisoformat(planned)
