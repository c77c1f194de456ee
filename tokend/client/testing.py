"""`FakeTokend`: a fake daemon for the tests of programs that use tokend. Standard library only, no upstream.

from tokend.client.testing import FakeTokend

def test_my_program_survives_a_refused_token():
    with FakeTokend({"tt": ["first", "second"]}) as tokend:   # sets $TOKEND_SOCKET
        my_program()                                          # TokendAuth, `tokend get`, curl: all are answered
        assert tokend.reports == [("tt", 1, "unauthorized")]
"""

import json
import os
import shutil
import socketserver
import tempfile
import threading
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LIFE = timedelta(hours=1)


class FakeTokend:
    """Serve scripted tokens on a real Unix socket, from threads, while the ``with`` block lasts.

    ``tokens`` has one token or several for each name. A refresh (and `rotate`) goes on to the next; after the last, a
    refresh returns the same token, like an upstream that has no other. Generations count from 1. ``headers`` are those
    of a token in addition to ``Authorization``. ``request_ids`` maps a name to the query parameter in which its
    upstream wants an id in each call (tt: ``requestId``). Without ``environ``, $TOKEND_SOCKET stays unchanged.

    Reads (with long polls and text/plain), refreshes, request ids and the list work; all other requests are answered
    with 405.
    """

    def __init__(
        self,
        tokens: Mapping[str, str | Sequence[str]],
        *,
        headers: Mapping[str, Mapping[str, str]] | None = None,
        request_ids: Mapping[str, str] | None = None,
        environ: bool = True,
    ) -> None:
        self._changed = threading.Condition()
        self._tokens = {
            name: _Scripted(
                name, [given] if isinstance(given, str) else list(given), dict((headers or {}).get(name, {}))
            )
            for name, given in tokens.items()
        }
        self._request_ids = dict(request_ids or {})
        self._environ = environ
        self._before: str | None = None
        self._closing = False
        self.socket = ""
        self.requests: list[str] = []
        """Each request so far, as "GET /v1/tokens/tt"."""
        self.reports: list[tuple[str, int | None, str | None]] = []
        """Each requested refresh: name, if_generation, reason."""

    def rotate(self, name: str, token: str | None = None) -> int:
        """Go on to the next token of the script, or to ``token``. Returns its generation."""
        with self._changed:
            scripted = self._tokens[name]
            if token is not None:
                scripted.script.insert(scripted.position + 1, token)
            if not scripted.advance():
                raise ValueError(f"the script of {name} has no further token; give one")
            self._changed.notify_all()
            return scripted.generation

    def reject(self, name: str, detail: str = "the credentials were rejected") -> None:
        """Answer reads and refreshes of this token with 503 ``login_required`` until the next `rotate`."""
        with self._changed:
            self._tokens[name].rejection = detail

    def __enter__(self) -> "FakeTokend":
        # A directory in /tmp: a socket's path has at most 107 bytes, and a test's own directory may be longer.
        self._directory = tempfile.mkdtemp(prefix="tk-", dir="/tmp")
        self.socket = f"{self._directory}/tokend.sock"
        self._server = _Server(self.socket, self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="FakeTokend", daemon=True)
        self._thread.start()
        if self._environ:
            self._before = os.environ.get("TOKEND_SOCKET")
            os.environ["TOKEND_SOCKET"] = self.socket
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._environ and self._before is None:
            os.environ.pop("TOKEND_SOCKET", None)
        elif self._environ and self._before is not None:
            os.environ["TOKEND_SOCKET"] = self._before
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        shutil.rmtree(self._directory)

    def _answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> "_Answer":
        path = urlsplit(target).path
        with self._changed:
            self.requests.append(f"{method} {path}")
            if (method, path) == ("GET", "/v1/tokens"):
                return _answered({"version": 1, "tokens": [one.row() for one in self._tokens.values()]})
            name, _, action = path.removeprefix("/v1/tokens/").partition("/")
            scripted = self._tokens.get(unquote(name))
            if scripted is None or not path.startswith("/v1/tokens/"):
                return _problem(404, "unknown_token", "no such token")
            if (method, action) == ("POST", "refresh"):
                return self._refresh(scripted, body)
            if (method, action) == ("POST", "request-id") and scripted.name in self._request_ids:
                return _answered({"request_id": f"FakeApp-FakeCompany--{uuid.uuid4()}"})
            if (method, action) != ("GET", ""):
                return _problem(405, "not_supported", "FakeTokend does not have this request")
            return self._read(scripted, target, headers)

    def _read(self, scripted: "_Scripted", target: str, headers: Mapping[str, str]) -> "_Answer":
        known = headers.get("If-None-Match")
        if (wish := headers.get("Prefer", "")).startswith("wait="):
            self._changed.wait_for(
                lambda: self._closing or (scripted.rejection is None and scripted.etag != known), float(wish[5:])
            )
        if scripted.rejection is not None:
            return _problem(503, "login_required", scripted.rejection)
        if scripted.etag == known:
            return 304, "application/json", b"", {"ETag": scripted.etag}
        if (asked := _seconds(target)) is not None and asked > LIFE.total_seconds():
            return _problem(503, "token_unavailable", "a fresh token does not live that long")
        if headers.get("Accept") == "text/plain":
            return 200, "text/plain", scripted.token.encode(), {"ETag": scripted.etag}
        return self._lease(scripted)

    def _refresh(self, scripted: "_Scripted", body: bytes) -> "_Answer":
        given = json.loads(body or b"{}")
        generation = given.get("if_generation")
        self.reports.append((scripted.name, generation, given.get("reason")))
        if generation is not None and generation > scripted.generation:
            return _problem(409, "generation_conflict", f"the newest is {scripted.generation}")
        if scripted.rejection is not None:
            return _problem(503, "login_required", scripted.rejection)
        if generation in (None, scripted.generation) and scripted.advance():
            self._changed.notify_all()
        return self._lease(scripted)

    def _lease(self, scripted: "_Scripted") -> "_Answer":
        parameter = self._request_ids.get(scripted.name)
        further = {} if parameter is None else {"Request-Id-Parameter": parameter}
        return _answered(scripted.lease(), {"ETag": scripted.etag, **further})


