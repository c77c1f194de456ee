"""A remote sink for tests, and the store that it writes to: in memory on the virtual clock, or behind a real socket.

The store speaks HTTP: GET, PUT and DELETE of ``/KEY`` with JSON values, ``ETag`` as version, ``Authorization``.
"""

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit

import anyio

from tokend.machine.clock import Clock
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.remote_sink import RemoteSinkSettings
from tokend.plugin.secret_source import SecretField
from tokend.plugin.settings import part_of
from tokend.plugin.sink import Content, Mark, SinkRuntime
from tokend.plugin.store_status import refuse_write
from tokend.values.errors import SinkConflictError, SinkFinalError, TransientError
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.tokens import Lease
from tokend.values.url import host_of

PASSWORD = "planted-fake-store-password"


class StoreSink(RemoteSinkSettings):
    """A key of the store; with ``tokens`` it holds those too, by name."""

    kind: Literal["store"] = "store"
    url: str = "http://127.0.0.1:1"
    key: str
    auth: SecretField

    @property
    def target(self) -> str:
        return f"store:{self.key}"

    @property
    def upstream(self) -> str | None:
        return host_of(self.url)

    def exclusive_targets(self) -> frozenset[str]:
        return frozenset({part_of(self.url, self.key)})

    async def content(self, runtime: SinkRuntime, lease: Lease, others: Mapping[str, Lease]) -> Content:
        made = await super().content(runtime, lease, others)
        if not self.tokens:
            return made
        values = {one.name: one.token.value for one in (lease, *others.values())}
        return Content(values, made.generation, made.expires_at)

    async def put(self, runtime: SinkRuntime, content: Content, known: Mark | None) -> Mark:
        values = content.values
        clear = values.reveal() if isinstance(values, Secret) else {key: one.reveal() for key, one in values.items()}
        reply = await self._exchange(runtime, "PUT", json.dumps(clear).encode(), known)
        return runtime.mark(values, version=reply.headers["etag"])

    async def remove(self, runtime: SinkRuntime, known: Mark | None) -> Mark:
        reply = await self._exchange(runtime, "DELETE", b"", known)
        return runtime.mark(None, version=reply.headers.get("etag"))

    async def inspect(self, runtime: SinkRuntime) -> Mark | None:
        reply = await self._exchange(runtime, "GET", b"", None)
        if reply.status == 405:
            return None
        if reply.status == 404:
            return runtime.mark(None)
        found = json.loads(reply.body)
        values = Secret(found) if isinstance(found, str) else {key: Secret(value) for key, value in found.items()}
        return runtime.mark(values, version=reply.headers["etag"])

    async def _exchange(self, runtime: SinkRuntime, method: str, body: bytes, known: Mark | None) -> UpstreamReply:
        headers: dict[str, str | Secret] = {"Authorization": await runtime.reveal(self.auth)}
        if known is not None and known.version is not None:
            headers["If-Match"] = known.version
        reply = await runtime.exchange(UpstreamRequest(method, f"{self.url}/{self.key}", headers, body))
        if reply.status in {200, 204} or (method != "PUT" and reply.status == 404) or reply.status == 405:
            return reply
        if reply.status not in {412, 413}:
            refuse_write(reply, self.target)
        if reply.status == 413:
            raise SinkFinalError(f"{self.target}: the store takes no value of this size")
        raise SinkConflictError(f"{self.target}: another writer has changed it")


@dataclass
class Store:
    """What the store holds, what it was asked, and how it misbehaves."""

    password: str = PASSWORD
    readable: bool = True
    failing: int | None = None  # a status that it answers to everything
    pause: str = ""  # its Retry-After with that status
    held: dict[str, tuple[int, Any]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    versions: int = 0

    def serve(self, method: str, key: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str, bytes]:
        """Answer one request: status, ETag, body."""
        self.requests.append(f"{method} {key}")
        version, value = self.held.get(key, (0, None))
        if self.failing is not None or headers.get("Authorization") != self.password:
            return self.failing or 403, "", headers.get("Authorization", "").encode()
        if method == "GET" and not self.readable:
            return 405, "", b""
        if headers.get("If-Match", str(version)) != str(version):
            return 412, str(version), b""
        if method == "PUT":
            self.versions += 1
            self.held[key] = (self.versions, json.loads(body))
            return 200, str(self.versions), b""
        if key not in self.held:
            return 404, "", b""
        if method == "DELETE":
            del self.held[key]
            return 204, "", b""
        return 200, str(version), json.dumps(value).encode()

    def sent(self, method: str) -> int:
        """How many requests of this method there were."""
        return sum(one.startswith(f"{method} ") for one in self.requests)


@dataclass
class Network:
    """The way to a `Store` on the virtual clock: it takes time, and may swallow requests or answers."""

    clock: Clock
    store: Store = field(default_factory=Store)
    latency_seconds: float = 0.05
    blocks: int = 0  # in which connections are kept
    begun: int = 0  # requests that were sent, whether they have arrived or not
    hanging: set[str] = field(default_factory=set)  # methods that get no answer, and have no effect
    losing: set[str] = field(default_factory=set)  # methods whose answer is lost after the effect, once each
    dead: dict[str, list[Instant]] = field(default_factory=dict)  # hosts that nobody reaches: when they were tried
    closing: bool = False  # a dead host accepts connections and closes them, as a balancer with nothing behind it
    at_once: Counter[str] = field(default_factory=Counter)  # by host: requests under way
    most_at_once: int = 0

    async def exchange(self, request: UpstreamRequest) -> UpstreamReply:
        """Carry one request to the store and its answer back."""
        self.begun += 1
        host = host_of(request.url)
        self.at_once[host] += 1
        self.most_at_once = max(self.most_at_once, self.at_once[host])
        try:
            return await self._exchange(request, host)
        finally:
            self.at_once[host] -= 1

    async def _exchange(self, request: UpstreamRequest, host: str) -> UpstreamReply:
        if host in self.dead:
            self.dead[host].append(self.clock.instant())
            if self.closing:
                raise TransientError(f"{host}: it closed the connection without an answer", is_answered=False)
            raise TransientError(f"{host}: no connection", repeatable=True)
        await anyio.sleep(self.latency_seconds)
        if request.method in self.hanging:
            await anyio.sleep_forever()
        headers = {name: value.reveal() if isinstance(value, Secret) else value for name, value in
                   request.headers.items()}  # fmt: skip
        sent_at = self.clock.instant()
        status, tag, body = self.store.serve(request.method, urlsplit(request.url).path[1:], headers, request.body)
        if request.method in self.losing:
            self.losing.discard(request.method)
            raise TransientError("127.0.0.1: it closed the connection without an answer")
        shown = {"etag": tag} if tag else {}
        if self.store.failing is not None and self.store.pause:
            shown["retry-after"] = self.store.pause
        return UpstreamReply(status, shown, body, sent_at, None, 0.0)


@contextmanager
def listening(store: Store) -> Iterator[str]:
    """Serve the store on a real port of this machine; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, tag, reply = store.serve(self.command, self.path[1:], dict(self.headers), body)
            self.send_response(status)
            if tag:
                self.send_header("ETag", tag)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        do_GET = do_PUT = do_DELETE = answer  # noqa: N815  (what http.server calls)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
