"""The runtime of an attempt that sends nothing: given answers, stand-ins for secrets, a clock that stands still."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import NoReturn, TypeVar
from urllib.parse import urlsplit

from tokend.cli.try_offline.replies import GivenReply
from tokend.cli.try_offline.stand_ins import StandIns
from tokend.machine.clock import SystemClock
from tokend.machine.command import EndedCommand
from tokend.machine.event import Event
from tokend.plugin.connection_settings import LARGEST_BODY_BYTES, ConnectionSettings
from tokend.plugin.http_date import http_date
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.login import Remembered
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.settings import ProviderSettings
from tokend.upstream.client import require_acceptable
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.tokens import JSON
from tokend.values.url import host_of

T = TypeVar("T")
_METADATA = "/.well-known/"
_OF_RESOURCES = "/.well-known/oauth-protected-resource"
_ENDPOINTS = ("token", "authorization", "device_authorization", "revocation")


class NoMoreRepliesError(Exception):
    """The attempt sends one more request, and no answer was given for it."""


class StandingClock:
    """`Clock` that shows one moment."""

    def __init__(self, moment: Instant) -> None:
        self._moment = moment

    def instant(self) -> Instant:
        """Return the moment."""
        return self._moment

    async def wait(self, until: Instant | None, wake: Event, *, ends: Instant | None = None) -> None:
        """Return at once."""

    async def sleep(self, seconds: float) -> None:
        """Return at once."""


@dataclass(frozen=True, slots=True)
class Exchanged:
    """A request, and the answer that was given for it: None for the one that has none.

    ``is_known`` is false for the metadata of a server, which nobody has asked.
    """

    request: UpstreamRequest
    reply: GivenReply | None
    is_known: bool = True


@dataclass
class OfflineRuntime:
    """Implement `plugin.login.RememberingRuntime`. ``exchanges`` has what would have been sent so far."""

    settings: ProviderSettings
    replies: Sequence[GivenReply]
    stand_ins: StandIns
    exchanges: list[Exchanged] = field(default_factory=list)
    documents: dict[str, Remembered] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._left = list(self.replies)
        self.clock = StandingClock(_moment(self.replies))

    @property
    def requests(self) -> int:
        """The number of requests so far."""
        return len(self.exchanges)

    def upstream_now(self) -> datetime:
        """Return the moment: nothing says that the clocks differ."""
        return self.clock.instant().wall

    async def reveal(self, source: SecretSource) -> Secret:
        """Return a stand-in."""
        return self.stand_ins.of(source)

    async def exchange(self, request: UpstreamRequest) -> UpstreamReply:
        """Return the next given answer. Raises `NoMoreRepliesError`."""
        reply, is_known = self._next(request)
        self.exchanges.append(Exchanged(request, reply, is_known))
        if reply is None:
            raise NoMoreRepliesError
        host = host_of(request.url)
        network = self.settings if isinstance(self.settings, ConnectionSettings) else None
        largest = LARGEST_BODY_BYTES if network is None else network.largest_body_bytes
        require_acceptable(reply.headers, len(reply.body), host, largest)
        date = http_date(reply.headers.get("date", ""))
        now = self.clock.instant()
        return UpstreamReply(
            reply.status, reply.headers, reply.body, now, date, 0.0, reply.cookies, repeated=reply.repeated
        )

    def _next(self, request: UpstreamRequest) -> tuple[GivenReply | None, bool]:
        is_last = len(self._left) == 1
        if is_last and request.method == "GET" and _METADATA in urlsplit(request.url).path:
            return GivenReply(200, {"content-type": "application/json"}, self._metadata(request.url)), False
        return (self._left.pop(0) if self._left else None), True

    def _metadata(self, url: str) -> bytes:
        """Return the metadata of a server that nobody has asked: what the settings say, and addresses that stand in."""
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        issuer = getattr(self.settings, "issuer", None) or origin
        if _OF_RESOURCES in parts.path:
            resource = [*getattr(self.settings, "resource", ()), origin][0]
            return json.dumps({"resource": resource, "authorization_servers": [issuer]}).encode()
        endpoints = {f"{name}_endpoint": f"{str(issuer).rstrip('/')}/{name}" for name in _ENDPOINTS}
        return json.dumps({"issuer": issuer, **endpoints}).encode()

    async def run_in_thread(self, call: Callable[[], T], *, seconds: float) -> T:  # noqa: ARG002
        """Make the call: nobody waits meanwhile."""
        return call()

    async def run_command(
        self, argv: Sequence[str], added: Mapping[str, Secret], *, seconds: float, output_limit: int
    ) -> EndedCommand:
        """Run nothing."""
        _refuse_program(argv, added, seconds, output_limit)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Keep nothing: there is no connection."""
        yield

    def recall(self, key: str) -> Remembered | None:
        """Return what this attempt has remembered."""
        return self.documents.get(key)

    async def remember(self, key: str, document: JSON) -> None:
        """Keep a document for this attempt alone."""
        self.documents[key] = Remembered(document, self.clock.instant())

    async def commit(self, key: str, change: Callable[[JSON], JSON]) -> JSON:
        """Replace a document for this attempt alone."""
        kept = self.documents.get(key)
        new = change(None if kept is None else kept.document)
        self.documents[key] = Remembered(new, self.clock.instant())
        return new


def _moment(replies: Sequence[GivenReply]) -> Instant:
    """Return the moment of the attempt: that of the first answer which has a date, else now."""
    now = SystemClock().instant()
    dates = (http_date(reply.headers["date"]) for reply in replies if "date" in reply.headers)
    date = next((one for one in dates if one is not None), None)
    return now if date is None else Instant(date, now.boot)


def _refuse_program(*_: object) -> NoReturn:
    raise TimeoutError("no program is run here")
