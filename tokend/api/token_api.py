"""State and decisions that all routes share: engine, visibility of tokens, prepared answers, counts, audit lines."""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from tokend.access.denial_log import DenialLog
from tokend.access.handout_log import HandoutLog
from tokend.access.peer import Peer
from tokend.access.policy import AccessPolicy, answerable
from tokend.api.answer_cache import AnswerCache, PreparedBody
from tokend.api.events import EventBus
from tokend.engine.context.contract import Engine, Entry
from tokend.engine.context.counters import Counters
from tokend.engine.context.reports import Reports
from tokend.httpd.request import Request
from tokend.values.errors import DeniedError, LoginRequiredError, TokenUnavailableError, UnknownTokenError
from tokend.values.status import ConfigStatus, State
from tokend.values.tokens import Lease

# Must not block.
ConfigState = Callable[[], ConfigStatus]
# Answers by (token, HTTP status).
RequestCounts = Mapping[tuple[str, int], int]
# The rows of ``[[sockets]]``, or of the daemon's own listeners, for administrators. Must not block.
SocketRows = Callable[[], Sequence[Mapping[str, Any]]]
# Given the names that the peer may see, and the answers so far: the page in Prometheus' text format.
RenderMetrics = Callable[[Collection[str], RequestCounts], Awaitable[bytes]]


class TokenApi:
    """The parts of the daemon that the routes need: one object for all connections.

    ``changes`` wakes long polls and event streams. ``answers`` holds the prepared answers.
    """

    def __init__(
        self,
        engine: Engine,
        policy: AccessPolicy,
        *,
        config_state: ConfigState,
        metrics: RenderMetrics | None = None,
        audit_reads: bool = False,
        handouts: HandoutLog | None = None,
        last_event: int = 0,
        event_id_used: Callable[[int], None] = lambda _: None,
        sockets: SocketRows = tuple,
        listeners: SocketRows = tuple,
        reports: Reports | None = None,
        state: Callable[[], Mapping[str, Any]] | None = None,
    ) -> None:
        self.engine = engine
        self.policy = policy
        self.config_state = config_state
        self.sockets, self.listeners = sockets, listeners
        # Whether the state is sealed, and what is to be said about it, for administrators. Must not block.
        self.state = state
        self.handouts = handouts
        self.reports = reports or Reports(Counters())
        self.answers = AnswerCache(engine, policy)
        self.audit(audit_reads)
        self.changes = EventBus(engine, last_event=last_event, used=event_id_used)
        self.log = structlog.get_logger("tokend.api")
        self._metrics = metrics
        self._requests: Counter[tuple[str, int]] = Counter()
        self._denials = DenialLog()

    def visible(self, peer: Peer, name: str) -> Entry:
        """Return the entry of a name. Raises the same `UnknownTokenError` for a missing and for a hidden token.

        Both take the same path, so that the time of the answer does not say which it is; both have an audit line.
        """
        entry = self.engine.entries.get(name)
        if entry is not None and self.policy.may_read(peer, entry.settings, name):
            return entry
        if entry is not None or self.policy.could_be_hidden(peer, name):
            self.denied(peer, token=name[:64])
        raise UnknownTokenError(f"no token {name[:64]!r} here, or none that you may read; `tokend list` shows yours")

    def visible_for_login(self, peer: Peer, name: str) -> Entry:
        """Return the entry of a name for a route about logins: those of ``access.login`` need not read the token."""
        entry = self.engine.entries.get(name)
        if entry is not None and self.policy.may_log_in(peer, entry.settings, name):
            return entry
        return self.visible(peer, name)

    async def settle(self, peer: Peer, name: str | None, *, about_all: bool, admins: bool, login: bool = False) -> None:
        """Wait for users and groups that a directory service has not answered yet, where this request needs them.

        ``name`` is the token of the request. An unknown one waits like a request ``about_all`` tokens.
        """
        entries = self.engine.entries
        if (entry := entries.get(name or "")) is not None:
            await self.policy.settle(peer, (entry.settings,), admins=admins, login=login)
        elif about_all or name is not None:
            await self.policy.settle(peer, [one.settings for one in entries.values()], admins=admins)
        elif admins:
            await self.policy.settle(peer, admins=True)

    def entries_for(self, peer: Peer) -> list[Entry]:
        """Return all entries that the peer may see, sorted by name."""
        entries = self.engine.entries
        return [e for name, e in sorted(entries.items()) if self.policy.may_read(peer, e.settings, name)]

    def valid(self, entry: Entry) -> PreparedBody:
        """Return the prepared body of an entry's valid token; raises the typed 503 if it has no valid token now."""
        if (found := self.answers.prepared(entry)) is None:
            raise unavailable(entry)
        return found

    def holds_valid(self, lease: Lease) -> bool:
        """Return whether a lease that the engine returned is still valid."""
        return answerable(lease, self.engine.clock.instant())

    def audit(self, reads: bool) -> None:
        """Log each read from now on, or none. The log level may change while the daemon runs, and ``handouts``, too."""
        self.audit_reads = reads
        # The server answers remembered texts without a log line.
        self.answers.remember_texts(not (reads or (self.handouts is not None and self.handouts.on)))

    def count(self, token: str, status: int) -> None:
        """Count one answer; ``token`` is "" unless the request named a token that the peer may see."""
        self._requests[token, status] += 1

    def requests(self) -> RequestCounts:
        """Return all answers so far, for ``tokend_client_requests_total{token,code}``."""
        total = Counter(self._requests)
        for name, hits in self.answers.hits().items():
            total[name, 200] += hits
        return total

    async def metrics_page(self, names: Collection[str]) -> bytes | None:
        """Render the metrics of these tokens; None if this daemon keeps none."""
        return None if self._metrics is None else await self._metrics(names, self.requests())

    def denied(self, peer: Peer, **what: Any) -> None:
        """Write the audit line of a denial, unless this uid has had a line within the last second."""
        unsaid = self._denials.record(peer.uid, self.engine.clock.instant().boot)
        if unsaid is not None:
            self.log.warning("client.denied", uid=peer.uid, unsaid_before=unsaid, **what)


