"""HTTP/1.1 server of the sandbox: sockets, threads, start and stop. The answers come from the stage."""

import contextlib
import json
import logging
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from tokend.sandbox.control import PREFIX, Control
from tokend.sandbox.messages import Reply, Request, json_reply
from tokend.sandbox.options import Options, is_loopback
from tokend.sandbox.request_body import BadBodyError, read_body
from tokend.sandbox.stage import Stage

# Longer than httpx keeps an idle connection (5 s), so that the client closes it first.
IDLE_SECONDS = 75
CLOSING_SECONDS = 5.0

_log = logging.getLogger("tokend.sandbox")


class Sandbox:
    """Running sandbox. ``url`` has no slash at its end. End it by `close`, or use it as a context manager."""

    def __init__(self, options: Options) -> None:
        """Listen. Raises OSError if the port is taken, and sqlite3.Error if the database cannot be opened."""
        self.stage = Stage(options)
        try:
            self._server = _Server(options.host, options.port, self.stage)
        except OSError:
            self.stage.close()
            raise
        self.port: int = self._server.server_address[1]
        host = f"[{options.host}]" if ":" in options.host else options.host
        self.url = f"http://{host}:{self.port}"
        # The default, a check for the end every 0.5 s, is slow for tests that open and close many sandboxes.
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="sandbox", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening, end all connections and delayed answers, and free the port. May be called again."""
        self.stage.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.end_connections()
        self._server.server_close()
        self.stage.close()

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def start(options: Options | None = None) -> Sandbox:
    """Start a sandbox in threads of this process and return it listening. Raises the errors of `Sandbox`."""
    return Sandbox(options or Options())


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # a forgotten close must not keep the interpreter from ending
    request_queue_size = 1024

    def __init__(self, host: str, port: int, stage: Stage) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.stage = stage
        self.control = Control(stage)
        self._lock = threading.Lock()
        self._connections: dict[socket.socket, threading.Thread] = {}
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        # A sandbox that was just ended on this port leaves connections in TIME_WAIT.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # HTTPServer.server_bind would ask the resolver for the name of the address.
        socket.socket.bind(self.socket, self.server_address[:2])
        self.server_address = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(target=self._serve, args=(request, client_address), daemon=True)
        with self._lock:
            self._connections[request] = thread
        thread.start()

    def _serve(self, request: socket.socket, client_address: Any) -> None:
        try:
            self.process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._connections.pop(request, None)

    def end_connections(self) -> None:
        """Shut all connections down and join their threads, so that none outlives `close`."""
        with self._lock:
            connections = dict(self._connections)
        for connection, thread in connections.items():
            with contextlib.suppress(OSError):  # the connection has ended already
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(CLOSING_SECONDS)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: the only error here is a client's disconnect."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "tokend-sandbox"
    sys_version = ""
    timeout = IDLE_SECONDS
    wbufsize = 64 * 1024  # head and body leave in one piece
    disable_nagle_algorithm = True
    server: _Server

    def _respond(self) -> None:
        body = self._read_body()
        if body is not None:
            self._send(self._answer(body))

    # All methods: the vendor decides which ones it has.
    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _respond  # noqa: N815

    def _read_body(self) -> bytes | None:
        try:
            return read_body(self.headers, self.rfile)
        except BadBodyError as error:
            if error.status is not None:
                self.send_error(error.status)
            self.close_connection = True
            return None

    def _answer(self, body: bytes) -> Reply:
        try:
            target = urlsplit(self.path)
        except ValueError:
            return json_reply(400, {"error": "the request's target is no path"})
        headers = {name.lower(): value for name, value in self.headers.items()}
        if not _is_local(headers.get("host", "")):
            # Without this check a web page could reach the sandbox by a name of its own (DNS rebinding).
            return json_reply(421, {"error": "the sandbox answers to loopback names only"})
        request = Request(method=self.command, path=target.path, query=target.query, headers=headers, body=body)
        try:
            if target.path == PREFIX or target.path.startswith(PREFIX + "/"):
                return self.server.control.answer(request)
            return self.server.stage.answer(request)
        except Exception:
            _log.exception("a bug in the sandbox")
            return json_reply(500, {"error": "a bug in the sandbox; its log says more"})

    def _send(self, reply: Reply) -> None:
        if reply.delivery == "none":
            self.close_connection = True
            return
        self.send_response(reply.status)
        if reply.status != 204:
            self.send_header("Content-Type", reply.content_type)
            self.send_header("Content-Length", str(len(reply.body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        cut = len(reply.body) // 2 if reply.delivery == "truncated" else len(reply.body)
        if self.command != "HEAD":
            self.wfile.write(reply.body[:cut])
        self.close_connection = self.close_connection or cut < len(reply.body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Answer a request that is not valid HTTP. Never repeats the request."""
        self.close_connection = True
        self.request_version = (
            self.protocol_version
        )  # a request line without a version would be answered as HTTP/0.9, without a head
        body = json.dumps({"error": self.responses.get(code, ("Bad Request", ""))[0]}).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Format the Date header, by the sandbox's clock."""
        return super().date_time_string(int(self.server.stage.clock.now()) if timestamp is None else int(timestamp))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing: request lines hold tokens."""


def _is_local(host: str) -> bool:
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False
