"""Construction of what keeps tokens fresh, complete and in order. `app` runs it; nothing is started here.

`service_wiring` builds what answers readers and systemd. Two objects that need each other are joined by a callable that
looks up a local variable of the same function; no attribute is set later.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from anyio.abc import TaskGroup

from tokend.access.handout_log import HandoutLog
from tokend.access.names import Kind, Name, NamesAhead
from tokend.access.policy import AccessPolicy, names_of
from tokend.config import Config
from tokend.credentials.rules import serve_sink
from tokend.daemon.config_in_force import ConfigInForce
from tokend.daemon.reload import Reloader
from tokend.daemon.token_sockets import TokenSockets
from tokend.daemon.vault_readers import VaultReaders
from tokend.engine.context.context import Context
from tokend.engine.context.counters import Counters
from tokend.engine.context.host_backoff import HostBackoff
from tokend.engine.context.reports import Reports
from tokend.engine.policy.rate_limits import HostLimits
from tokend.engine.records.store import TokenStore
from tokend.engine.supervisor import Supervisor
from tokend.engine.tasks.heartbeat import TrackedThreads
from tokend.machine.clock import SystemClock
from tokend.machine.counted_log import CountedLog
from tokend.machine.thread_pool import Pools
from tokend.plugin.settings import ProviderSettings, SinkSettings
from tokend.plugin.sink import ListeningSink
from tokend.service_manager.activation import Inherited
from tokend.service_manager.notify import Notifier
from tokend.state.event_ids import EventIds
from tokend.state.sealed import SealedState
from tokend.upstream.provider_runtime import ProviderRuntime
from tokend.upstream.resolver import Resolver
from tokend.values.secret import Secret


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Launch:
    """Everything that one run of the daemon starts with. ``explicit`` is the configuration's path in argv, if any.

    ``first_config`` is empty once `take_config` was called.
    """

    first_config: list[Config]
    explicit: Path | None
    state: SealedState
    event_ids: EventIds
    inherited: Inherited
    notifier: Notifier
    clock: SystemClock
    pools: Pools
    # Refreshers wait for these threads; the watchdog counts such a wait as progress.
    tracked_disk: TrackedThreads

    def take_config(self) -> Config:
        """Return the first configuration, once: its secrets must not outlive a reload."""
        return self.first_config.pop()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class EngineParts:
    """The objects that keep tokens fresh, and the configuration in force."""

    store: TokenStore
    in_force: ConfigInForce
    names: NamesAhead
    rules: AccessPolicy
    supervisor: Supervisor
    reloader: Reloader
    sockets: TokenSockets
    limits: HostLimits
    handouts: HandoutLog
    reports: Reports


def launch(
    config: Config,
    explicit: Path | None,
    state: SealedState,
    *,
    last_event: int,
    inherited: Inherited,
    notifier: Notifier,
) -> Launch:
    """Complete what a run starts with. Needs no running loop."""
    pools = Pools()
    ids = EventIds(config.daemon.state_directory, last_event, threads=pools.disk)
    return Launch([config], explicit, state, ids, inherited, notifier, SystemClock(), pools, TrackedThreads(pools.disk))


def wire_engine(given: Launch, store: TokenStore, tasks: TaskGroup) -> EngineParts:
    """Build the engine. ``store`` has been loaded; the supervisor's tasks will run in ``tasks``."""
    config = ConfigInForce(given.take_config(), given.clock.instant().wall)
    names = NamesAhead(given.pools.names)
    names.follow(configured_names(config.config))
    config.subscribe(lambda: names.follow(configured_names(config.config)))
    rules = AccessPolicy(lambda: config.config.daemon.admins, names=names)
    resolver = Resolver(given.pools.lookups)
    programs, calls = TrackedThreads(given.pools.programs), TrackedThreads(given.pools.calls)

    limits = HostLimits()
    vaults = VaultReaders(
        clock=given.clock, resolver=resolver, limits=limits, store=store, tasks=tasks, context=lambda: context
    )
    of_providers, of_sinks = vaults.reader(given.tracked_disk), vaults.reader(given.pools.sinks)

    def token_of(name: str) -> Secret | None:
        lease = store.valid_lease(name)
        return None if lease is None else lease.token.value

    def runtime(settings: ProviderSettings) -> ProviderRuntime:
        return ProviderRuntime(
            settings,
            clock=given.clock,
            threads=given.tracked_disk,
            programs=programs,
            calls=calls,
            resolver=resolver,
            tokens=token_of,
            vaults=of_providers,
        )

    def sink_upstream(settings: SinkSettings) -> ProviderRuntime:
        # The sinks' threads: a secret of theirs on a disk that hangs must hold up no refresher.
        return ProviderRuntime(
            settings,
            clock=given.clock,
            threads=given.pools.sinks,
            resolver=resolver,
            tokens=token_of,
            vaults=of_sinks,
        )

    counters = Counters()
    reports = Reports(counters)
    handouts = HandoutLog(CountedLog(tasks, given.clock, most_keys=None), on=config.config.daemon.audit == "reads")

    async def serve(name: str, sink: ListeningSink, listening: Callable[[], None]) -> None:
        await serve_sink(supervisor, rules, name, sink, listening, handouts=handouts, threads=given.pools.sinks)

    context = Context(
        clock=given.clock,
        store=store,
        limits=limits,
        hosts=HostBackoff(given.clock, random.SystemRandom()),
        counters=counters,
        reports=reports,
        random=random.SystemRandom(),
        runtime=runtime,
        sink_upstream=sink_upstream,
        threads=given.pools.sinks,
        commands=given.pools.commands,
        looks=given.pools.targets,
        serve=serve,
        engine=lambda: supervisor,
    )
    supervisor = Supervisor(tasks, context, reload=lambda dry_run, path: reloader.reload(dry_run, path))
    sockets = TokenSockets()
    reloader = Reloader(
        config,
        supervisor,
        given.explicit,
        clock=given.clock,
        threads=given.pools.disk,
        watch_threads=given.pools.looks,
        notifier=given.notifier,
        sockets=sockets.apply,
    )
    return EngineParts(store, config, names, rules, supervisor, reloader, sockets, context.limits, handouts, reports)


def configured_names(config: Config) -> frozenset[Name]:
    """Return the users and groups that ``admins`` and ``access`` name."""
    found = {Name(Kind.USER, name) for name in config.daemon.admins}
    for provider in config.providers.values():
        found.update(names_of(provider.settings))
    return frozenset(found)
