"""The readers of a soak, a process of their own: they ask over kept and new connections, wait for changes, follow the
events, have tokens issued, and read the files; and they verify everything that they read.

    python -m tests.soak.readers DIRECTORY

Counts are in ``readers.json`` after the end and every second before it; each read that brought no valid token is a line
of ``unserved.log``: moment (Unix seconds), provider, ``socket`` or ``file``, and the status; and each connection that
broke, or came about not at all, one of ``broken.log``: since when its reader had used it, when it saw that, and what.
"""

import asyncio
import itertools
import json
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TextIO

import uvloop

from tests.soak import plan, tokens
from tests.soak.connection import Connection, ask
from tests.soak.plan import Plan, Provider, minute

KEPT, FILES = 0.6, 0.25  # shares of the reads; what is left is read over new connections
READERS_EACH = 4
POLLERS = 20
POLL_SECONDS = 20
ISSUE_SECONDS = 1.0
EVENTS_AGAIN_SECONDS = 20.0
REPORT_SECONDS = 1.0
BUCKETS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 30000)


class Readers:
    """All readers and what they saw."""

    def __init__(self, soak: Plan, unserved: TextIO, broken: TextIO) -> None:
        self.soak, self.unserved, self.broken = soak, unserved, broken
        self.seen: Counter[str] = Counter()
        self.latencies: Counter[int] = Counter()
        # Of the reads that were served: by socket or file, in which minute.
        self.served: dict[str, Counter[int]] = {"socket": Counter(), "file": Counter()}
        self._providers = soak.providers()
        self._socket = str(soak.home / "t.sock")
        self._files: set[str] = set()
        self._generations: dict[str, int] = {}
        self._issues = itertools.count(1)
        self._last_event = 0

    # -------------------------------------------------------------- what they do

    async def keep_reading(self) -> None:
        """Read over one connection, which is kept."""
        connection = await asyncio.open_unix_connection(self._socket)
        while True:
            await self._pause(KEPT)
            await self._read(connection, "kept")

    async def read_once(self) -> None:
        """Read over a new connection each time."""
        while True:
            await self._pause(1 - KEPT - FILES)
            connection = await asyncio.open_unix_connection(self._socket)
            try:
                await self._read(connection, "new", "Connection: close")
            finally:
                connection[1].close()

    async def read_files(self) -> None:
        """Read token files, whole."""
        while True:
            await self._pause(FILES)
            provider = random.choice(self._providers)
            started = time.time()
            try:
                text = (self.soak.home / "out" / provider.file).read_text("utf-8", "surrogateescape")
            except FileNotFoundError:
                # Only before the first token: a file that was there stays there.
                self.seen["file vanished" if provider.file in self._files else "file not there yet"] += 1
                continue
            self._files.add(provider.file)
            self.seen["file reads"] += 1
            try:
                found = in_file(provider, text)
            except (tokens.TornError, ValueError, KeyError, IndexError):
                self.seen["file torn"] += 1
                continue
            claims = found.get(provider.name)
            if claims is None:
                self.seen["file not there yet"] += 1
            elif claims.expires_at > started:
                self.served["file"][minute(started)] += 1
            else:
                self._unserved(started, provider.name, "file", 0)

    async def poll(self) -> None:
        """Wait for one provider's next token, again and again."""
        provider, etag = random.choice(self._providers), None
        connection = await asyncio.open_unix_connection(self._socket)
        while True:
            headers = [f"Prefer: wait={POLL_SECONDS}", *([] if etag is None else [f"If-None-Match: {etag}"])]
            started = time.time()
            status, answered, body = await ask(connection, f"/v1/tokens/{provider.name}", *headers)
            self.seen["polls"] += 1
            if status == 200:
                self._judge(provider.name, body, started)
                if answered.get("etag") == etag:
                    self.seen["poll without news"] += 1
                etag = answered.get("etag")
            elif status == 304 and time.time() - started < POLL_SECONDS - 1:
                self.seen["poll cut short"] += 1
            elif status not in (304, 503, 504):
                self.seen[f"unexpected answer {status}"] += 1
            elif status != 304:
                etag = None
                await asyncio.sleep(1)

    async def follow(self) -> None:
        """Follow the events, and come back now and then from where it was."""
        while True:
            reader, writer = await asyncio.open_unix_connection(self._socket)
            last = f"Last-Event-ID: {self._last_event}\r\n" if self._last_event else ""
            writer.write(f"GET /v1/events HTTP/1.1\r\nHost: soak\r\n{last}\r\n".encode())
            with suppress(TimeoutError):
                async with asyncio.timeout(EVENTS_AGAIN_SECONDS):
                    while line := await reader.readline():
                        self._hear(line.decode().strip())
            writer.close()
            self.seen["event streams"] += 1
            await asyncio.sleep(0.5)

    async def issue(self) -> None:
        """Have tokens issued on demand, each for a name of its own."""
        connection = await asyncio.open_unix_connection(self._socket)
        while True:
            await asyncio.sleep(ISSUE_SECONDS)
            name, started = f"{plan.ON_DEMAND}{plan.ISSUE_SIGN}{next(self._issues)}", time.time()
            wanted = {"clientId": "soak", "username": name, "displayName": "Soak", "ipAddress": "127.0.0.1"}
            target, body = f"/v1/tokens/{plan.ON_DEMAND}/issue", json.dumps(wanted).encode()
            status, _, answer = await ask(
                connection, target, "Content-Type: application/json", method="POST", body=body
            )
            self.seen[f"issues: {status}"] += 1
            if status == 201:
                self._judge(name, answer, started)
            elif status not in (429, 503, 504):
                self.seen[f"unexpected answer {status}"] += 1

    # -------------------------------------------------------------- what they see

    def _hear(self, line: str) -> None:
        key, _, value = line.partition(": ")
        if key == "id":
            if int(value) <= self._last_event:
                self.seen["event out of order"] += 1
            self._last_event = int(value)
        elif key == "event":
            self.seen[f"events: {value}"] += 1
        elif key == "data":
            row = json.loads(value)
            name, generation = row.get("name"), row.get("generation")
            if name is not None and generation is not None:
                if generation < self._generations.get(name, 0):
                    self.seen["generation went back"] += 1
                self._generations[name] = generation

    async def _read(self, connection: Connection, how: str, *headers: str) -> None:
        provider, started = random.choice(self._providers), time.time()
        status, _, body = await ask(connection, f"/v1/tokens/{provider.name}", *headers)
        took = 1000 * (time.time() - started)
        self.latencies[next((bucket for bucket in BUCKETS_MS if took <= bucket), BUCKETS_MS[-1])] += 1
        self.seen["reads"] += 1
        self.seen[f"reads, connection {how}"] += 1
        if status == 200:
            self._judge(provider.name, body, started)
            self.served["socket"][minute(started)] += 1
        elif status == 503:
            self._unserved(started, provider.name, "socket", status)
        else:
            self.seen[f"unexpected answer {status}"] += 1

    def _judge(self, name: str, body: bytes, started: float) -> None:
        """A token is a promise: whole, this name's, and not expired when it was asked for."""
        try:
            claims = tokens.read(json.loads(body)["access_token"])
        except (tokens.TornError, ValueError, KeyError):
            self.seen["answer torn"] += 1
            return
        if claims.name != name:
            self.seen["answer of another provider"] += 1
        if claims.expires_at <= started:
            self.seen["answer expired"] += 1

    def _unserved(self, moment: float, name: str, where: str, status: int) -> None:
        self.unserved.write(json.dumps([round(moment, 4), name, where, status]) + "\n")

    async def _pause(self, share: float) -> None:
        await asyncio.sleep(random.expovariate(self.soak.reads_per_second * share / READERS_EACH))

    def report(self) -> None:
        """Write down the counts."""
        self.unserved.flush()
        self.broken.flush()
        new = self.soak.home / "readers.new"
        new.write_text(json.dumps({"seen": self.seen, "latencies": self.latencies, "served": self.served}))
        new.rename(self.soak.home / "readers.json")


