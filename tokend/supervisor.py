"""Make the running tasks match a `Config`: starting is a reload from nothing. And answer what readers ask.

One task per held provider, one per sink. A task that dies of a bug is logged and started again; it takes nobody
with it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import anyio
from anyio.abc import TaskGroup

from tokend.clock import Clock
from tokend.config import Config, ProviderConfig
from tokend.demand import Demand
from tokend.errors import NotSupportedError, UnknownTokenError
from tokend.interfaces import CallNumbering
from tokend.issuance import Issuance
from tokend.logs import get_logger
from tokend.metrics import Counters
from tokend.publisher import Publisher, Turn
from tokend.refresher import Refresher
from tokend.settings import HeldSettings, OnDemandSettings, ProviderSettings, SinkSettings
from tokend.status import ProviderStatus, State
from tokend.surroundings import Surroundings
from tokend.tokens import Lease, Token

# A bug that kills a task at once must not become a busy loop.
RESTART_SECONDS = 5.0

log = get_logger()


class Provider:
    """One configured provider while it runs: what it is, and the tasks that serve it."""

    def __init__(self, config: ProviderConfig, surroundings: Surroundings) -> None:
        self.config = config
        self._world = surroundings
        self.worker: Refresher | Issuance
        self.demand: Demand | None = None
        if isinstance(config.settings, HeldSettings):
            self.worker = Refresher(config.name, config.settings, surroundings)
            self.demand = Demand(self.worker)
        elif isinstance(config.settings, OnDemandSettings):
            self.worker = Issuance(config.name, config.settings, surroundings)
        else:
            raise TypeError(f"kind {config.settings.kind} is neither held nor on demand")
        self.publishers: list[Publisher] = []
        self.scopes: dict[object, anyio.CancelScope] = {}

    @property
    def name(self) -> str:
        """The token's name."""
        return self.config.name

    @property
    def settings(self) -> ProviderSettings:
        """Its settings now."""
        return self.config.settings

    @property
    def lease(self) -> Lease | None:
        """The token now held, valid or not."""
        return self.worker.lease if isinstance(self.worker, Refresher) else None

    def status(self) -> ProviderStatus:
        """Its status now."""
        record, lease, now = self.worker.record, self.lease, self._world.clock.instant()
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
            note=self.worker.note if isinstance(self.worker, Refresher) else None,
        )

    def is_settled(self) -> bool:
        """Tell whether a valid token is held and in every required sink. On-demand kinds always are."""
        if isinstance(self.worker, Issuance):
            return True
        return self.worker.is_valid() and all(p.holds(self.lease) for p in self.publishers if p.sink.required)