@dataclass(frozen=True, slots=True)
class Call:
    """One request with its context; ``entry`` is the token that the path names, which the peer may see.

    ``login_id`` names a login under way, on the paths that have one.
    """

    service: TokenApi
    request: Request
    query: Mapping[str, str]
    entry: Entry | None = None
    login_id: str = ""

    @property
    def token(self) -> Entry:
        """The token that the path names; only for routes below ``/v1/tokens/{name}``."""
        if self.entry is None:
            raise RuntimeError("this route names no token")
        return self.entry

    @property
    def admin(self) -> bool:
        """Whether the peer is an administrator."""
        return self.service.policy.is_admin(self.request.peer)

    def only_those_who_log_in(self) -> None:
        """Raise `DeniedError` unless the peer may log in and out for the token."""
        peer, entry = self.request.peer, self.token
        if not self.service.policy.may_log_in(peer, entry.settings, entry.name):
            text = f"your uid {peer.uid} is neither an admin nor in access.login of {entry.name}"
            raise DeniedError(f"a login decides whose account everybody uses: {text}")

    def only_admins(self, what: str) -> None:
        """Raise `DeniedError` unless the peer is an administrator; ``what`` completes "only admins may"."""
        if self.admin:
            return
        peer = self.request.peer
        reason = f"your uid {peer.uid} is none of them"
        if peer.scope is not None and not peer.scope.admin:
            reason = "this socket has none (admin = true of its [[sockets]] allows them)"
        elif peer.is_contained:
            reason = f"your uid {peer.uid} is none of them in a container, which chooses its uids"
        raise DeniedError(f"only admins may {what}: {reason}")


def unavailable(entry: Entry) -> TokenUnavailableError | LoginRequiredError:
    """Make the error for an entry without a valid token, with its last error and its next attempt."""
    status = entry.status()
    retry_at = None if status.next_attempt_at is None else status.next_attempt_at.timestamp()
    if status.state is State.LOGIN_REQUIRED and status.login is not None:
        return LoginRequiredError(status.login.advice.remedy)
    reason = f": {status.last_error.detail}" if status.last_error is not None else ""
    if status.state in (State.REJECTED, State.LOGIN_REQUIRED):
        text = f"token {entry.name!r} is not valid and its state is {status.state.value}, a person must act{reason}"
        return LoginRequiredError(text, retry_at=retry_at)
    text = f"token {entry.name!r} has no valid value now, its state is {status.state.value}{reason}"
    return TokenUnavailableError(text, retry_at=retry_at)
