"""The supervisor makes the running providers match a `Config`, and passes readers' commands on to them.

A start is a reload from nothing. One worker runs for each held provider, one for each sink, one for the ends of all
tokens.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import anyio
from anyio.abc import TaskGroup

from tokend.config import Config, ProviderConfig
from tokend.engine import reload_plan, running_provider
from tokend.engine.context.context import Context
from tokend.engine.context.contract import Reload, ReloadAnswer
from tokend.engine.context.counters import Counters
from tokend.engine.context.references import References, referenced
from tokend.engine.context.warnings import CONFIG, SECRETS, Warnings
from tokend.engine.held.exchange_guard import ExchangeUnderWay
from tokend.engine.held.login_status import login_status, scopes_note
from tokend.engine.held.server_probe import Outcome, probe_server
from tokend.engine.logins.logins import Logins
from tokend.engine.publishing import newer_targets
from tokend.engine.publishing.drift_watch import DriftWatch
from tokend.engine.publishing.running_sinks import RunningSinks
from tokend.engine.publishing.store_probe import StoreProbe, probe_store
from tokend.engine.publishing.target_lock import TargetLock
from tokend.engine.records.fingerprints import request_fingerprint
from tokend.engine.records.rename import for_another_kind, is_blank
from tokend.engine.reload_plan import ReloadPlan, Step
from tokend.engine.running_provider import RunningProvider
from tokend.engine.tasks.expiry_watch import ExpiryWatch
from tokend.engine.tasks.heartbeat import Monitored
from tokend.engine.tasks.worker_group import WorkerGroup
from tokend.machine.clock import Clock
from tokend.machine.logs import get_logger
from tokend.plugin.login import login_file_of, uses_login
from tokend.plugin.provider import RequestIdMaker
from tokend.plugin.request_signing import CallToSign
from tokend.plugin.secret_reading import files_of
from tokend.plugin.settings import HeldSettings, ProviderSettings, SinkSettings
from tokend.values.errors import (
    NotSupportedError,
    StoreError,
    TokenUnavailableError,
    UnknownTokenError,
    UnsafePathError,
)
from tokend.values.secret import Secret
from tokend.values.status import Failure, SinkStatus
from tokend.values.tokens import Lease, Token

log = get_logger()


class Supervisor:
    """Run providers; implement `contract.Engine`. Must be constructed inside the task group that is passed."""

    def __init__(
        self,
        tasks: TaskGroup,
        context: Context,
        *,
        reload: Reload,
    ) -> None:
        self._tasks = tasks
        self._workers = WorkerGroup(tasks, context.clock)
        self._context = context
        self._reload = reload
        self._providers: dict[str, RunningProvider] = {}
        self._sinks: dict[str, RunningSinks] = {}
        # An attribute, not a property: the servers read it at each request.
        self.entries: Mapping[str, RunningProvider] = MappingProxyType(self._providers)
        self._target_locks: dict[str, TargetLock] = {}
        self._expiry = ExpiryWatch(context, is_held=self._providers.__contains__)
        self._workers.start(None, self._expiry.run)
        self._drift = DriftWatch(context)
        self._workers.start(None, self._drift.run)
        self._references = References(context.store, self._token_changed)
        # Required providers that the configuration lacks, or that lack a sink: the daemon is not ready.
        self._left_out: frozenset[str] = frozenset()
        self.logins = Logins(tasks, context, self._providers)
        for name, record in context.store.records.items():
            # Honour a persisted Retry-After after a restart, even if the provider that received it is gone.
            if record.host_pause is not None:
                context.limits.block(record.host_pause.host, record.host_pause.until, by=name)

    # -------------------------------------------------------------- configuration

    def plan(self, config: Config) -> ReloadPlan:
        """Plan the way to ``config``; nothing changes."""
        return reload_plan.plan({name: provider.config for name, provider in self._providers.items()}, config)

    async def apply(self, config: Config) -> ReloadPlan:
        """Plan the way to ``config`` and carry it out."""
        plan = self.plan(config)
        await self.carry_out(plan)
        return plan

    async def carry_out(self, plan: ReloadPlan) -> None:
        """Make the running providers match ``plan.config``. Untouched ones notice nothing."""
        for step in plan.steps:
            if step.action == "remove":
                await self._stop(step.name)
        now = self._context.clock.instant().wall
        self._context.unsafe.clear()
        for name, config in plan.config.providers.items():
            if config.unsafe is not None:
                self._context.unsafe[name] = Failure(UnsafePathError.reason, config.unsafe, now)
        self._left_out = plan.config.left_out
        self._keep_unread_logins(plan.config)
        orphans = self._orphans(plan.config)
        await newer_targets.note(
            self._context, [plan.config.providers[s.name] for s in plan.steps if s.action == "add"]
        )
        for step in plan.steps:
            if step.action != "remove":
                await self._carry_out(step, plan.config.providers[step.name], orphans)
        self._references.follow(plan.config.providers)
        self.warnings.replace(CONFIG, plan.config.warnings_by_provider(of_secrets=False))
        self.warnings.replace(SECRETS, plan.config.warnings_by_provider(of_secrets=True))
        for step in plan.steps:
            self._context.store.touch(step.name)
            log.info("config.applied", token=step.name, action=step.action)

    async def _carry_out(self, step: Step, config: ProviderConfig, orphans: dict[str, str]) -> None:
        if step.origin is not None:
            if step.name in self._providers:
                await self._stop(step.name)  # it keeps nothing: another provider takes the name
            await self._stop(step.origin)
            await self._context.store.rename(step.origin, step.name)
            self._start(config)
        elif step.action == "add":
            await self._adopt(config, orphans)
            self._start(config)
        else:
            await self._change(config)

    def secrets_changed(self, paths: set[Path]) -> None:
        """Let the providers and sinks that read the files at ``paths`` react to what is there now."""
        for sinks in self._sinks.values():
            sinks.secrets_changed(paths)
        for provider in self._providers.values():
            if not paths.isdisjoint(files_of(provider.settings)):
                provider.secrets_changed()

    def _token_changed(self, readers: Iterable[str], token: str) -> None:
        """Let the providers and sinks react that use another provider's ``token`` as a secret."""
        for name in readers:
            if (provider := self._providers.get(name)) is not None:
                if any(one.needed_token == token for one in provider.settings.secrets().values()):
                    provider.secrets_changed()
                self._sinks[name].token_changed(token)

    def login_files_changed(self, paths: set[Path]) -> None:
        """Let the providers look at their login files among ``paths``: another daemon may have written there."""
        for provider in self._providers.values():
            if isinstance(provider.settings, HeldSettings) and login_file_of(provider.settings) in paths:
                provider.secrets_changed()

    def connection_files_changed(self, paths: set[Path]) -> None:
        """Let the providers react that reach their upstream by the files at ``paths``: authorities, certificates."""
        for provider in self._providers.values():
            if paths & provider.settings.connection_files():
                provider.connection_changed()

    def repair_sinks(self) -> None:
        """Look at all targets at once, and end the pauses of sinks: a person asked for it."""
        for sinks in self._sinks.values():
            sinks.try_now()
        self._drift.look_soon()

    def _keep_unread_logins(self, config: Config) -> None:
        """Let providers with a login wait for a record that cannot be read now: it may hold the only refresh token.

        The others begin with nothing: that costs them a request.
        """
        state = self._context.store.state
        for name in [*state.unread]:
            if (one := config.providers.get(name)) is not None and _may_hold_login(one.settings):
                state.keep_unread(name)

    def _orphans(self, config: Config) -> dict[str, str]:
        """Find the stored names that are not configured any more, by the fingerprint of what was asked for."""
        records = self._context.store.records
        gone = records.keys() - config.providers.keys() - self._providers.keys()
        return {request: name for name in sorted(gone, reverse=True) if (request := records[name].request) is not None}

    async def _adopt(self, config: ProviderConfig, orphans: dict[str, str]) -> None:
        """Move an orphan's record to a new name that asks for the same: it was renamed while the daemon was stopped."""
        store = self._context.store
        if orphans and is_blank(store.get(config.name)):
            request = request_fingerprint(config.settings, store.state.digest)
            if (old := orphans.pop(request, None)) is not None:
                await store.rename(old, config.name)

    def _start(self, config: ProviderConfig) -> None:
        name, context = config.name, self._context
        sinks = RunningSinks(
            name,
            context,
            self._workers,
            locks=self._target_locks,
            removes=self._removes_when_expired,
            outdated=lambda generation: provider.outdated(generation),
            watch=self._drift,
        )
        provider = running_provider.make(config, context, sinks)
        self._providers[name], self._sinks[name] = provider, sinks
        provider.start(self._tasks, self._workers)
        sinks.match(config.sinks)

    async def _stop(self, name: str) -> None:
        """Stop a provider. Its files stay, and its state, for the day when it is configured again.

        An exchange of its login is waited for: the next provider of the name must find what came of it.
        """
        await self._providers[name].finish()
        self._providers.pop(name).stop()
        self._sinks.pop(name).stop()
        self.warnings.drop(name)

    async def _change(self, config: ProviderConfig) -> None:
        provider = self._providers[config.name]
        if type(provider.settings) is type(config.settings):
            was_unsafe = provider.config.unsafe is not None
            await provider.reconfigure(config)
            if was_unsafe:
                provider.secrets_changed()
            self._sinks[config.name].match(config.sinks)
            return
        # Another kind is another account: it uses nothing of the old one, not even for a moment.
        await self._stop(config.name)
        await self._context.store.update(config.name, for_another_kind)
        self._start(config)

    def _removes_when_expired(self, name: str) -> bool:
        provider = self._providers.get(name)
        return provider is not None and provider.removes_expired

    # -------------------------------------------------------------- the end of the daemon

    def exchanges_under_way(self) -> Sequence[ExchangeUnderWay]:
        """Return the exchanges of logins whose answers must be waited for."""
        found = (provider.exchange_under_way for provider in self._providers.values())
        return [one for one in found if one is not None]

    async def finish(self) -> None:
        """Return when no exchange of a login is under way. Call it when the daemon ends."""
        async with anyio.create_task_group() as tasks:
            for provider in self._providers.values():
                if provider.exchange_under_way is not None:
                    tasks.start_soon(provider.finish)

    # -------------------------------------------------------------- commands of readers (contract.Engine)

    @property
    def clock(self) -> Clock:
        """The time."""
        return self._context.clock

    @property
    def refreshers(self) -> Iterator[Monitored]:
        """The refresh loops, whose heartbeat the watchdog checks."""
        return (loop for provider in self._providers.values() for loop in provider.monitored)

    @property
    def ready(self) -> bool:
        """Whether every required token is valid and in every required sink."""
        required = (provider for provider in self._providers.values() if provider.is_required)
        return not self._left_out and all(provider.is_settled() for provider in required)

    async def fresh(self, name: str, min_ttl: float, *, admin: bool) -> Lease:
        """Return a lease valid for at least ``min_ttl`` more seconds."""
        return await self._provider(name).fresh(min_ttl, admin=admin)

    async def refresh(self, name: str, *, if_generation: int | None, reason: str, admin: bool) -> Lease:
        """Make one attempt now, unless the token is newer than ``if_generation`` already."""
        log.debug("token.refresh_asked", token=name, reason=reason, if_generation=if_generation)
        return await self._provider(name).refresh(if_generation, admin=admin)

    async def resume(self, name: str) -> None:
        """Let the next query try rejected credentials of an on-demand kind again."""
        await self._provider(name).resume()
        log.info("token.resumed", token=name)

    async def issue(self, name: str, parameters: Mapping[str, str], *, uid: int = 0) -> Token:
        """Issue one on-demand token."""
        return await self._provider(name).issue(parameters, uid)

    async def sign(self, name: str, call: CallToSign, *, uid: int) -> Mapping[str, Secret | str]:
        """Sign a caller's own call to an upstream."""
        return await self._provider(name).sign(call, uid)

    async def request_id(self, name: str) -> str:
        """Make a request id."""
        settings = self._provider(name).settings
        if not isinstance(settings, RequestIdMaker):
            raise NotSupportedError(f"{name}: kind {settings.kind} needs no request id")
        return settings.request_id()

    async def forget(self, name: str) -> None:
        """Drop the token everywhere, then make an attempt. A record that cannot be opened is set aside."""
        provider, why = self._provider(name), self._context.store.unopened(name)
        if why is not None and _may_hold_login(provider.settings):
            raise TokenUnavailableError(f"{name}: {why}; its login is in there: tokend logout {name} drops it")
        try:
            was_dropped = await self._context.store.drop_unopened(name)
        except StoreError as error:
            raise TokenUnavailableError(f"{name}: {error.detail}") from None
        if not (was_dropped and provider.is_on_demand):
            await provider.forget()

    async def sync(self, name: str, label: str | None, *, take_over: bool) -> None:
        """Write the token to its sinks now, or to the sink ``label``; returns when they have tried."""
        await self._sinks_of(name).sync(label, take_over=take_over)

    async def inspect(self, name: str) -> tuple[SinkStatus, ...]:
        """Ask every sink of the token now what its target holds."""
        return await self._sinks_of(name).inspect()

    async def probe(self, name: str, sink: SinkSettings) -> StoreProbe:
        """Ask the store of a remote sink, which need not run, once; writes nothing."""
        return await probe_store(name, sink, self._context)

    async def probe_server(self, settings: ProviderSettings) -> tuple[Outcome, str] | None:
        """Ask the server of a provider, which need not run, what it is; None if there is nothing to ask."""
        return await probe_server(settings, self._context)

    async def reload(self, *, dry_run: bool, path: Path | None = None) -> ReloadAnswer:
        """Read the configuration again and apply it."""
        return await self._reload(dry_run, path)

    def subscribe(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call ``callback(name)`` at each change."""
        return self._context.store.subscribe(callback)

    @property
    def warnings(self) -> Warnings:
        """The warnings about each provider."""
        return self._context.warnings

    @property
    def counters(self) -> Counters:
        """The counts since the start."""
        return self._context.counters

    def outcome(self) -> int | None:
        """Return the exit code of ``run --once``, None while trying on may change it.

        What is not required was tried at least once; what is required is tried until it is there, or only a person can
        change that.
        """
        providers = self._providers.values()
        if any(sinks.owe_announcement() for sinks in self._sinks.values()):
            return None
        for provider in providers:
            waits = provider.is_required or not provider.was_tried()
            if waits and not provider.is_settled() and not self._needs_a_person(provider):
                return None
        return self.outcome_now()

    def outcome_now(self) -> int:
        """Return the exit code of a ``run --once`` that ends now: 0, 4 or 7."""
        required = [provider for provider in self._providers.values() if provider.is_required]
        if not self._left_out and all(provider.is_settled() for provider in required):
            return 0
        return 4 if any(self._needs_a_person(provider) for provider in required) else 7

    def scopes_note(self, provider: ProviderConfig) -> str | None:
        """Return which scopes of these settings the login has not been granted, and the command that brings them.

        None if there is no such login, or all scopes are granted.
        """
        name, settings = provider.name, provider.settings
        if not isinstance(settings, HeldSettings):
            return None
        logins, now = self._context.store.get(name).login, self._context.clock.instant()
        return scopes_note(login_status(name, settings, logins, now=now, pending=False))

    def _needs_a_person(self, provider: RunningProvider) -> bool:
        """Return whether only a person can bring a token about, or into one of its required stores."""
        return self._has_given_up(provider) or self._sinks[provider.config.name].need_a_person()

    def _has_given_up(self, provider: RunningProvider) -> bool:
        """Return whether only a person can change something for a provider, or for one whose token it waits for."""
        if provider.has_given_up():
            return True
        lacks = [name for name in referenced(provider.settings) if self._context.store.valid_lease(name) is None]
        return any(self._has_given_up(self._providers[name]) for name in lacks if name in self._providers)

    def _sinks_of(self, name: str) -> RunningSinks:
        if self._provider(name).is_on_demand:
            raise NotSupportedError(f"{name} is issued per query: it has no sinks")
        return self._sinks[name]

    def _provider(self, name: str) -> RunningProvider:
        try:
            return self._providers[name]
        except KeyError:
            raise UnknownTokenError(f"there is no token {name}") from None


def _may_hold_login(settings: ProviderSettings) -> bool:
    return isinstance(settings, HeldSettings) and uses_login(settings)
