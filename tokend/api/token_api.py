"""What all connections share: the engine, who may see what, prepared answers, counts, and the audit lines."""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog

from tokend.access.denial_log import DenialLog
from tokend.access.peer import Peer
from tokend.access.policy import PeerRules
from tokend.api.events import EventBus
from tokend.api.serializers import ConfigState, Prepared, prepare
from tokend.engine.context.contract import Engine, Entry
from tokend.machine.clock import SystemClock
from tokend.values.errors import LoginRequiredError, TokenUnavailableError, UnknownTokenError
from tokend.values.status import State
from tokend.values.tokens import Lease

# Distinct request texts that are recognised without parsing, and tokens whose answers lie ready. A client has one or
# two; beyond this somebody plays, or reads thousands in turn.
MOST_REMEMBERED = 512

# Given the names that the peer may see: the page in Prometheus' text format.
RenderMetrics = Callable[[Collection[str]], Awaitable[bytes]]


@dataclass(slots=True, eq=False)
class Hot:
    """What one remembered request text is answered with, while ``prepared`` fits and the peer may have it.

    ``hits`` counts the answers that are not yet among `TokenApi.requests`.
    """

    name: str
    prepared: Prepared
    answer: bytes = field(repr=False)
    hits: int = 0


class TokenApi:
    """The daemon as one connection sees it.

    ``remembered`` maps whole request texts to their answers; `count` notes all others. ``boot_seconds`` is the
    engine's clock on the boot line.
    """

    def __init__(
        self,
        engine: Engine,
        rules: PeerRules,
        *,
        config_state: ConfigState,
        metrics: RenderMetrics | None = None,
        audit_reads: bool = False,
        last_event: int = 0,
    ) -> None:
        self.engine = engine
        self.rules = rules
        self.config_state = config_state
        self.metrics = metrics
        self.audit_reads = audit_reads
        # The hot path asks at each read, and needs neither wall time nor an object.
        self.boot_seconds: Callable[[], float] = (
            partial(time.clock_gettime, time.CLOCK_BOOTTIME)
            if type(engine.clock) is SystemClock
            else lambda: engine.clock.instant().boot
        )
        self._requests: Counter[tuple[str, int]] = Counter()
        self.remembered: dict[bytes, Hot] = {}
        self.changes = EventBus(engine, last_event=last_event)
        self.log = structlog.get_logger("tokend.api")
        self._prepared: dict[str, Prepared] = {}
        self._denials = DenialLog()

    def visible(self, peer: Peer, name: str) -> Entry:
        """The entry of a name; raises the same `UnknownTokenError` whether it is missing or not for this peer."""
        entry = self.engine.entries.get(name)
        if entry is not None and self.rules.may_read(peer, entry.settings.access):
            return entry
        if entry is not None:
            self.denied(peer, token=name)
        raise UnknownTokenError(f"no token {name[:64]!r} here, or none that you may read; `tokend list` shows yours")

    def entries_for(self, peer: Peer) -> list[Entry]:
        """All entries that the peer may see, in order of their names."""
        entries = self.engine.entries
        return [e for _, e in sorted(entries.items()) if self.rules.may_read(peer, e.settings.access)]

    def prepared(self, entry: Entry) -> Prepared | None:
        """The prepared answers of an entry's valid token; None if it has none now."""
        known = self._prepared.get(entry.name)
        if known is None or not known.fits(entry):
            lease = entry.lease
            if lease is None:
                return None
            if len(self._prepared) >= MOST_REMEMBERED:
                self._prepared.clear()  # to make one takes microseconds; of ten thousand they would be ten megabytes
            known = self._prepared[entry.name] = prepare(lease, entry.settings)
        return known if self.boot_seconds() < known.expires_boot else None

    def holds(self, hot: Hot) -> bool:
        """Tell whether a remembered text is still answered with what is remembered."""
        entry = self.engine.entries.get(hot.name)
        return entry is not None and hot.prepared.fits(entry) and self.boot_seconds() < hot.prepared.expires_boot

    def valid(self, entry: Entry) -> Prepared:
        """The prepared answers of an entry's valid token; raises the typed 503 if it has none now."""
        if (found := self.prepared(entry)) is None:
            raise unavailable(entry)
        return found

    def holds_valid(self, lease: Lease) -> bool:
        """Tell whether a lease that the engine handed out may be handed on."""
        return lease.token.is_valid(self.engine.clock.instant())

    def remember(self, text: bytes, prepared: Prepared, *, plain: bool) -> None:
        """Recognise this very request text from now on."""
        if text in self.remembered or len(self.remembered) >= MOST_REMEMBERED:
            for known in [text] if text in self.remembered else list(self.remembered):
                self._unlearn(known)
        answer = prepared.plain if plain else prepared.json
        self.remembered[text] = Hot(prepared.lease.name, prepared, answer.encode(close=False))

    def audit(self, reads: bool) -> None:
        """Log each read from now on, or none: the log level may change while we run."""
        self.audit_reads = reads
        for text in list(self.remembered):  # these are answered past the log
            self._unlearn(text)

    @property
    def answers_kept(self) -> int:
        """How many tokens have prepared answers."""
        return len(self._prepared)

    def forget_old_answers(self) -> None:
        """Drop prepared answers, which hold tokens in clear, whose token is gone or replaced."""
        entries = self.engine.entries

        def is_old(prepared: Prepared) -> bool:
            entry = entries.get(prepared.lease.name)
            return entry is None or not prepared.fits(entry)

        for name in [name for name, prepared in self._prepared.items() if is_old(prepared)]:
            del self._prepared[name]
        for text in [text for text, hot in self.remembered.items() if is_old(hot.prepared)]:
            self._unlearn(text)

    def count(self, token: str, status: int) -> None:
        """Note one answer; ``token`` is "" where none was named that the peer may see."""
        self._requests[token, status] += 1

    def requests(self) -> Mapping[tuple[str, int], int]:
        """Answers so far by (token, HTTP status), for ``tokend_client_requests_total{token,code}``."""
        total = Counter(self._requests)
        for hot in self.remembered.values():
            total[hot.name, 200] += hot.hits
        return total

    def _unlearn(self, text: bytes) -> None:
        hot = self.remembered.pop(text)
        self._requests[hot.name, 200] += hot.hits

    def denied(self, peer: Peer, **what: Any) -> None:
        """Write the audit line of a denial, unless the uid has had one just now."""
        unsaid = self._denials.unsaid_before(peer.uid, self.engine.clock.instant().boot)
        if unsaid is not None:
            self.log.warning("client.denied", uid=peer.uid, unsaid_before=unsaid, **what)


def unavailable(entry: Entry) -> TokenUnavailableError | LoginRequiredError:
    """Make the error for an entry without a valid token, with its last error and its next attempt."""
    status = entry.status()
    retry_at = None if status.next_attempt_at is None else status.next_attempt_at.timestamp()
    reason = f": {status.last_error.detail}" if status.last_error is not None else ""
    if status.state in (State.REJECTED, State.LOGIN_REQUIRED):
        text = f"token {entry.name!r} is not valid and its state is {status.state.value}, a person must act{reason}"
        return LoginRequiredError(text, retry_at=retry_at)
    text = f"token {entry.name!r} has no valid value now, its state is {status.state.value}{reason}"
    return TokenUnavailableError(text, retry_at=retry_at)
