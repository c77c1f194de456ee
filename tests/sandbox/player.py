"""A sandbox per test, and a client that speaks plain http.client to it."""

import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import pytest

from tokend.sandbox import Options, Sandbox, start

# Long enough for a loaded machine; every wait in these tests ends far earlier.
DEADLINE_SECONDS = 20


@dataclass(frozen=True)
class Answer:
    """A whole answer, with lower-case header names."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


@dataclass
class Player:
    """A running sandbox and the calls to it."""

    sandbox: Sandbox

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make one request on a connection of its own; a body other than bytes is sent as compact JSON."""
        sent = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body, separators=(",", ":")).encode()
            sent.setdefault("Content-Type", "application/json")
        address = urlsplit(self.sandbox.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=DEADLINE_SECONDS)
        try:
            connection.request(method, path, body=body, headers=sent)
            reply = connection.getresponse()
            return Answer(reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read())
        finally:
            connection.close()

    def control(self, endpoint: str, body: Any = None) -> Answer:
        """GET a control endpoint, or POST a body to it."""
        return self.call("GET" if body is None else "POST", f"/_sandbox/{endpoint}", body)

    def log(self, vendor: str) -> list[tuple[str, str, int]]:
        """Return method, path and status of each recorded request to a vendor."""
        requests = self.control(f"requests?vendor={vendor}").json["requests"]
        return [(entry["method"], entry["path"], entry["status"]) for entry in requests]


Play: TypeAlias = Callable[..., Player]


@pytest.fixture
def play() -> Iterator[Play]:
    """Start sandboxes with options as keywords; they end with the test."""
    running: list[Sandbox] = []

    def play_with(**options: Any) -> Player:
        running.append(start(Options(**options)))
        return Player(running[-1])

    yield play_with
    for sandbox in running:
        sandbox.close()
