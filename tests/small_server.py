"""A small HTTP server for tests: a handler that prints nothing, served on loopback until the end of a block."""

import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class QuietHandler(BaseHTTPRequestHandler):
    """A handler that prints nothing. A test gives it `get`, `post`, or one for both."""

    def get(self) -> None:
        """Answer a GET."""
        self.send_error(405)

    def post(self) -> None:
        """Answer a POST, as a GET unless a test says otherwise."""
        self.get()

    def do_GET(self) -> None:
        self.get()

    def do_POST(self) -> None:
        self.post()

    def reply(self, status: int, content: object, headers: Mapping[str, str] | None = None) -> None:
        """Answer with JSON."""
        body = json.dumps(content).encode()
        self.send_response(status)
        own = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        for name, value in (own | dict(headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def handle_error(self, *_: Any) -> None:
        """Print nothing: what can fail here is a client that went away, or a handshake."""


@contextmanager
def serving(handler: type[QuietHandler], context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve until the end of the block; yields the URL. With ``context`` by TLS, as localhost."""
    server = _Server(("127.0.0.1", 0), handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        host = "http://127.0.0.1" if context is None else "https://localhost"
        yield f"{host}:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
