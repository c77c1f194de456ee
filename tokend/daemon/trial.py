"""Trial of providers and stores without a daemon: one real attempt each, nothing written to a sink, nothing served."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Literal

import anyio

from tokend.config import Config
from tokend.daemon.app import start_engine
from tokend.daemon.state_opening import UnreadableKeyError, open_directory, sealer_of
from tokend.daemon.wiring import EngineParts, Launch, launch
from tokend.engine.context.references import referenced
from tokend.engine.publishing.store_probe import StoreProbe
from tokend.engine.reload_plan import ReloadPlan, Step
from tokend.machine import hardening, logs
from tokend.machine.command import end_commands
from tokend.plugin.login import counts_in_state, keeps_login_in_state
from tokend.plugin.settings import HeldSettings, ProviderSettings, SinkSettings
from tokend.plugin.shown_text import shown
from tokend.service_manager.activation import Inherited
from tokend.service_manager.notify import Notifier
from tokend.state.sealed import SealedState
from tokend.state.sealing import Sealer
from tokend.state.snapshot import StateSnapshot
from tokend.values.errors import ReaderError, StoreError, WaitTimeoutError
from tokend.values.tokens import Lease

Outcome = Literal["ok", "refused", "failed", "not_tried"]

# What an attempt may take beside its own timeout: minimum intervals and short pauses are waited for.
PATIENCE_SECONDS = 60.0
# The label of a provider's own server.
SERVER = "server"
# So many stores are asked at a time.
PROBES = 16
# States and classes of failures in which a person must act.
_REFUSED = frozenset({"rejected", "login_required"})


@dataclass(frozen=True, slots=True)
class Trial:
    """The result of one provider's attempt, and the operator's sentence. ``expires_at`` is that of the new token."""

    name: str
    outcome: Outcome
    detail: str
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ProbedStore:
    """The result of a probe of one store, which belongs to the sink ``label`` of the token ``name``.

    With the label "server" it is that of the token's own server.
    """

    name: str
    label: str
    target: str
    result: StoreProbe


@dataclass(frozen=True, slots=True)
class Trials:
    """The results in the order of the names, those of the stores, and a remark on the state directory, or None."""

    results: Sequence[Trial]
    stores: Sequence[ProbedStore]
    note: str | None


def try_providers(config: Config, names: Iterable[str], *, stores: bool = False) -> Trials:
    """Make one attempt for each of ``names``, which ``config`` has. Blocks until each has a result.

    With ``stores``, each remote sink's store is asked afterwards what it holds. Nothing is written there.

    Pauses and minimum intervals that the state directory knows are kept, and the attempts are saved there, unless a
    daemon holds it or it is another user's.
    """
    hardening.harden()
    logs.configure(level="error", form=config.daemon.log_format)
    names = list(dict.fromkeys(names))
    with _state(config) as (state, note):
        given = launch(config, None, state, last_event=0, inherited=Inherited(), notifier=Notifier())
        try:
            main = partial(_try_all, given, names, stores, is_saved=note is None)
            results, probed = anyio.run(main, backend_options={"use_uvloop": True})
        finally:
            end_commands()
    return Trials(results, probed, note if names else None)


@contextmanager
def _state(config: Config) -> Iterator[tuple[SealedState, str | None]]:
    path, sealer, no_key = config.daemon.state_directory, Sealer(), None
    try:
        sealer = sealer_of(config.daemon)
    except UnreadableKeyError as error:
        no_key = error.detail
    try:
        ours = path.stat().st_uid == os.geteuid()
    except FileNotFoundError:
        ours = True
    except OSError:
        ours = False
    if ours and config.daemon.state == "directory" and no_key is None:
        try:
            state = open_directory(config.daemon, sealer)
        except StoreError as error:
            why = error.detail
        else:
            try:
                yield state, None
            finally:
                state.close()
            return
    else:
        why = f"{path} is another user's" if not ours else no_key or 'state = "fdstore" is systemd\'s'
    snapshot = StateSnapshot(path, sealer)
    unknown = snapshot.error or no_key
    unread = "" if unknown is None else f"; its pauses are not known: {unknown}"
    yield SealedState(snapshot, sealer), f"these attempts are not saved: {why}{unread}"


async def _try_all(
    given: Launch, names: Sequence[str], stores: bool, *, is_saved: bool
) -> tuple[list[Trial], list[ProbedStore]]:
    found: dict[str, Trial] = {}
    async with anyio.create_task_group() as tasks:
        engine = await start_engine(given, tasks)
        _keep_intervals(engine, engine.in_force.config)
        await engine.supervisor.carry_out(_plan(engine.in_force.config, names))

        ended = {name: anyio.Event() for name in names}

        async def try_one(name: str) -> None:
            # A provider that needs the token of another one is tried when that one has been.
            for other in referenced(engine.in_force.config.providers[name].settings):
                if other in ended:
                    await ended[other].wait()
            found[name] = await _try(engine, engine.in_force.config, name, is_saved=is_saved)
            ended[name].set()

        async with anyio.create_task_group() as trials:
            for name in names:
                trials.start_soon(try_one, name)
        probed = await _probe_all(engine, engine.in_force.config) if stores else []
        given.pools.hasten()
        tasks.cancel_scope.cancel()
    return [found[name] for name in names], probed


async def _probe_all(engine: EngineParts, config: Config) -> list[ProbedStore]:
    """Ask the servers that say what they are, and all stores; a few at a time, in the order of the configuration."""
    found: dict[tuple[str, str], ProbedStore] = {}
    places = anyio.Semaphore(PROBES)

    async def probe(name: str, label: str, sink: SinkSettings) -> None:
        async with places:
            result = await engine.supervisor.probe(name, sink)
        found[name, label] = ProbedStore(name, label, shown(sink.target), result)

    async def probe_server(name: str, settings: ProviderSettings) -> None:
        async with places:
            answer = await engine.supervisor.probe_server(settings)
        if answer is not None:
            found[name, SERVER] = ProbedStore(name, SERVER, settings.upstream or "", StoreProbe(*answer))

    asked = [
        (name, f"{sink.kind}-{number}", sink)
        for name, provider in config.providers.items()
        for number, sink in enumerate(provider.sinks, start=1)
        if sink.family == "remote"
    ]
    async with anyio.create_task_group() as probes:
        for name, provider in config.providers.items():
            probes.start_soon(probe_server, name, provider.settings)
        for one in asked:
            probes.start_soon(probe, *one)
    servers = [found[name, SERVER] for name in config.providers if (name, SERVER) in found]
    return [*servers, *(found[name, label] for name, label, _ in asked)]


def _plan(config: Config, names: Sequence[str]) -> ReloadPlan:
    """Plan to run these providers without their sinks. The others stay configured: their records are not taken over."""
    alone = {name: replace(config.providers[name], sinks=()) for name in names}
    return ReloadPlan(
        replace(config, providers={**config.providers, **alone}), tuple(Step(name, "add") for name in names)
    )


def _keep_intervals(engine: EngineParts, config: Config) -> None:
    """Keep the minimum interval of an account that other providers share with the ones that are tried."""
    for name, provider in config.providers.items():
        settings, record = provider.settings, engine.store.get(name)
        if isinstance(settings, HeldSettings) and settings.interval_is_per_account and record.last_attempt is not None:
            engine.limits.block(record.account, record.last_attempt.after(settings.request_interval_seconds))


async def _try(engine: EngineParts, config: Config, name: str, *, is_saved: bool) -> Trial:
    settings = config.providers[name].settings
    if not isinstance(settings, HeldSettings):
        return Trial(name, "not_tried", "it is issued on demand, from a caller's parameters: tokend issue " + name)
    if not is_saved and keeps_login_in_state(settings):
        return Trial(name, "not_tried", f"its login is the daemon's, and would be spent: tokend refresh {name}")
    if not is_saved and counts_in_state(settings):
        why = "its counter is the daemon's, which would send the same value again"
        return Trial(name, "not_tried", f"{why}: tokend refresh {name}")
    with anyio.move_on_after(settings.timeout.total_seconds() + PATIENCE_SECONDS):
        while True:
            try:
                lease = await engine.supervisor.refresh(name, if_generation=None, reason="check", admin=True)
            except WaitTimeoutError:
                continue  # it is still under way: join it again
            except ReaderError as error:
                return _failed(engine, name, error)
            return _succeeded(name, lease)
    return Trial(name, "failed", "no result in time")


def _succeeded(name: str, lease: Lease) -> Trial:
    expires = None if lease.token.expires_at is None else lease.token.expires_at.wall
    return Trial(name, "ok", "a token was issued", expires)


def _failed(engine: EngineParts, name: str, error: ReaderError) -> Trial:
    status = engine.supervisor.entries[name].status()
    failure = status.last_error
    refused = str(status.state) in _REFUSED or (failure is not None and failure.reason in _REFUSED)
    return Trial(name, "refused" if refused else "failed", str(error).removeprefix(f"{name}: "))