# Status, content type, body, further headers.
_Answer = tuple[int, str, bytes, Mapping[str, str]]


class _Scripted:
    """One token's script and the position in it."""

    def __init__(self, name: str, script: list[str], headers: dict[str, str]) -> None:
        if not script:
            raise ValueError(f"{name} needs a token to begin with")
        self.name, self.script, self.headers = name, script, headers
        self.position = 0
        self.rejection: str | None = None
        self._issued = datetime.now(UTC).replace(microsecond=0)

    @property
    def token(self) -> str:
        return self.script[self.position]

    @property
    def generation(self) -> int:
        return self.position + 1

    @property
    def etag(self) -> str:
        return f'"{self.generation}"'

    def advance(self) -> bool:
        if self.position + 1 == len(self.script):
            return False
        self.position += 1
        self.rejection = None
        self._issued = datetime.now(UTC).replace(microsecond=0)
        return True

    def lease(self) -> dict[str, Any]:
        """Return the answer to a read, with all fields of the real daemon's."""
        expires = self._issued + LIFE
        return {
            "version": 1,
            "name": self.name,
            "access_token": self.token,
            "token_type": "Bearer",
            "issued_at": _written(self._issued),
            "expires_at": _written(expires),
            "expires_at_unix": int(expires.timestamp()),
            "refresh_at": _written(self._issued + LIFE * 0.8),
            "generation": self.generation,
            "fingerprint": f"{self.generation:012x}",
            "headers": {"Authorization": f"Bearer {self.token}", **self.headers},
        }

    def row(self) -> dict[str, Any]:
        """Return the token's row in the list."""
        same = {key: self.lease()[key] for key in ("name", "expires_at", "refresh_at", "generation", "fingerprint")}
        rejected = self.rejection is not None
        return {**same, "kind": "fake", "state": "rejected" if rejected else "valid", "valid": not rejected}


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True  # a client that stays connected must not keep a test from ending
    request_queue_size = 1024

    def __init__(self, path: str, fake: FakeTokend) -> None:
        self.fake = fake
        super().__init__(path, _Handler)
        Path(path).chmod(0o600)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: the only error here is a client's disconnect."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 64 * 1024  # head and body leave in one piece
    server: _Server

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        headers = {name.title(): value for name, value in self.headers.items()}
        status, kind, body, further = self.server.fake._answer(
            self.command, self.path, headers, self.rfile.read(length)
        )
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        for name, value in further.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815

    def address_string(self) -> str:
        """Return a constant, because a Unix socket's peer has no address."""
        return "unix"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing."""


def _answered(value: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> _Answer:
    return 200, "application/json", json.dumps(value).encode(), headers or {}


def _problem(status: int, code: str, detail: str) -> _Answer:
    body = {"type": "about:blank", "title": code, "status": status, "code": code, "detail": detail}
    return status, "application/problem+json", json.dumps(body).encode(), {}


def _seconds(target: str) -> float | None:
    """Return the seconds of ``min_ttl`` in a request target, None without one."""
    wish = parse_qs(urlsplit(target).query).get("min_ttl", [None])[0]
    if wish is None:
        return None
    unit = next(unit for unit in ("ms", "s", "m", "h", "d") if wish.endswith(unit))
    return float(wish.removesuffix(unit)) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}[unit]


def _written(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
