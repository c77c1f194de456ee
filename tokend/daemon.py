"""The composition root: put configuration, engine, socket, signals and systemd together, and run until told to stop."""

import faulthandler
import os
import random
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from functools import partial
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from tokend import __version__, logs
from tokend.api.exposition import Exposition
from tokend.api.listening import Place
from tokend.api.parsing import Limits
from tokend.api.peers import PeerRules
from tokend.api.server import SocketServer
from tokend.api.service import Service
from tokend.clock import SystemClock
from tokend.config import Config
from tokend.errors import ConfigError, StateLockedError, StoreError, TokendError
from tokend.metrics import Counters
from tokend.notify import Notifier
from tokend.plugins import load_config
from tokend.runtime import ProviderRuntime
from tokend.schedule import HostLimits
from tokend.settings import ProviderSettings
from tokend.state import StateDirectory
from tokend.status import State
from tokend.store import TokenStore
from tokend.supervisor import Supervisor
from tokend.surroundings import Surroundings
from tokend.threads import ThreadPool
from tokend.tokens import utc
from tokend.watch import FileWatch

EXIT_OK, EXIT_OTHER, EXIT_CONFIG, EXIT_UNAVAILABLE, EXIT_LOCKED, EXIT_CONFIG_SYSTEMD = 0, 1, 2, 7, 75, 78

# A storm of signals or saves causes one reload a second.
RELOAD_SECONDS = 1.0
# Reading a configuration reads secret files; a disk that hangs must not hold `reload` for ever.
LOAD_SECONDS = 60.0
# How long `run --once` gives its tokens to arrive.
ONCE_SECONDS = 30.0
# Status goes to systemd at most this often.
STATUS_SECONDS = 1.0
STATE_THREADS, SINK_THREADS = 4, 8
# What is read only at start.
NEEDS_RESTART = ("socket", "socket_mode", "socket_group", "state_directory", "credentials_socket")

log = logs.get_logger()


def run(config_path: str | None, *, once: bool = False) -> int:
    """Run tokend until a signal ends it (or, with ``once``, until the tokens are written); returns the exit code."""
    _harden()
    explicit = None if config_path is None else Path(config_path)
    under_systemd = "NOTIFY_SOCKET" in os.environ
    try:
        config = load_config(explicit)
        logs.configure(level=config.daemon.log_level, form=config.daemon.log_format)
        state = StateDirectory(config.daemon.state_directory)
    except ConfigError as error:
        sys.stderr.write(f"{error.detail}\n")
        return EXIT_CONFIG_SYSTEMD if under_systemd else EXIT_CONFIG
    except StateLockedError as error:
        sys.stderr.write(f"tokend: {error.detail}\n")
        return EXIT_LOCKED
    except StoreError as error:
        sys.stderr.write(f"tokend: {error.detail}\n")
        return EXIT_OTHER
    daemon = Daemon(config, state, explicit)
    try:
        code = anyio.run(daemon.once if once else daemon.serve, backend_options={"use_uvloop": True})
    except* (TokendError, OSError) as trouble:
        for one in trouble.exceptions:
            sys.stderr.write(f"tokend: {one}\n")
        code = EXIT_OTHER
    finally:
        state.close()
    if daemon.stuck_threads:
        # A thread that hangs in a filesystem would keep the interpreter from ending.
        sys.stderr.flush()
        os._exit(code)
    return code


def _harden() -> None:
    """No core dumps, no readers of /proc, no files that others can open, as many descriptors as we may have."""
    faulthandler.enable()
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    _set_undumpable()


def _set_undumpable() -> None:
    import ctypes

    prctl_set_dumpable = 4  # PR_SET_DUMPABLE, prctl(2)
    ctypes.CDLL(None, use_errno=True).prctl(prctl_set_dumpable, 0, 0, 0, 0)


