"""Start of the tests of sinks: a lease with an obviously fake token, and sinks as a configuration makes them."""

import hashlib
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from tokend.kinds import SINKS
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.sink import Mark, Values
from tokend.sinks.files.base import FileSink
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.tokens import Lease, Token

T = TypeVar("T")

ISSUED = Instant(datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC), 1234.567)
# A JWT in shape, a fake in content: bare in every .env style.
PLANTED = "eyJhbGciOiJIUzI1NiJ9.eyJmYWtlIjoicGxhbnRlZCJ9.planted_fake-signature"

# Imported here, so that no test's own time counts for it.
KINDS = SINKS.all()


def lease(
    value: str = PLANTED, *, name: str = "tt", life_seconds: float | None = 86_400.0, generation: int = 7
) -> Lease:
    """A lease of a token with this value; a life of None is without end."""
    token = Token(
        value=Secret(value),
        token_type="bearer",
        issued_at=ISSUED,
        expires_at=None if life_seconds is None else ISSUED.after(life_seconds),
        headers={"Authorization": Secret(f"Bearer {value}"), "x-api-key": Secret("planted-fake-api-key")},
    )
    return Lease(name, token, generation, ISSUED.after(60.0), "0123456789ab")


class InlineRuntime:
    """`plugin.sink.SinkRuntime` without threads, secrets and network: all that a file sink may use."""

    def __init__(self) -> None:
        self.calls = 0

    @property
    def name(self) -> str:
        raise AssertionError("a file sink's lease has the name")

    @property
    def clock(self) -> Any:
        raise AssertionError("a file sink needs no clock")

    def upstream_now(self) -> datetime:
        raise AssertionError("a file sink signs no request")

    async def reveal(self, source: SecretSource) -> Secret:
        raise AssertionError("a file sink reads no secret")

    @property
    def writer(self) -> str:
        raise AssertionError("a file has no metadata")

    @property
    def may_take_over(self) -> bool:
        raise AssertionError("a file has no writer")

    def write_id(self, values: Values) -> str:
        raise AssertionError("a file sink makes no ids")

    async def exchange(self, request: UpstreamRequest, *, auth: SecretSource | None = None) -> UpstreamReply:
        raise AssertionError("a file sink sends no request")

    async def renewed(self, auth: SecretSource) -> bool:
        raise AssertionError("a file sink has no credential")

    async def run_in_thread(self, call: Callable[[], T]) -> T:
        self.calls += 1
        return call()

    def keep(self, name: str, facts: Mapping[str, str], *, seconds: float) -> None:
        raise AssertionError("a file has no public facts")

    def kept(self, name: str) -> Mapping[str, str] | None:
        raise AssertionError("a file has no public facts")

    def lease_of(self, name: str) -> Lease | None:
        raise AssertionError("a file sink is given the leases that it needs")

    def mark(self, values: Values | None, *, version: str | None = None) -> Mark:
        raise AssertionError("a file sink makes no marks")

    def fingerprint(self, value: Secret) -> str:
        return hashlib.sha256(b"a fake salt" + value.reveal_bytes()).hexdigest()[:12]


@dataclass(frozen=True)
class CalledSink:
    """A file sink whose asynchronous methods are called to their end, by a test that has no loop.

    Everything else is the model's. A call that waits for anything but `SinkRuntime.run_in_thread` fails.
    """

    model: FileSink

    def write(self, lease: Lease) -> bool:
        return ended(self.model.write(InlineRuntime(), lease))

    def write_all(self, lease: Lease, others: Mapping[str, Lease]) -> bool:
        return ended(self.model.write_all(InlineRuntime(), lease, others))

    def remove(self) -> bool:
        return ended(self.model.remove(InlineRuntime()))

    def probe(self) -> None:
        ended(self.model.probe(InlineRuntime()))

    def announce(self) -> None:
        ended(self.model.announce(InlineRuntime()))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)


def ended(call: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits."""
    try:
        call.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    call.close()
    raise AssertionError("the call waits for something besides its thread")


def sink(kind: str, path: Path, **keys: Any) -> CalledSink:
    """A sink of that kind, from its TOML keys."""
    made = KINDS[kind].model_validate({"kind": kind, "path": str(path), **keys}, context={"directory": "/nowhere"})
    assert isinstance(made, FileSink)
    return CalledSink(made)
