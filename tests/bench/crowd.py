"""A daemon with thousands of providers of all five kinds, and the one upstream that they log in at."""

import asyncio
import json
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tokend.engine.records.codec import dump, load
from tokend.engine.records.token_states import Held
from tokend.machine.clock import SystemClock
from tokend.state.directory import boot_id

# Of every five providers one of each kind: three are held, two are on demand. Each tt has a key of its own: those that
# share one wait for each other, ten seconds each.
KINDS = ("projectx", "tt", "jwt", "request-jwt", "auth-token")
TABLES = {
    "projectx": 'base_url = "{url}"\nusername = {{ env = "USERNAME" }}\napi_key = {{ file = "secrets/{name}" }}\n',
    "tt": (
        'base_url = "{url}"\nenvironment = "uat"\napi_key = {{ file = "secrets/{name}" }}\n'
        'api_secret = {{ file = "secrets/{name}" }}\napp_name = "Bench"\ncompany_name = "YourCompany"\n'
    ),
    "jwt": 'secret = {{ file = "secrets/{name}" }}\nttl = "12h"\nclaims = {{ clientId = "{name}" }}\n',
    "request-jwt": 'key = {{ env = "APP_KEY" }}\nsecret = {{ file = "secrets/{name}" }}\n',
    "auth-token": 'base_url = "{url}"\nclient_secret = {{ file = "secrets/{name}" }}\n',
}
# Nothing here is a secret.
ENVIRON = {"USERNAME": "crowd", "APP_KEY": "crowd-key"}
HEAD = '[daemon]\nsocket = "tokend.sock"\nstate_directory = "state"\n'
LIFE_SECONDS = 12 * 3600


def names(count: int) -> list[str]:
    """The providers' names; the kind is in them."""
    return [f"{KINDS[number % len(KINDS)]}-{number:05d}" for number in range(count)]


def held(count: int) -> list[str]:
    """Those that hold a token."""
    return [name for name in names(count) if name.startswith(("projectx", "tt", "jwt"))]


def configure(directory: Path, url: str, *, count: int, sinks: int) -> None:
    """Write the configuration, a secret file for each provider, and a json sink for the first ``sinks`` held ones."""
    for made in ("secrets", "files"):
        (directory / made).mkdir(parents=True, exist_ok=True)
    written = set(held(count)[:sinks])
    tables = [HEAD]
    for name in names(count):
        secret = directory / "secrets" / name
        secret.write_text(f"obviously-not-a-secret-of-{name}\n")
        secret.chmod(0o600)
        kind = name.rpartition("-")[0]
        tables.append(f'[providers.{name}]\nkind = "{kind}"\n' + TABLES[kind].format(url=url, name=name))
        if name in written:
            tables.append(f'[[providers.{name}.sinks]]\nkind = "json"\npath = "files/{name}.json"\n')
    (directory / "config.toml").write_text("\n".join(tables))


def make_due(directory: Path) -> None:
    """Let every stored token be one that should have been replaced while the daemon was down."""
    now = SystemClock().instant()
    for path in (directory / "state" / "tokens").glob("*.json"):
        name, record = load(path.read_bytes(), boot_id=boot_id(), now=now)
        if isinstance(record.token, Held):
            token = replace(record.token, lease=replace(record.token.lease, refresh_at=now.after(-1)))
            due = replace(record, token=token)
            path.write_bytes(dump(name, due, boot_id()))


class Upstream:
    """Log everybody in at once, and keep the moment of each request. Run as ``python -m tests.bench.crowd PORT_FILE``.

    ``GET /seen`` gives the moments since it was last asked for.
    """

    def __init__(self) -> None:
        self.seen: list[float] = []

    async def serve(self, port_file: Path) -> None:
        """Listen on a free port of loopback until cancelled."""
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0, backlog=4096)
        beside = port_file.with_suffix(".new")
        beside.write_text(str(server.sockets[0].getsockname()[1]))
        beside.rename(port_file)
        await server.serve_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    await reader.readexactly(int(line.partition(b":")[2]))
            body = json.dumps(self._body(head.split(b" ")[1].decode())).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body))
            writer.write(body)
            await writer.drain()
        writer.close()

    def _body(self, target: str) -> object:
        if target == "/seen":
            seen, self.seen = self.seen, []
            return seen
        self.seen.append(time.monotonic())
        token = f"opaque-{time.monotonic_ns()}".ljust(400, "x")  # as long as a JWT of this kind
        if target.startswith("/ttid"):
            return {
                "status": "Ok", "access_token": token, "token_type": "bearer", "seconds_until_expiry": LIFE_SECONDS
            }  # fmt: skip
        return {"token": token, "success": True, "errorCode": 0, "expiresIn": LIFE_SECONDS // 60}


if __name__ == "__main__":
    asyncio.run(Upstream().serve(Path(sys.argv[1])))
