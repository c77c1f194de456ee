"""The upstream of a soak, a process of its own: an address for each provider, where its vendor answers, three times in
ten with no token.

    python -m tests.soak.upstream DIRECTORY

What came and what it was answered is written to ``upstream.log``, a JSON list a line: arrival (Unix seconds), provider,
what was answered, for how long that kept the client, for how long the client was asked to wait, and the token's end.
A call for a token on demand stands there by the name that the caller gave it.
"""

import asyncio
import json
import random
import re
import resource
import signal
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TextIO

import uvloop

from tests.soak import plan, tokens, vendors
from tests.soak.plan import Plan, Provider

FLUSH_SECONDS = 0.5
# Longer than the client waits: who hangs is hung up on.
HANG_SECONDS = 2 * plan.TIMEOUT_SECONDS
NO_LINGER = struct.pack("ii", 1, 0)
LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)

# 429 with what stands in its Retry-After, and the seconds that it must be left alone for.
PAUSES = {"1": 5.0, "7": 7.0, "0": 0.0, "-3": 0.0, "soon": 0.0, "1e30": 0.0}
# What happens to the connection instead of an answer.
LOST = ("reset", "closed", "cut short", "silent", "dripping")


class Upstream:
    """Who is asked, what they get, and the log of it."""

    def __init__(self, soak: Plan, log: TextIO) -> None:
        self._dice = {p.name: random.Random(f"{soak.seed} {p.name}") for p in soak.everybody()}
        self._numbers: Counter[str] = Counter()
        self.log = log

    def draw(self, provider: Provider, *, revoked: bool) -> tuple[str, float]:
        """What this request comes to, and how long it takes."""
        dice = self._dice[provider.name]
        if revoked:
            return "revoked", 0.0
        if dice.random() >= plan.FAILURE_RATE:
            return "token", dice.choice((0.0, 0.0, 0.02, 0.3))
        kind = dice.choices(("answer", "429", "lost"), (5, 2, 3))[0]
        if kind == "answer":
            return dice.choice(list(vendors.ANSWERS[provider.kind])), 0.0
        if kind == "429":
            return "429 " + dice.choice(list(PAUSES)), 0.0
        lost = dice.choice(LOST)
        return lost, plan.TIMEOUT_SECONDS if lost in ("silent", "dripping") else 0.0

    def record(self, name: str, what: str, *, took: float, pause: float = 0.0, expires_at: float | None = None) -> None:
        """Write down what a request came to."""
        self.log.write(json.dumps([round(time.time(), 4), name, what, took, pause, expires_at]) + "\n")

    def token(self, name: str, life_seconds: int) -> tuple[str, float]:
        """A fresh token and its end."""
        self._numbers[name] += 1
        expires_at = round(time.time() + life_seconds, 3)
        return tokens.sign(name, self._numbers[name], expires_at), expires_at


class Conversation(asyncio.Protocol):
    """One connection: one request, one answer."""

    def __init__(self, upstream: Upstream, provider: Provider) -> None:
        self._upstream, self._provider = upstream, provider
        self._heard = b""
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # asyncio promises no more than BaseTransport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._heard += data
        head, ended, body = self._heard.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if ended and length is not None and len(body) >= int(length[1]) and self._timer is None:
            self._answer(body)

    def _answer(self, body: bytes) -> None:
        provider = self._provider
        what, took = self._upstream.draw(provider, revoked=plan.REVOKED_KEY.encode() in body)
        name = json.loads(body)["username"] if provider.is_on_demand else provider.name
        record = partial(self._upstream.record, name, what)
        if what == "token":
            text, expires_at = self._upstream.token(name, provider.life_seconds)
            record(took=took, expires_at=expires_at)
            self._later(took, partial(self._send, vendors.TOKEN[provider.kind](provider, text)))
        elif what == "revoked":
            record(took=0)
            self._send(vendors.REVOKED)
        elif what.startswith("429"):
            wish = what.partition(" ")[2]
            record(took=0, pause=PAUSES[wish])
            self._send(vendors.http(429, b"", f"Retry-After: {wish}"))
        else:
            record(took=took)
            self._lose(what) if what in LOST else self._send(vendors.ANSWERS[provider.kind][what])

    def _lose(self, how: str) -> None:
        if how == "reset":
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
            self._transport.abort()
        elif how == "closed":
            self._transport.close()
        elif how == "cut short":
            self._send(vendors.http(200, b"x" * 500)[:-400])
        elif how == "silent":
            self._later(HANG_SECONDS, self._transport.abort)
        else:
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            self._drip(time.monotonic() + HANG_SECONDS)

    def _drip(self, until: float) -> None:
        self._transport.write(b" ")
        wanted = self._transport.abort if time.monotonic() > until else partial(self._drip, until)
        self._later(0.5, wanted)

    def _send(self, data: bytes) -> None:
        self._transport.write(data)
        self._transport.close()

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, what)


async def serve(soak: Plan) -> None:
    """Serve all providers, at one port, until SIGTERM."""
    loop, stop, port = asyncio.get_running_loop(), asyncio.Event(), 0
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    with (soak.home / "upstream.log").open("w") as log:
        upstream = Upstream(soak, log)
        servers = []
        for provider in soak.everybody():
            server = await loop.create_server(partial(Conversation, upstream, provider), provider.address, port)
            port = server.sockets[0].getsockname()[1]
            servers.append(server)
        new = soak.home / "port.new"
        new.write_text(str(port))
        new.rename(soak.home / "port")
        while not stop.is_set():
            log.flush()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), FLUSH_SECONDS)


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.run(serve(plan.load(sys.argv[1])))
