"""A single run (`run --once`): tokens are fetched and written as by the daemon, within a limited time, then it ends."""

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import anyio
from anyio.abc import TaskGroup

from tokend.api.serializers import held
from tokend.config import Config
from tokend.daemon.app import apply_first_config, start_engine
from tokend.daemon.wiring import EngineParts, Launch
from tokend.engine.held.provider_login import INITIAL
from tokend.engine.supervisor import Supervisor
from tokend.machine.logs import get_logger
from tokend.plugin.login import keeps_login_in_state
from tokend.plugin.settings import HeldSettings, OnDemandSettings
from tokend.values.tokens import utc

WAIT_SECONDS = 60.0
ROTATED = (
    "the configured refresh_token was spent, and its successor is in the state of this host only: a host that is "
    "thrown away needs login_file, or a grant without a login (client_credentials, token_exchange)"
)
EXIT_USAGE, EXIT_UNKNOWN, EXIT_UNAVAILABLE = 2, 5, 7

log = get_logger()


@dataclass(frozen=True, slots=True)
class SingleRun:
    """How long to try, and the token that ``show`` gets at the end, as the API would answer it.

    ``show`` is called if the token ``name`` is valid then, whatever became of the other tokens.
    """

    wait_seconds: float = WAIT_SECONDS
    name: str | None = None
    show: Callable[[Mapping[str, Any]], None] | None = None

    def misused(self, config: Config) -> tuple[int, str] | None:
        """Return an exit code and the reason where ``name`` is no held token of the configuration, else None."""
        if self.name is None:
            return None
        if self.name not in config.providers and self.name in config.left_out:
            return EXIT_UNAVAILABLE, f"{self.name}: its kind or its vendor cannot be used; `tokend check` says why"
        if self.name not in config.providers:
            known = ", ".join(sorted(config.providers)) or "none"
            return EXIT_UNKNOWN, f"no token {self.name!r} in the configuration; its tokens are {known}"
        if isinstance(config.providers[self.name].settings, OnDemandSettings):
            return EXIT_USAGE, f"{self.name} is issued on demand: there is nothing to print; ask a daemon to issue it"
        return None


async def serve_once(given: Launch, single: SingleRun) -> int:
    """Run until every token is in its sinks, or nothing but a person changes that, or the time is over.

    Returns the exit code (`Supervisor.outcome`); a signal ends the run with that of now.
    """
    code = EXIT_UNAVAILABLE
    async with anyio.create_task_group() as tasks:
        engine = await start_engine(given, tasks)
        tasks.start_soon(_cancel_on_signal, tasks)
        await apply_first_config(engine)
        try:
            with anyio.move_on_after(single.wait_seconds):
                await _settled(engine)
        finally:
            code = engine.supervisor.outcome_now()
        _warn_of_logins(engine)
        _show(single, engine.supervisor)
        tasks.cancel_scope.cancel()
    return code


async def _settled(engine: EngineParts) -> None:
    """Return when trying on changes nothing."""
    changed = anyio.Event()
    engine.store.subscribe(lambda _: changed.set())
    while engine.supervisor.outcome() is None:
        await changed.wait()
        changed = anyio.Event()


def _warn_of_logins(engine: EngineParts) -> None:
    """Write a line for each login that a person has to bring soon, and for each that this run alone knows.

    A single run starts no login.
    """
    for name, entry in sorted(engine.supervisor.entries.items()):
        login = entry.status().login
        if login is None:
            continue
        if login.state == "ends_soon" and login.ends_at is not None:
            log.warning("login.ends_soon", token=name, ends_at=utc(login.ends_at), advice=login.advice.to_do)
        elif login.state in ("required", "none"):
            log.warning("login.required", token=name, advice=login.advice.to_do)
        elif keeps_login_in_state(cast(HeldSettings, entry.settings)) and _has_rotated(engine, name):
            log.warning("login.rotated", token=name, detail=ROTATED)


def _has_rotated(engine: EngineParts, name: str) -> bool:
    """Return whether the configured refresh token was replaced by another one."""
    logins = engine.store.get(name).login
    token = None if logins.login is None else logins.login.refresh_token
    if token is None or logins.initial is None:
        return False
    return engine.store.state.digest_for(INITIAL, token.reveal_bytes()) != logins.initial


def _show(single: SingleRun, supervisor: Supervisor) -> None:
    entry = None if single.name is None else supervisor.entries.get(single.name)
    if single.show is None or entry is None or (lease := entry.lease) is None:
        return
    if lease.token.is_valid(supervisor.clock.instant()):
        single.show(held(lease, entry.settings))


async def _cancel_on_signal(tasks: TaskGroup) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            tasks.cancel_scope.cancel()
            return
