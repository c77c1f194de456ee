"""A configured on-demand provider while it runs: its status, and the commands of readers. It holds no token."""

from collections.abc import Iterator, Mapping
from typing import ClassVar, NoReturn, cast

from anyio.abc import TaskGroup

from tokend.config import ProviderConfig
from tokend.engine.context.context import Context
from tokend.engine.context.contract import SinkReport
from tokend.engine.on_demand.call_signer import sign
from tokend.engine.on_demand.issuer import TokenIssuer
from tokend.engine.policy.clock_difference import clock_warnings
from tokend.engine.policy.probes import next_probe
from tokend.engine.tasks.heartbeat import Monitored
from tokend.engine.tasks.worker_group import WorkerGroup
from tokend.plugin.request_signing import CallToSign
from tokend.plugin.settings import OnDemandSettings
from tokend.values.errors import NotSupportedError, StoreError
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.status import Failure, ProviderStatus
from tokend.values.tokens import Lease, Token


class OnDemandProvider:
    """Issue tokens per query. Implements `running_provider.RunningProvider`."""

    __slots__ = ("_context", "_sinks", "_tasks", "config", "issuer", "name", "settings")

    is_on_demand: ClassVar[bool] = True
    # Also where an earlier kind left a token under this name.
    lease: ClassVar[None] = None
    is_required: ClassVar[bool] = False
    removes_expired: ClassVar[bool] = False

    def __init__(self, config: ProviderConfig, context: Context, sinks: SinkReport) -> None:
        self.name = config.name
        self.config = config
        self.settings = cast(OnDemandSettings, config.settings)  # `running_provider.make` chose this class by it
        self.issuer = TokenIssuer(config.name, self.settings, context)
        self._context = context
        self._sinks = sinks
        self._tasks: TaskGroup  # from `start` on

    # -------------------------------------------------------------- life

    def start(self, tasks: TaskGroup, workers: WorkerGroup) -> None:  # noqa: ARG002  # of the interface
        """Leave `Rejected` soon if secrets changed while the daemon was stopped."""
        self._tasks = tasks
        self.issuer.callers.start(tasks)
        if self.is_rejected:
            tasks.start_soon(self.issuer.reconsider)

    async def finish(self) -> None:
        """Return at once: a call may be cut."""

    @property
    def exchange_under_way(self) -> None:
        """None: it uses no login."""

    def stop(self) -> None:
        """Leave the record to the next provider of the name; there is no loop."""
        self.issuer.stop()

    async def reconfigure(self, config: ProviderConfig) -> None:
        """Apply settings of the same kind."""
        changed = self.config.settings != config.settings
        self.config, self.settings = config, cast(OnDemandSettings, config.settings)
        if changed:
            await self.issuer.reconfigure(self.settings)

    def connection_changed(self) -> None:
        """Begin the failures again: a file that decides how the upstream is reached has other content."""
        self.issuer.connection_changed()

    def secrets_changed(self) -> None:
        """Leave `Rejected` soon if the rejected secrets changed."""
        self._tasks.start_soon(self.issuer.reconsider)

    async def outdated(self, generation: int) -> None:
        """Do nothing: on-demand kinds have no sinks."""

    # -------------------------------------------------------------- status

    @property
    def is_rejected(self) -> bool:
        """Whether the credentials are rejected."""
        return self.issuer.record.rejected

    @property
    def monitored(self) -> Iterator[Monitored]:
        """No loop has a heartbeat."""
        return iter(())

    def status(self) -> ProviderStatus:
        """Return its status now. ``next_attempt_at`` is when a query is sent although the credentials are rejected."""
        record, now = self.issuer.record, self._context.clock.instant()
        probe = next_probe(record, now)
        pause = self._context.limits.pause(self.settings.upstream, now)
        return ProviderStatus(
            name=self.name,
            kind=self.settings.kind,
            state=self.issuer.state,
            valid=False,
            expires_at=None,
            refresh_at=None,
            generation=None,
            fingerprint=None,
            required=False,
            seconds_left=None,
            failures=record.failures,
            last_error=record.last_error or self._context.unsafe.get(self.name) or self._unopened(now),
            next_attempt_at=None if probe is None else probe.wall,
            sinks=self._sinks.statuses(),
            paused_until=None if pause is None else pause.ends_at(now),
            paused_by=None if pause is None else self.settings.upstream,
            paused_token=None if pause is None else pause.by,
            note=self._context.store.unsaved_note(self.name),
            warnings=(
                *self._context.warnings.of(self.name),
                *clock_warnings(self.settings.upstream, self.issuer.runtime.upstream_now(), now),
            ),
        )

    def _unopened(self, now: Instant) -> Failure | None:
        why = self._context.store.unopened(self.name)
        return None if why is None else Failure(StoreError.reason, why, now.wall)

    def is_settled(self) -> bool:
        """Return True: there is nothing to wait for."""
        return True

    def has_given_up(self) -> bool:
        """Return whether the credentials are rejected."""
        return self.is_rejected

    def was_tried(self) -> bool:
        """Return True: nothing is tried without a query."""
        return True

    # -------------------------------------------------------------- commands of readers

    async def fresh(self, min_ttl: float, *, admin: bool) -> Lease:  # noqa: ARG002  # of the interface
        """Raise `NotSupportedError`: nothing is held."""
        self._refuse()

    async def refresh(self, if_generation: int | None, *, admin: bool) -> Lease:  # noqa: ARG002  # of the interface
        """Raise `NotSupportedError`: nothing is held."""
        self._refuse()

    async def resume(self) -> None:
        """Let the next query try rejected credentials again."""
        await self.issuer.resume()

    async def issue(self, parameters: Mapping[str, str], uid: int) -> Token:
        """Issue one token."""
        return await self.issuer.issue(parameters, uid)

    async def sign(self, call: CallToSign, uid: int) -> Mapping[str, Secret | str]:
        """Sign a caller's own call to the upstream."""
        return await sign(self.issuer, call, uid)

    async def forget(self) -> None:
        """Raise `NotSupportedError`: nothing is held."""
        raise NotSupportedError(f"{self.name} is issued on demand: there is nothing to forget")

    def _refuse(self) -> NoReturn:
        raise NotSupportedError(f"{self.name} is issued on demand: POST /v1/tokens/{self.name}/issue")