class Daemon:
    """One run of tokend."""

    def __init__(self, config: Config, state: StateDirectory, explicit: Path | None) -> None:
        self._config = config
        self._explicit = explicit
        self._state = state
        self._clock = SystemClock()
        self._disk = ThreadPool(STATE_THREADS)
        self._sinks = ThreadPool(SINK_THREADS)
        self._notifier = Notifier()
        self._loaded_at = self._clock.instant().wall
        self._config_error: str | None = None
        self._supervisor: Supervisor
        self._store: TokenStore
        self._service: Service

    @property
    def stuck_threads(self) -> int:
        """Threads that were given up and still hang."""
        return self._disk.stuck + self._sinks.stuck

    def config_state(self) -> tuple[datetime, str | None]:
        """When the configuration in force was loaded, and why a newer one was refused."""
        return self._loaded_at, self._config_error

    async def serve(self) -> int:
        """Run until SIGTERM or SIGINT."""
        self._reload_lock = anyio.Lock()
        self._reload_wanted = anyio.Event()
        async with anyio.create_task_group() as tasks, AsyncExitStack() as stack:
            await self._start(tasks)
            server = self._server()
            await server.start()
            stack.push_async_callback(self._close, server)
            tasks.start_soon(self._reload_when_wanted)
            tasks.start_soon(self._watch_files)
            tasks.start_soon(self._tell_status)
            tasks.start_soon(self._feed_watchdog)
            self._notifier.ready()
            log.info("daemon.ready", version=__version__, socket=str(self._config.daemon.socket))
            await self._until_stopped()
            self._notifier.stopping()
            log.info("daemon.stopping")
            tasks.cancel_scope.cancel()
        return EXIT_OK

    async def once(self) -> int:
        """Run until every token is where it belongs, or certainly will not be."""
        code: int | None = None
        async with anyio.create_task_group() as tasks:
            await self._start(tasks)
            tasks.start_soon(self._stop_on_signal, tasks)
            changed = anyio.Event()

            def note(_: str) -> None:
                changed.set()

            self._store.subscribe(note)
            with anyio.move_on_after(ONCE_SECONDS):
                while (code := self._supervisor.outcome()) is None:
                    changed = anyio.Event()
                    await changed.wait()
            tasks.cancel_scope.cancel()
        return EXIT_UNAVAILABLE if code is None else code

    async def _start(self, tasks: TaskGroup) -> None:
        self._store = TokenStore(state=self._state, threads=self._disk, clock=self._clock)
        self._store.load()
        surroundings = Surroundings(
            clock=self._clock,
            store=self._store,
            limits=HostLimits(),
            counters=Counters(),
            random=random.SystemRandom(),
            runtime=self._runtime,
            threads=self._sinks,
        )
        self._supervisor = Supervisor(tasks, surroundings, reload=self.reload)
        tasks.start_soon(self._clock.watch)
        for warning in self._config.warnings:
            log.warning("config.warning", detail=warning)
        await self._supervisor.apply(self._config)

    def _server(self) -> SocketServer:
        """The API on its socket, made anew from the settings in force."""
        settings = self._config.daemon
        self._service = Service(
            self._supervisor,
            PeerRules(lambda: self._config.daemon.admins),
            config_state=self.config_state,
            audit_reads=settings.log_level == "debug",
        )
        counters = self._supervisor.counters
        page = Exposition(self._supervisor, counters, self._service.requests, lambda: self._config_error is None).page
        self._service.metrics = page
        return SocketServer(
            self._service,
            place=Place(settings.socket, mode=int(settings.socket_mode, 8), group=settings.socket_group),
            limits=Limits(
                max_connections=settings.max_connections, max_connections_per_uid=settings.max_connections_per_uid
            ),
        )

    @staticmethod
    async def _close(server: SocketServer) -> None:
        # Those who are being answered get their answer, although everything else is cancelled by now.
        with anyio.CancelScope(shield=True):
            await server.close()

    def _runtime(self, settings: ProviderSettings) -> ProviderRuntime:
        return ProviderRuntime(settings, clock=self._clock, threads=self._disk)

    # -------------------------------------------------------------- reload

    async def reload(self, dry_run: bool = False) -> Sequence[Mapping[str, str]]:
        """Read, validate, plan, apply: all or nothing. Raises `ConfigError`; everything runs on unchanged then."""
        async with self._reload_lock:
            if dry_run:
                return self._plan(await self._load())
            self._notifier.reloading()
            try:
                config = await self._load()
                plan = self._plan(config)
                await self._supervisor.apply(config)
            except ConfigError as error:
                self._config_error = error.detail
                log.error("config.refused", detail=error.detail)
                self._service.changes.config_changed({"loaded_at": utc(self._loaded_at), "error": "refused"})
                raise
            finally:
                self._notifier.ready()
            self._config, self._config_error = config, None
            self._loaded_at = self._clock.instant().wall
            logs.configure(level=config.daemon.log_level, form=config.daemon.log_format)
            for warning in config.warnings:
                log.warning("config.warning", detail=warning)
            self._service.changes.config_changed({"loaded_at": utc(self._loaded_at), "error": None})
            log.info("config.loaded", changes=len(plan))
            return plan

    async def _load(self) -> Config:
        try:
            return await self._disk.run(partial(load_config, self._explicit, before=self._config), seconds=LOAD_SECONDS)
        except TimeoutError:
            raise ConfigError(f"the configuration could not be read within {LOAD_SECONDS:.0f} s") from None

    def _plan(self, config: Config) -> list[Mapping[str, str]]:
        plan: list[Mapping[str, str]] = list(self._supervisor.plan(config))
        fixed = [key for key in NEEDS_RESTART if getattr(config.daemon, key) != getattr(self._config.daemon, key)]
        if fixed:
            plan.append({"name": "[daemon]", "action": "restart needed for " + ", ".join(fixed)})
        return plan

    async def _reload_when_wanted(self) -> None:
        while True:
            await self._reload_wanted.wait()
            self._reload_wanted = anyio.Event()
            with suppress(ConfigError):  # logged, and shown in status
                await self.reload()
            await self._clock.sleep(RELOAD_SECONDS)

    async def _watch_files(self) -> None:
        watch = FileWatch(lambda: {*self._config.files, *self._config.directories, *self._config.secret_files})
        async for changed in watch.changes():
            if changed & {*self._config.files, *self._config.directories}:
                self._reload_wanted.set()
            if secret := changed & set(self._config.secret_files):
                log.info("secret.changed", files=len(secret))
                self._supervisor.secrets_changed(secret)

    # -------------------------------------------------------------- signals and systemd

    async def _until_stopped(self) -> None:
        with anyio.open_signal_receiver(signal.SIGHUP, signal.SIGTERM, signal.SIGINT) as signals:
            async for number in signals:
                if number == signal.SIGHUP:
                    self._reload_wanted.set()
                    continue
                # The second one ends at once: nothing is half-written at any moment anyway.
                for again in (signal.SIGTERM, signal.SIGINT):
                    signal.signal(again, lambda code, _: os._exit(128 + code))
                return

    async def _stop_on_signal(self, tasks: TaskGroup) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                tasks.cancel_scope.cancel()
                return

    async def _tell_status(self) -> None:
        changed = anyio.Event()

        def note(_: str) -> None:
            changed.set()

        self._store.subscribe(note)
        before = ""
        while True:
            changed = anyio.Event()
            if (text := self._status_text()) != before:
                self._notifier.status(text)
                before = text
            await changed.wait()
            await self._clock.sleep(STATUS_SECONDS)

    def _status_text(self) -> str:
        every = [entry.status() for entry in self._supervisor.entries.values()]
        text = f"{len(every)} tokens"
        wrong = [s for s in every if s.state not in (State.VALID, State.ON_DEMAND, State.PENDING)]
        if wrong:
            parts = [f"{s.name} ({s.state}{': ' + s.last_error.detail if s.last_error else ''})" for s in wrong]
            text += f", {len(wrong)} failing: " + ", ".join(parts)
        return text if self._config_error is None else text + "; the configuration on disk was refused"

    async def _feed_watchdog(self) -> None:
        if (seconds := self._notifier.watchdog_seconds()) is not None:
            while True:
                self._notifier.alive()
                await self._clock.sleep(seconds)
