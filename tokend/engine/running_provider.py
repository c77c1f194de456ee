"""One configured provider while it runs: the entry that the socket server and the supervisor see."""

import anyio

from tokend.config import ProviderConfig
from tokend.engine.context.context import Context
from tokend.engine.held.demand import Demand
from tokend.engine.held.refresher import Refresher
from tokend.engine.on_demand.issuer import TokenIssuer
from tokend.engine.publishing.publisher import Publisher
from tokend.engine.publishing.socket_publisher import SocketPublisher
from tokend.plugin.settings import HeldSettings, OnDemandSettings, ProviderSettings
from tokend.values.status import ProviderStatus, State
from tokend.values.tokens import Lease


class RunningProvider:
    """One configured provider while it runs: what it is, and the tasks that serve it."""

    __slots__ = ("_context", "_records", "config", "demand", "publishers", "scopes", "settings", "worker")

    def __init__(self, config: ProviderConfig, context: Context) -> None:
        self.config = config
        self.settings: ProviderSettings = config.settings
        self._context = context
        # The socket looks at lease and settings at each read: a detour over worker and store costs it a tenth.
        self._records = context.store.records
        self.worker: Refresher | TokenIssuer
        self.demand: Demand | None = None
        if isinstance(config.settings, HeldSettings):
            self.worker = Refresher(config.name, config.settings, context)
            self.demand = Demand(self.worker)
        elif isinstance(config.settings, OnDemandSettings):
            self.worker = TokenIssuer(config.name, config.settings, context)
        else:
            raise TypeError(f"kind {config.settings.kind} is neither held nor on demand")
        self.publishers: list[Publisher | SocketPublisher] = []
        self.scopes: dict[object, anyio.CancelScope] = {}

    def configure(self, config: ProviderConfig) -> None:
        """Note new settings of the same kind."""
        self.config, self.settings = config, config.settings

    @property
    def name(self) -> str:
        """The token's name."""
        return self.config.name

    @property
    def lease(self) -> Lease | None:
        """The token now held, valid or not; on-demand kinds hold none."""
        record = self._records.get(self.config.name)
        return None if record is None or self.demand is None else record.token.lease

    def status(self) -> ProviderStatus:
        """Its status now."""
        record, lease, now = self.worker.record, self.lease, self._context.clock.instant()
        expires = None if lease is None else lease.token.expires_at
        upcoming = self.worker.next_attempt() if isinstance(self.worker, Refresher) else None
        return ProviderStatus(
            name=self.name,
            kind=self.settings.kind,
            state=self.worker.state,
            valid=lease is not None and lease.token.is_valid(now),
            expires_at=None if expires is None else expires.wall,
            refresh_at=None if lease is None or lease.refresh_at is None else lease.refresh_at.wall,
            generation=None if lease is None else lease.generation,
            fingerprint=None if lease is None else lease.fingerprint,
            required=self.settings.required and isinstance(self.worker, Refresher),
            seconds_left=None if expires is None else max(0.0, now.until(expires)),
            failures=record.failures,
            last_error=record.last_error,
            next_attempt_at=None if upcoming is None else upcoming.wall,
            sinks=tuple(publisher.status for publisher in self.publishers),
            note=self._note(),
        )

    def _note(self) -> str | None:
        notes = [self.worker.note] if isinstance(self.worker, Refresher) else []
        if (trouble := self._context.store.trouble(self.name)) is not None:
            notes.append(f"a restart would not find what is known now: {trouble}")
        return "; ".join(note for note in notes if note is not None) or None

    def is_settled(self) -> bool:
        """Tell whether a valid token is held and in every required sink. On-demand kinds always are."""
        if isinstance(self.worker, TokenIssuer):
            return True
        return self.worker.is_valid() and all(p.holds(self.lease) for p in self.publishers if p.sink.required)

    def owes_announcement(self) -> bool:
        """Tell whether a sink has written and not yet told others."""
        return any(publisher.owes_announcement() for publisher in self.publishers)

    def has_given_up(self) -> bool:
        """Tell whether a single run need not wait longer: a verdict, or a failure that only time mends."""
        record = self.worker.record
        if self.worker.state is State.REJECTED:
            return True
        return bool(record.failures) and not record.attempts.failures.refusals and self.lease is None
