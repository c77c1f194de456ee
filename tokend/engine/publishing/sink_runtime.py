"""Implementations of `plugin.sink.SinkRuntime`: threads with a deadline, secrets, requests, marks, other leases."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime
from typing import TypeVar, cast

import anyio

from tokend.engine.context.context import Context
from tokend.engine.publishing.target_lock import TargetLock
from tokend.engine.publishing.token_credential import TokenCredential
from tokend.machine.clock import Clock
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.protocol_check import implements
from tokend.plugin.provider import ConnectedRuntime
from tokend.plugin.remote_sink import HttpSinkSettings
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.settings import SinkSettings
from tokend.plugin.sink import Mark, RemarkingSink, Values, WatchedSink
from tokend.values.errors import AttemptError, SinkError, SinkUnavailableError, TransientError
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.status import StatusWarning
from tokend.values.tokens import Lease

T = TypeVar("T")

# Time limit of a write to a file. A healthy disk needs a millisecond; a hanging filesystem can block a thread for ever.
WRITE_SECONDS = 10.0
# Time limit of an announcement: a sink's command may take 30 s, and needs some time to start.
ANNOUNCE_SECONDS = 35.0
# The status of a reply to a request whose credential is not accepted (any more).
UNAUTHORIZED = 401


class WriteRuntime:
    """The runtime of a sink's writes, removals and probes, which run one at a time per target.

    ``last_stamp`` is the stamp of a `WatchedSink` right after the last call in a thread, else None. ``last_remarks``
    are those of a `RemarkingSink` at that time. ``answered`` is set as soon as a reply to a request has arrived.
    ``writes`` counts the writes that succeeded.
    ``may_take_over``: an admin has decided that the next write takes the target over from another writer.
    """

    __slots__ = (
        "_context",
        "_credentials",
        "_kept",
        "_remarking",
        "_sink",
        "_stamped",
        "_target",
        "_upstream",
        "answered",
        "last_remarks",
        "last_stamp",
        "may_take_over",
        "name",
        "writes",
    )

    def __init__(self, sink: SinkSettings, target: TargetLock, context: Context, name: str = "") -> None:
        self.name = name
        self._sink = sink
        self._target = target
        self._context = context
        self._stamped = cast(WatchedSink, sink) if implements(sink, WatchedSink) else None
        self._remarking = cast(RemarkingSink, sink) if implements(sink, RemarkingSink) else None
        self.answered = False
        self.may_take_over = False
        self.writes = 0
        self.last_stamp: object = None
        self.last_remarks: Sequence[StatusWarning] = ()
        self._kept: dict[str, tuple[Instant, Mapping[str, str]]] = {}
        self._credentials: dict[str, TokenCredential] = {}
        # Made at the first use: thousands of file sinks read no secret and send no request.
        self._upstream: ConnectedRuntime | None = None

    @property
    def clock(self) -> Clock:
        """The clock of this machine."""
        return self._context.clock

    def upstream_now(self) -> datetime:
        """Return the store's time."""
        return self._upstream_runtime().upstream_now()

    async def reveal(self, source: SecretSource) -> Secret:
        """Read a secret now."""
        try:
            return await self._upstream_runtime().reveal(source)
        except AttemptError as error:
            raise SinkError(f"{self._sink.target}: {error.detail}") from None

    @property
    def writer(self) -> str:
        """The random id of the state directory."""
        return self._context.store.state.digest(b"writer")[:32]

    def write_id(self, values: Values) -> str:
        """Return an id of the write of these values."""
        written = f"write {self.writes} {self.mark(values).digest}"
        return self._context.store.state.digest(written.encode())[:32]

    async def exchange(self, request: UpstreamRequest, *, auth: SecretSource | None = None) -> UpstreamReply:
        """Send one request and return its reply; after a 401 for another provider's token, the reply to a newer one."""
        if auth is None or not isinstance(self._sink, HttpSinkSettings):
            return await self._send(request)
        if auth.token is None or auth.encoding != "text":
            header, prefix = self._sink.auth_place
            value = Secret(prefix + (await self.reveal(auth)).reveal())
            return await self._send(with_headers(request, {header: value}))
        credential = self._credential_of(self._sink, auth.token)
        reply = await self._send(with_headers(request, credential.headers()))
        if reply.status == UNAUTHORIZED and await credential.renewed():
            return await self._send(with_headers(request, credential.headers()))
        return reply

    async def renewed(self, auth: SecretSource) -> bool:
        """Report that the store refused the credential of the last request; return whether there is a newer one."""
        if auth.token is None or not isinstance(self._sink, HttpSinkSettings):
            return False
        return await self._credential_of(self._sink, auth.token).renewed()

    def _credential_of(self, sink: HttpSinkSettings, name: str) -> TokenCredential:
        if (known := self._credentials.get(name)) is None:
            known = self._credentials[name] = TokenCredential(name, sink.target, self._context, own=sink.auth_place)
        return known

    async def _send(self, request: UpstreamRequest) -> UpstreamReply:
        try:
            reply = await self._upstream_runtime().exchange(request)
        except TransientError as error:
            # Repeatable: no connection came about, or no answer came in time.
            kind = SinkUnavailableError if error.repeatable else SinkError
            raised = kind(f"{self._sink.target}: {error.detail}")
            raised.may_have_acted, raised.is_unanswered = error.is_sent, not error.is_answered
            raise raised from None
        except AttemptError as error:
            raise SinkError(f"{self._sink.target}: {error.detail}") from None
        self.answered = True
        return reply

    async def run_in_thread(self, call: Callable[[], T]) -> T:
        """Run a blocking call in one of the sinks' threads, for at most `WRITE_SECONDS`."""
        if self._target.hanging:
            raise SinkError(f"{self._sink.target}: an earlier write still hangs in the filesystem")
        try:
            # Shielded: a shutdown waits for a write that has begun, so that the file is not left stale.
            with anyio.CancelScope(shield=True):
                result = await self._context.threads.run(
                    self._target.tracked(lambda: self._make(call)), seconds=WRITE_SECONDS
                )
        except TimeoutError as error:
            why = f": {error}" if str(error) else f" within {WRITE_SECONDS:.0f} s: the filesystem hangs"
            raise SinkError(f"{self._sink.target}: not written{why}") from None
        return result

    def _make(self, call: Callable[[], T]) -> T:
        result = call()
        if self._stamped is not None:
            self.last_stamp = self._stamped.stamp()
        if self._remarking is not None:
            self.last_remarks = self._remarking.remarks()
        return result

    def keep(self, name: str, facts: Mapping[str, str], *, seconds: float) -> None:
        """Keep public facts in memory."""
        self._kept[name] = (self.clock.instant().after(seconds), facts)

    def kept(self, name: str) -> Mapping[str, str] | None:
        """Return what was kept, if its time is not over."""
        until, facts = self._kept.get(name, (None, None))
        return None if until is None or self.clock.instant().until(until) <= 0 else facts

    def lease_of(self, name: str) -> Lease | None:
        """Return another provider's valid lease; None if there is none now."""
        return self._context.store.valid_lease(name)

    def mark(self, values: Values | None, *, version: str | None = None) -> Mark:
        """Make the mark of these values, keyed with the salt of the state directory."""
        if values is None:
            return Mark(None, version)
        members = [values] if isinstance(values, Secret) else [values[key] for key in sorted(values)]
        keys = [] if isinstance(values, Secret) else sorted(values)
        # Each part follows its length, so that different targets or values cannot make the same bytes.
        parts = [self._sink.target.encode(), *(key.encode() for key in keys), *(one.reveal_bytes() for one in members)]
        content = b"".join(b"%d:%b" % (len(part), part) for part in parts)
        return Mark(self._context.store.state.digest(b"sink\0" + content), version)

    def fingerprint(self, value: Secret) -> str:
        """Make the fingerprint of a token, as leases have it."""
        return self._context.store.state.fingerprint(value.reveal_bytes())

    def connected(self) -> AbstractAsyncContextManager[None]:
        """Keep the connection between the requests of the block."""
        return self._upstream_runtime().connected()

    def _upstream_runtime(self) -> ConnectedRuntime:
        if self._upstream is None:
            self._upstream = self._context.sink_upstream(self._sink)
        return self._upstream


def with_headers(request: UpstreamRequest, headers: Mapping[str, Secret | str]) -> UpstreamRequest:
    """Return the request with these headers too. Where it has one of its own of the same name, that counts."""
    own = {name.lower() for name in request.headers}
    more = {name: value for name, value in headers.items() if name.lower() not in own}
    return replace(request, headers={**request.headers, **more})


class AnnounceRuntime(WriteRuntime):
    """The runtime of a sink's announcements, which run in threads of their own: a command may take half a minute."""

    __slots__ = ()

    async def run_in_thread(self, call: Callable[[], T]) -> T:
        """Run a blocking call in one of the commands' threads, for at most `ANNOUNCE_SECONDS`."""
        try:
            return await self._context.commands.run(call, seconds=ANNOUNCE_SECONDS)
        except TimeoutError as error:
            raise SinkError(str(error) or "the command after the write did not end in time") from None