class Supervisor:
    """Run providers; implement `interfaces.Engine`. Must be constructed inside the task group it gets."""

    def __init__(
        self,
        tasks: TaskGroup,
        surroundings: Surroundings,
        *,
        reload: Callable[[bool], Awaitable[Sequence[Mapping[str, str]]]],
    ) -> None:
        self._tasks = tasks
        self._world = surroundings
        self._reload = reload
        self._providers: dict[str, Provider] = {}
        self._turns: dict[str, Turn] = {}

    # -------------------------------------------------------------- configuration

    def plan(self, config: Config) -> list[dict[str, str]]:
        """What `apply` would do: ``name`` and ``action`` (add, change, rename, remove), untouched ones left out."""
        return [{"name": name, "action": action} for name, action, _ in self._steps(config)]

    async def apply(self, config: Config) -> list[dict[str, str]]:
        """Make the running providers match ``config``; returns the plan. Untouched ones notice nothing."""
        steps = self._steps(config)
        for name, action, origin in steps:
            if action == "remove":
                self._stop(name)
            elif action == "rename" and origin is not None:
                self._stop(origin)
                await self._world.store.rename(origin, name)
                self._start(config.providers[name])
            elif action == "add":
                self._start(config.providers[name])
            else:
                await self._change(config.providers[name])
        for name, action, _ in steps:
            self._world.store.touch(name)
            log.info("config.applied", token=name, action=action)
        return [{"name": name, "action": action} for name, action, _ in steps]

    def secrets_changed(self, paths: set[Path]) -> None:
        """Some secret files changed: let the providers that read them look again."""
        for provider in self._providers.values():
            if paths & {source.file for source in provider.settings.secrets().values() if source.file is not None}:
                if isinstance(provider.worker, Refresher):
                    provider.worker.secrets_changed()
                else:
                    self._tasks.start_soon(provider.worker.reconsider)

    def _steps(self, config: Config) -> list[tuple[str, str, str | None]]:
        """(name, action, the name it had) in the order in which they are carried out."""
        gone = {name: p.config for name, p in self._providers.items() if name not in config.providers}
        steps: list[tuple[str, str, str | None]] = []
        later: list[tuple[str, str, str | None]] = []
        for name, wanted in config.providers.items():
            running = self._providers.get(name)
            if running is None:
                old = next((n for n, c in gone.items() if c.settings == wanted.settings), None)
                if old is not None:
                    del gone[old]
                later.append((name, "add" if old is None else "rename", old))
            elif running.config != wanted:
                later.append((name, "change", name))
        steps += [(name, "remove", None) for name in gone]
        return steps + later

    def _start(self, config: ProviderConfig) -> None:
        provider = Provider(config, self._world)
        self._providers = {**self._providers, config.name: provider}
        if isinstance(provider.worker, Refresher):
            self._spawn(provider, provider.worker, provider.worker.run)
        else:
            self._tasks.start_soon(provider.worker.reconsider)
        self._publish(provider, config.sinks)

    def _stop(self, name: str) -> None:
        """Its files stay; its state stays too, for the day it comes back."""
        provider = self._providers[name]
        for scope in provider.scopes.values():
            scope.cancel()
        self._providers = {other: p for other, p in self._providers.items() if other != name}

    async def _change(self, config: ProviderConfig) -> None:
        provider = self._providers[config.name]
        if type(provider.config.settings) is not type(config.settings):
            # Another kind is another account: nothing of the old one is its.
            self._stop(config.name)
            self._start(config)
            return
        changed = provider.config.settings != config.settings
        provider.config = config
        if changed and isinstance(provider.worker, Refresher) and isinstance(config.settings, HeldSettings):
            provider.worker.reconfigure(config.settings)
        elif changed and isinstance(provider.worker, Issuance) and isinstance(config.settings, OnDemandSettings):
            provider.worker.reconfigure(config.settings)
            await provider.worker.reconsider()
        self._publish(provider, config.sinks)

    def _publish(self, provider: Provider, sinks: Sequence[SinkSettings]) -> None:
        """Make the running publishers match ``sinks``; those that did not change go on undisturbed."""
        publishers: list[Publisher] = []
        for index, sink in enumerate(sinks, start=1):
            label = f"{sink.kind}-{index}"
            wanted: tuple[str, object] = (label, sink)
            publisher = next((p for p in provider.publishers if (p.label, p.sink) == wanted), None)
            if publisher is None:
                publisher = self._publisher(provider, sink, label)
                self._spawn(provider, publisher, publisher.run)
            publishers.append(publisher)
        for old in provider.publishers:
            if old not in publishers:
                provider.scopes.pop(old).cancel()
        provider.publishers = publishers

    def _publisher(self, provider: Provider, sink: SinkSettings, label: str) -> Publisher:
        return Publisher(
            provider.name,
            sink,  # type: ignore[arg-type]  # every model in the sinks' table implements the protocol
            label=label,
            removes=lambda: getattr(provider.settings, "on_expiry", "keep") == "remove",
            turn=self._turns.setdefault(sink.target, Turn()),
            surroundings=self._world,
        )

    def _spawn(self, provider: Provider, key: object, body: Callable[[], Awaitable[None]]) -> None:
        scope = provider.scopes[key] = anyio.CancelScope()
        self._tasks.start_soon(self._keep_running, provider.name, scope, body)

    async def _keep_running(self, name: str, scope: anyio.CancelScope, body: Callable[[], Awaitable[None]]) -> None:
        with scope:
            while True:
                try:
                    await body()
                except Exception:
                    # Anything that is not a TokendError is a bug; it stays this provider's own.
                    log.exception("worker.crashed", token=name)
                await self._world.clock.sleep(RESTART_SECONDS)

    # -------------------------------------------------------------- what readers ask (interfaces.Engine)

    @property
    def clock(self) -> Clock:
        """The time."""
        return self._world.clock

    @property
    def entries(self) -> Mapping[str, Provider]:
        """All providers now."""
        return MappingProxyType(self._providers)

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
        if not isinstance(worker, Issuance):
            raise NotSupportedError(f"{name} is a held token: GET it")
        return await worker.issue(parameters)

    async def request_id(self, name: str) -> str:
        """A new request id."""
        settings = self._provider(name).settings
        if not isinstance(settings, CallNumbering):
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
        return self._world.store.subscribe(callback)

    @property
    def counters(self) -> Counters:
        """What was counted since the start."""
        return self._world.counters

    def outcome(self) -> int | None:
        """For ``run --once``: 0, 4 or 7 as soon as it is certain, None while something may still come."""
        held = [p for p in self._providers.values() if isinstance(p.worker, Refresher)]
        waiting = [p for p in held if not p.is_settled() and not _has_given_up(p)]
        if waiting:
            return None
        required = [p for p in held if p.settings.required]
        if all(p.is_settled() for p in required):
            return 0
        return 4 if any(p.worker.state is State.REJECTED for p in required) else 7

    def _provider(self, name: str) -> Provider:
        try:
            return self._providers[name]
        except KeyError:
            raise UnknownTokenError(f"there is no token {name}") from None

    def _demand(self, name: str) -> Demand:
        demand = self._provider(name).demand
        if demand is None:
            raise NotSupportedError(f"{name} is issued on demand: POST /v1/tokens/{name}/issue")
        return demand


def _has_given_up(provider: Provider) -> bool:
    """Tell whether a single run need not wait longer: a verdict, or a failure that only time mends."""
    record = provider.worker.record
    if provider.worker.state is State.REJECTED:
        return True
    verdict_open = record.verdicts > 0
    return bool(record.failures) and not verdict_open and provider.lease is None
