"""Make the running tasks match a `Config`: starting is a reload from nothing. And answer what readers ask.

One worker per held provider, one per sink, one for the ends of all tokens.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import cast

from anyio.abc import TaskGroup

from tokend.config import Config, ProviderConfig
from tokend.engine import reload_plan
from tokend.engine.context.context import Context
from tokend.engine.context.counters import Counters
from tokend.engine.held.demand import Demand
from tokend.engine.held.refresher import Refresher
from tokend.engine.on_demand.issuer import TokenIssuer
from tokend.engine.publishing.publisher import Publisher
from tokend.engine.publishing.socket_publisher import SocketPublisher
from tokend.engine.publishing.target_lock import TargetLock
from tokend.engine.records.fingerprints import request_fingerprint
from tokend.engine.records.rename import is_blank, succeeded_by_another
from tokend.engine.reload_plan import Step
from tokend.engine.running_provider import RunningProvider
from tokend.engine.tasks.expiry_watch import ExpiryWatch
from tokend.engine.tasks.worker_group import WorkerGroup
from tokend.machine.clock import Clock
from tokend.machine.logs import get_logger
from tokend.plugin.provider import RequestNumbering
from tokend.plugin.settings import HeldSettings, OnDemandSettings, SinkSettings
from tokend.plugin.sink import ListeningSink
from tokend.values.errors import NotSupportedError, UnknownTokenError
from tokend.values.status import State
from tokend.values.tokens import Lease, Token

log = get_logger()


class Supervisor:
    """Run providers; implement `interfaces.Engine`. Must be constructed inside the task group it gets."""

    def __init__(
        self,
        tasks: TaskGroup,
        context: Context,
        *,
        reload: Callable[[bool], Awaitable[Sequence[Mapping[str, str]]]],
    ) -> None:
        self._tasks = tasks
        self._workers = WorkerGroup(tasks, context.clock)
        self._context = context
        self._reload = reload
        self._providers: dict[str, RunningProvider] = {}
        # Of `interfaces.Engine`, as an attribute: the socket looks there at each read.
        self.entries: Mapping[str, RunningProvider] = MappingProxyType(self._providers)
        self._targets: dict[str, TargetLock] = {}
        self._expiry = ExpiryWatch(context, is_held=self._providers.__contains__)
        self._workers.start(None, self._expiry.run)
        for record in context.store.records.values():
            # A restart is no way around a pause that a host asked for, also where nobody is configured any more whom it
            # told so.
            if record.host_pause is not None:
                context.limits.block(record.paused_host, record.host_pause)

    # -------------------------------------------------------------- configuration

    def plan(self, config: Config) -> list[dict[str, str]]:
        """What `apply` would do: ``name`` and ``action`` (add, change, rename, remove), untouched ones left out."""
        return [{"name": step.name, "action": step.action} for step in self._steps(config)]

    async def apply(self, config: Config) -> list[dict[str, str]]:
        """Make the running providers match ``config``; returns the plan. Untouched ones notice nothing."""
        steps = self._steps(config)
        for step in steps:
            if step.action == "remove":
                self._stop(step.name)
        orphans = self._orphans(config)
        for step in steps:
            if step.action == "rename" and step.origin is not None:
                if step.name in self._providers:
                    self._stop(step.name)  # nothing of it is its heir's
                self._stop(step.origin)
                await self._context.store.rename(step.origin, step.name)
                self._start(config.providers[step.name])
            elif step.action == "add":
                await self._adopt(config.providers[step.name], orphans)
                self._start(config.providers[step.name])
            elif step.action == "change":
                await self._change(config.providers[step.name])
        for step in steps:
            self._context.store.touch(step.name)
            log.info("config.applied", token=step.name, action=step.action)
        return [{"name": step.name, "action": step.action} for step in steps]

    def secrets_changed(self, paths: set[Path]) -> None:
        """Some secret files changed: let the providers and sinks that read them look again."""
        for provider in self._providers.values():
            for publisher in provider.publishers:
                if isinstance(publisher, Publisher):
                    publisher.secrets_changed(paths)
            if paths & {source.file for source in provider.settings.secrets().values() if source.file is not None}:
                if isinstance(provider.worker, Refresher):
                    provider.worker.secrets_changed()
                else:
                    self._tasks.start_soon(provider.worker.reconsider)

    def _steps(self, config: Config) -> list[Step]:
        return reload_plan.steps({name: p.config for name, p in self._providers.items()}, config.providers)

    def _orphans(self, config: Config) -> dict[str, str]:
        """What is stored under names that are not configured any more: what was asked for, and the name."""
        records = self._context.store.records
        gone = records.keys() - config.providers.keys() - self._providers.keys()
        return {request: name for name in sorted(gone, reverse=True) if (request := records[name].request) is not None}

    async def _adopt(self, config: ProviderConfig, orphans: dict[str, str]) -> None:
        """Give a new name what is stored for one of the ``orphans``, if that asked for the same: it was renamed while
        nobody looked."""
        store = self._context.store
        if orphans and is_blank(store.get(config.name)):
            request = request_fingerprint(config.settings, store.state.digest)
            if (old := orphans.pop(request, None)) is not None:
                await store.rename(old, config.name)

    def _start(self, config: ProviderConfig) -> None:
        provider = RunningProvider(config, self._context)
        self._providers[config.name] = provider
        if isinstance(provider.worker, Refresher):
            provider.scopes["refresher"] = self._workers.start(config.name, provider.worker.run)
        elif provider.worker.state is State.REJECTED:
            self._tasks.start_soon(provider.worker.reconsider)
        self._publish(provider, config.sinks)

    def _stop(self, name: str) -> None:
        """Its files stay; its state stays too, for the day it comes back."""
        for scope in self._providers.pop(name).scopes.values():
            scope.cancel()

    async def _change(self, config: ProviderConfig) -> None:
        provider = self._providers[config.name]
        if type(provider.config.settings) is not type(config.settings):
            # Another kind is another account: nothing of the old one is its, not even for a moment.
            self._stop(config.name)
            await self._context.store.update(config.name, succeeded_by_another)
            self._start(config)
            return
        changed = provider.config.settings != config.settings
        provider.configure(config)
        if changed and isinstance(provider.worker, Refresher) and isinstance(config.settings, HeldSettings):
            provider.worker.reconfigure(config.settings)
        elif changed and isinstance(provider.worker, TokenIssuer) and isinstance(config.settings, OnDemandSettings):
            await provider.worker.reconfigure(config.settings)
        self._publish(provider, config.sinks)

    def _publish(self, provider: RunningProvider, sinks: Sequence[SinkSettings]) -> None:
        """Make the running publishers match ``sinks``; those that did not change go on undisturbed."""
        publishers: list[Publisher | SocketPublisher] = []
        for index, sink in enumerate(sinks, start=1):
            label = f"{sink.kind}-{index}"
            wanted: tuple[str, object] = (label, sink)
            publisher = next((p for p in provider.publishers if (p.label, p.sink) == wanted), None)
            if publisher is None:
                publisher = self._publisher(provider, sink, label)
                provider.scopes[publisher] = self._workers.start(provider.name, publisher.run)
            publishers.append(publisher)
        for old in provider.publishers:
            if old not in publishers:
                provider.scopes.pop(old).cancel()
        provider.publishers = publishers

    def _publisher(self, provider: RunningProvider, sink: SinkSettings, label: str) -> Publisher | SocketPublisher:
        target = self._targets.setdefault(sink.target, TargetLock())
        if sink.family == "served":
            served = cast(ListeningSink, sink)  # a model of the sinks' table implements what its family names
            return SocketPublisher(provider.name, served, label=label, target=target, context=self._context)
        removes = self._removes_when_expired
        return Publisher(provider.name, sink, label=label, removes=removes, target=target, context=self._context)

    def _removes_when_expired(self, name: str) -> bool:
        provider = self._providers.get(name)
        return provider is not None and getattr(provider.settings, "on_expiry", "keep") == "remove"

    # -------------------------------------------------------------- what readers ask (interfaces.Engine)

    @property
    def clock(self) -> Clock:
        """The time."""
        return self._context.clock

    @property
    def refreshers(self) -> Iterator[Refresher]:
        """Those who keep the held tokens fresh."""
        return (p.worker for p in self._providers.values() if isinstance(p.worker, Refresher))

    @property
    def ready(self) -> bool:
        """Every required token valid and in every required sink."""
        return all(provider.is_settled() for provider in self._providers.values() if provider.settings.required)

    async def fresh(self, name: str, min_ttl: float, *, admin: bool) -> Lease:
        """A lease valid for at least ``min_ttl`` more seconds."""
        return await self._demand(name).fresh(min_ttl, admin=admin)

    async def refresh(self, name: str, *, if_generation: int | None, reason: str, admin: bool) -> Lease:
        """One attempt now, unless the token is newer than ``if_generation`` already."""
        log.debug("token.refresh_asked", token=name, reason=reason, if_generation=if_generation)
        return await self._demand(name).newer_than(if_generation, admin=admin)

    async def issue(self, name: str, parameters: Mapping[str, str]) -> Token:
        """Issue one on-demand token."""
        worker = self._provider(name).worker
        if not isinstance(worker, TokenIssuer):
            raise NotSupportedError(f"{name} is a held token: GET it")
        return await worker.issue(parameters)

    async def request_id(self, name: str) -> str:
        """A new request id."""
        settings = self._provider(name).settings
        if not isinstance(settings, RequestNumbering):
            raise NotSupportedError(f"{name}: kind {settings.kind} needs no request id")
        return settings.request_id()

    async def forget(self, name: str) -> None:
        """Drop the token everywhere, log in anew."""
        worker = self._provider(name).worker
        if not isinstance(worker, Refresher):
            raise NotSupportedError(f"{name} is issued on demand: there is nothing to forget")
        await worker.forget()

    async def reload(self, *, dry_run: bool) -> Sequence[Mapping[str, str]]:
        """Read the configuration again and apply it."""
        return await self._reload(dry_run)

    def subscribe(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call ``callback(name)`` at each change."""
        return self._context.store.subscribe(callback)

    @property
    def counters(self) -> Counters:
        """What was counted since the start."""
        return self._context.counters

    def outcome(self) -> int | None:
        """For ``run --once``: 0, 4 or 7 as soon as it is certain, None while something may still come."""
        held = [p for p in self._providers.values() if isinstance(p.worker, Refresher)]
        if any(p.owes_announcement() or not (p.is_settled() or p.has_given_up()) for p in held):
            return None
        required = [p for p in held if p.settings.required]
        if all(p.is_settled() for p in required):
            return 0
        return 4 if any(p.worker.state is State.REJECTED for p in required) else 7

    def _provider(self, name: str) -> RunningProvider:
        try:
            return self._providers[name]
        except KeyError:
            raise UnknownTokenError(f"there is no token {name}") from None

    def _demand(self, name: str) -> Demand:
        demand = self._provider(name).demand
        if demand is None:
            raise NotSupportedError(f"{name} is issued on demand: POST /v1/tokens/{name}/issue")
        return demand
