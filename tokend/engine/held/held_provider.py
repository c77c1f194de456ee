"""A configured held provider while it runs: its token, its status, and the commands of readers."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import ClassVar, cast

import anyio
from anyio.abc import TaskGroup

from tokend.config import ProviderConfig
from tokend.engine.context.context import Context
from tokend.engine.context.contract import SinkReport
from tokend.engine.held import kept_logins
from tokend.engine.held.demand import Demand
from tokend.engine.held.exchange_guard import ExchangeUnderWay
from tokend.engine.held.login_status import login_status, scopes_note
from tokend.engine.held.provider_login import ProviderLogin
from tokend.engine.held.refresher import Refresher
from tokend.engine.records.record import Record
from tokend.engine.tasks.heartbeat import Monitored
from tokend.engine.tasks.worker_group import WorkerGroup
from tokend.plugin.login import RememberingRuntime
from tokend.plugin.request_signing import CallToSign
from tokend.plugin.settings import HeldSettings
from tokend.values.errors import NotSupportedError, StoreError
from tokend.values.logins import Granted, Login
from tokend.values.secret import Secret
from tokend.values.status import ProviderStatus
from tokend.values.tokens import Lease, Token


class HeldProvider:
    """Hold one token and keep it fresh. Implements `running_provider.RunningProvider`."""

    __slots__ = ("_context", "_demand", "_records", "_scope", "_sinks", "config", "name", "refresher", "settings")

    is_on_demand: ClassVar[bool] = False

    def __init__(self, config: ProviderConfig, context: Context, sinks: SinkReport) -> None:
        self.name = config.name
        self.config = config
        self.settings = cast(HeldSettings, config.settings)  # `running_provider.make` chose this class by it
        self.refresher = Refresher(config.name, self.settings, context)
        self._context = context
        # The servers read lease and settings at each request: another call on the way costs a tenth of it.
        self._records = context.store.records
        self._demand = Demand(self.refresher)
        self._sinks = sinks
        self._scope: anyio.CancelScope  # from `start` on

    # -------------------------------------------------------------- life

    def start(self, tasks: TaskGroup, workers: WorkerGroup) -> None:  # noqa: ARG002  # of the interface
        """Start the refresh loop."""
        self._scope = workers.start(self.name, self.refresher.run)
        if (login := self.refresher.login) is not None:
            login.exchange.saving.scope = self._scope

    async def finish(self) -> None:
        """Return when no exchange of its login is under way."""
        if (login := self.refresher.login) is not None:
            await login.exchange.finish()

    def stop(self) -> None:
        """Stop the refresh loop. Token and state stay."""
        self._scope.cancel()
        if (accepted := self.refresher.accepted) is not None:
            accepted.refuse()

    @property
    def exchange_under_way(self) -> ExchangeUnderWay | None:
        """The exchange of its login whose answer must be waited for."""
        login = self.refresher.login
        if login is None or not login.exchange.guard.is_under_way:
            return None
        return ExchangeUnderWay(self.settings.upstream, self.refresher.timeout_seconds, login.exchange.guard.break_off)

    async def reconfigure(self, config: ProviderConfig) -> None:
        """Apply settings of the same kind."""
        changed = self.config.settings != config.settings
        self.config, self.settings = config, cast(HeldSettings, config.settings)
        if changed:
            self.refresher.reconfigure(self.settings)

    def connection_changed(self) -> None:
        """Begin the failures again: a file that decides how the upstream is reached has other content."""
        self.refresher.connection_changed()

    def secrets_changed(self) -> None:
        """Reconcile the token with a secret's new content."""
        self.refresher.secrets_changed()

    async def outdated(self, generation: int) -> None:
        """Refresh at once: a newer token than the one held was published, with this generation."""
        await self.refresher.outdated(generation)

    # -------------------------------------------------------------- status

    @property
    def lease(self) -> Lease | None:
        """The token now held, valid or not."""
        record = self._records.get(self.name)
        return None if record is None else record.token.lease

    @property
    def is_required(self) -> bool:
        """Whether the daemon is ready only with this token."""
        return self.settings.required

    @property
    def removes_expired(self) -> bool:
        """Whether sinks must not hold the token after its end."""
        return self.settings.on_expiry == "remove"

    @property
    def is_rejected(self) -> bool:
        """Whether the credentials are rejected."""
        return self.refresher.record.rejected

    @property
    def monitored(self) -> Iterator[Monitored]:
        """The loops whose heartbeat the watchdog checks."""
        yield self.refresher

    def status(self) -> ProviderStatus:
        """Return its status now."""
        record, lease, now = self.refresher.record, self.lease, self._context.clock.instant()
        expires = None if lease is None else lease.token.expires_at
        upcoming = self.refresher.next_attempt()
        login = login_status(
            self.name, self.settings, record.login, now=now, pending=self.name in self._context.logging_in
        )
        notes = (self.refresher.note, scopes_note(login), self._context.store.unsaved_note(self.name))
        pause = self._context.limits.pause(self.settings.upstream, now)
        return ProviderStatus(
            name=self.name,
            kind=self.settings.kind,
            state=self.refresher.state,
            valid=lease is not None and lease.token.is_valid(now),
            expires_at=None if expires is None else expires.wall,
            refresh_at=None if lease is None or lease.refresh_at is None else lease.refresh_at.wall,
            generation=None if lease is None else lease.generation,
            fingerprint=None if lease is None else lease.fingerprint,
            required=self.is_required,
            seconds_left=None if expires is None else max(0.0, now.until(expires)),
            failures=record.failures,
            last_error=self.refresher.waiting or record.last_error or self.refresher.reconciliation.unreadable,
            next_attempt_at=None if upcoming is None else upcoming.wall,
            sinks=self._sinks.statuses(),
            login=login,
            paused_until=None if pause is None else pause.ends_at(now),
            paused_by=None if pause is None else self.settings.upstream,
            paused_token=None if pause is None else pause.by,
            note="; ".join(note for note in notes if note is not None) or None,
            reports=self._context.reports.of(self.name),
            warnings=(
                *self._context.warnings.of(self.name),
                *self.refresher.clock_warnings(),
                *self._context.reports.warnings(self.name, signed_here=self.settings.signs_here),
            ),
        )

    def is_settled(self) -> bool:
        """Return whether a valid token is held and is in every required sink."""
        return self.refresher.is_valid() and self._sinks.hold(self.lease)

    def has_given_up(self) -> bool:
        """Return whether only a person can bring a valid token. False until settings and secrets were looked at."""
        refresher = self.refresher
        return refresher.reconciliation.has_been_made and (
            self.is_rejected
            or refresher.record.requires_login
            or (not refresher.is_renewable and refresher.lease is not None and not refresher.is_valid())
        )

    def was_tried(self) -> bool:
        """Return whether an attempt was made, or cannot be made for want of a secret."""
        refresher = self.refresher
        if refresher.reconciliation.unreadable is not None or refresher.waiting is not None:
            return True
        return refresher.lease is not None or bool(refresher.record.failures)

    # -------------------------------------------------------------- commands of readers

    async def fresh(self, min_ttl: float, *, admin: bool) -> Lease:
        """Return a lease valid for at least ``min_ttl`` more seconds."""
        return await self._demand.fresh(min_ttl, admin=admin)

    async def refresh(self, if_generation: int | None, *, admin: bool) -> Lease:
        """Make one attempt now, unless the token is newer than ``if_generation`` already."""
        return await self._demand.newer_than(if_generation, admin=admin)

    async def resume(self) -> None:
        """Raise `NotSupportedError`: a held token is refreshed."""
        raise NotSupportedError(f"{self.name} is a held token: POST /v1/tokens/{self.name}/refresh")

    async def issue(self, parameters: Mapping[str, str], uid: int) -> Token:  # noqa: ARG002  # of the interface
        """Raise `NotSupportedError`: the token is held."""
        raise NotSupportedError(f"{self.name} is a held token: GET it")

    async def sign(self, call: CallToSign, uid: int) -> Mapping[str, Secret | str]:  # noqa: ARG002  # of the interface
        """Raise `NotSupportedError`: a held token is sent as it is."""
        raise NotSupportedError(f"{self.name}: kind {self.settings.kind} signs no calls")

    # -------------------------------------------------------------- persons (logins.login_holder)

    @property
    def login(self) -> Login | None:
        """The login now kept, whether it is used, refused or set aside; None without one."""
        return self.refresher.record.login.kept

    @property
    def login_runtime(self) -> RememberingRuntime:
        """The runtime of exchanges under the settings in force."""
        return self._provider_login.runtime

    @property
    def _provider_login(self) -> ProviderLogin:
        login = self.refresher.login
        assert login is not None  # noqa: S101  # kinds with a login are asked for it
        return login

    async def accept_login(self, granted: Granted, *, another_account: bool) -> None:
        """Keep what was granted to a person as the login, durably, and publish its token. Returns when that is done.

        An exchange of the login before it is waited for. ``another_account``: the old token is withdrawn first. Raises
        `StoreError` where nothing can be kept. A token that cannot be used is a failed attempt; the login is kept.
        """
        if (accepted := self.refresher.accepted) is None:
            raise StoreError(f"{self.name}: its settings use no login any more")
        await accepted.accept(granted, another_account=another_account)

    @property
    def logged_out(self) -> Sequence[Login]:
        """The logins that a person has ended, and that no server has confirmed."""
        return self.refresher.record.login.logged_out

    async def log_out(self) -> None:
        """Withdraw the token, and never use the login again, durably."""
        await kept_logins.log_out(self.name, self.refresher.login, self.refresher.accepted, self._context)
        self.refresher.wake()

    async def drop_logged_out(self, ended: Collection[Login]) -> None:
        """Drop the ``ended`` logins and those of former clients, durably. What was logged out later stays."""
        await kept_logins.drop_logged_out(self.name, self.refresher.login, ended, self._context)

    async def remember_notices(self, change: Callable[[Record], Record]) -> None:
        """Remember notices about the login, as ``change`` says: where the login is kept. Raises `StoreError`."""
        await self._provider_login.remember_notices(change)
        self.refresher.wake()  # what was read meanwhile may be another daemon's login

    async def forget(self) -> None:
        """Drop the token everywhere, then make an attempt."""
        await self.refresher.forget()