def in_file(provider: Provider, text: str) -> dict[str, tokens.Claims]:
    """All tokens of a provider's file, by the names in them. Raises where anything in it is not whole."""
    if provider.sink == "json":
        texts = [json.loads(text)["access_token"]]
    elif provider.sink == "raw":
        texts = [text]
    elif provider.sink == "template":
        first, token, last = text.split("\n")
        if (first, last) != ("begin", "end"):
            raise tokens.TornError
        texts = [token]
    else:
        texts = [line.partition("=")[2] for line in text.splitlines() if not line.startswith("#")]
    found = [tokens.read(one) for one in texts]
    return {claims.name: claims for claims in found}


async def run(soak: Plan) -> None:
    """Read until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    with (soak.home / "unserved.log").open("w") as unserved, (soak.home / "broken.log").open("w") as broken:
        readers = Readers(soak, unserved, broken)
        bodies: list[Callable[[], Awaitable[None]]] = [readers.follow, readers.issue, *[readers.poll] * POLLERS]
        bodies += [readers.keep_reading, readers.read_once, readers.read_files] * READERS_EACH
        tasks = [asyncio.create_task(_again(readers, body)) for body in bodies]
        while not stop.is_set():
            readers.report()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), REPORT_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        readers.report()


async def _again(readers: Readers, body: Callable[[], Awaitable[None]]) -> None:
    """Start a reader again where its connection broke; that is noted, for tokend may do so only while it restarts."""
    while True:
        began = time.time()
        try:
            await body()
        except (OSError, EOFError, TimeoutError) as error:
            readers.broken.write(json.dumps([round(began, 4), round(time.time(), 4), repr(error)]) + "\n")
        await asyncio.sleep(1)


if __name__ == "__main__":
    uvloop.run(run(plan.load(sys.argv[1])))
