"""Shared parts of the tests of other programs: whether those are here, how they are run, and a server they talk to."""

import base64
import importlib.util
import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from tests.cli.running import PATIENCE_SECONDS, environment

ROOT = Path(__file__).parents[3]


@dataclass
class Upstream:
    """A server that wants to be logged in to, and what it was sent."""

    port: int = 0
    authorizations: list[str | None] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def upstream(answer: bytes = b"{}", *, tls: ssl.SSLContext | None = None) -> Iterator[Upstream]:
    """Answer a request with an Authorization header; challenge all others."""
    seen = Upstream()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.bodies.append(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
            seen.authorizations.append(self.headers.get("Authorization"))
            known = seen.authorizations[-1] is not None or self.command == "POST"
            self.send_response(200 if known else 401)
            if not known:
                self.send_header("WWW-Authenticate", "Basic realm=x")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET  # noqa: N815  (the library's names)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        seen.port = server.server_port
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield seen
        finally:
            server.shutdown()
            thread.join(PATIENCE_SECONDS)


def certified(authority: Path) -> ssl.SSLContext:
    """TLS for 127.0.0.1, by an authority whose certificate is written to a file."""
    ca, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(tls)
    ca.cert_pem.write_to_path(str(authority))
    return tls


def run(*argv: str, given: str = "", **environ: str) -> str:
    """Run a program that must succeed; returns its output."""
    done = subprocess.run(
        argv, input=given, capture_output=True, text=True, timeout=PATIENCE_SECONDS,
        env=environment(**{"PYTHONPATH": str(ROOT), "no_proxy": "*", **environ}),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def needs(program: str, *, packaged: bool = True) -> None:
    """Skip where a program is not there; where Debian does not package it (``packaged``) nobody can require it."""
    if shutil.which(program) is None:
        (lack if packaged else pytest.skip)(f"{program} is not installed")


def needs_package(*names: str) -> None:
    """Skip where a package is not installed; it is not imported here, where its warnings would be errors."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            lack(f"{name} is not installed: pip install botocore google-auth requests (too heavy for the extra)")


def needs_npm_package(name: str) -> None:
    """Skip where node does not find a package."""
    needs("node")
    found = subprocess.run(["node", "-e", "require.resolve(process.argv[1])", name], capture_output=True, check=False)
    if found.returncode != 0:
        lack(f"{name} is not installed: npm install {name}, and NODE_PATH=…/node_modules")


def lack(what: str) -> None:
    """Skip because of what this machine lacks, or fail where every reader is required ($TOKEND_REQUIRE_READERS=1)."""
    if os.environ.get("TOKEND_REQUIRE_READERS") == "1":
        pytest.fail(what)
    pytest.skip(what)


def basic(login: str, password: str) -> str:
    """An Authorization header."""
    return "Basic " + base64.b64encode(f"{login}:{password}".encode()).decode()
