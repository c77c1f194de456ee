"""The composition root: put configuration, engine, socket, signals and systemd together, and run until told to stop."""

import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from tokend import __version__, hardening, logs
from tokend.api.exposition import Exposition
from tokend.api.listening import Place
from tokend.api.parsing import Limits
from tokend.api.peers import PeerRules
from tokend.api.server import SocketServer
from tokend.api.service import Service
from tokend.clock import SystemClock
from tokend.config import Config
from tokend.engine.schedule import HostLimits
from tokend.engine.store import TokenStore
from tokend.engine.supervisor import Supervisor
from tokend.engine.surroundings import Surroundings
from tokend.errors import ConfigError, StateLockedError, StoreError, TokendError
from tokend.metrics import Counters
from tokend.notify import Notifier, in_words
from tokend.plugins import load_config
from tokend.reloading import Reloading
from tokend.runtime import ProviderRuntime
from tokend.settings import ProviderSettings
from tokend.state import StateDirectory
from tokend.threads import ThreadPool
from tokend.tokens import utc

EXIT_OK, EXIT_OTHER, EXIT_CONFIG, EXIT_UNAVAILABLE, EXIT_LOCKED, EXIT_CONFIG_SYSTEMD = 0, 1, 2, 7, 75, 78

# How long `run --once` gives its tokens to arrive.
ONCE_SECONDS = 30.0
# Status goes to systemd at most this often.
STATUS_SECONDS = 1.0
# A bug that ends one of the daemon's own tasks at once must not become a busy loop.
RESTART_SECONDS = 5.0
STATE_THREADS, SINK_THREADS = 4, 8
# The commands after a write may take half a minute each: they must not stand in the way of the writes.
COMMAND_THREADS = 16

log = logs.get_logger()


def run(config_path: str | None, *, once: bool = False) -> int:
    """Run tokend until a signal ends it (or, with ``once``, until the tokens are written); returns the exit code."""
    if not once:
        # It means: read the configuration again. That is done in a moment anyway, and must not end us before.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    hardening.harden()
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
        for one in _leaves(trouble):
            sys.stderr.write(f"tokend: {one}\n")
        code = EXIT_OTHER
    finally:
        state.close()
    if daemon.threads_running:
        # A thread in a hanging filesystem, or beside a command, would keep the interpreter from ending.
        sys.stderr.flush()
        os._exit(code)
    return code


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for one in group.exceptions:
        if isinstance(one, BaseExceptionGroup):
            yield from _leaves(one)
        else:
            yield one


class Daemon:
    """One run of tokend."""

    def __init__(self, config: Config, state: StateDirectory, explicit: Path | None) -> None:
        self._first_config = config
        self._explicit = explicit
        self._state = state
        self._clock = SystemClock()
        self._disk = ThreadPool(STATE_THREADS)
        self._sinks = ThreadPool(SINK_THREADS)
        self._commands = ThreadPool(COMMAND_THREADS)
        self._looks = ThreadPool(1)
        self._notifier = Notifier()
        self._reloading: Reloading
        self._supervisor: Supervisor
        self._store: TokenStore
        self._service: Service
        self._stop: anyio.Event
        self._news: anyio.Event

    @property
    def threads_running(self) -> int:
        """Threads that have not ended, given up or not."""
        return sum(pool.running for pool in (self._disk, self._sinks, self._commands, self._looks))

    def config_state(self) -> tuple[datetime, str | None]:
        """When the configuration in force was loaded, and why a newer one was refused."""
        return self._reloading.loaded_at, self._reloading.error

    async def serve(self) -> int:
        """Run until SIGTERM or SIGINT."""
        self._prepare()
        # Not by the receiver: when that ends, the signal would be deadly again, and storms of it do not end with us.
        signal.signal(signal.SIGHUP, lambda *_: self._reloading.want())
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with anyio.create_task_group() as listening:
                listening.start_soon(self._obey, signals)
                await self._serve()
                listening.cancel_scope.cancel()
        return EXIT_OK

    async def once(self) -> int:
        """Run until every token is where it belongs, or certainly will not be."""
        code: int | None = None
        self._prepare()
        async with anyio.create_task_group() as tasks:
            await self._start(tasks)
            tasks.start_soon(self._stop_on_signal, tasks)
            with anyio.move_on_after(ONCE_SECONDS):
                while (code := self._supervisor.outcome()) is None:
                    await self._next_news()
            tasks.cancel_scope.cancel()
        return EXIT_UNAVAILABLE if code is None else code

    async def _serve(self) -> None:
        async with anyio.create_task_group() as tasks, AsyncExitStack() as stack:
            await self._start(tasks)
            server = self._server()
            await server.start()
            stack.push_async_callback(self._close, server)
            reloading = self._reloading
            reloading.told = self._config_changed
            for chore in (reloading.obey_wishes, reloading.watch_files, reloading.look_again, self._tell_status):
                tasks.start_soon(self._keep, chore)
            if (seconds := self._notifier.watchdog_seconds()) is not None:
                tasks.start_soon(self._feed_watchdog, seconds)
            self._notifier.ready()
            log.info("daemon.ready", version=__version__, socket=str(reloading.config.daemon.socket))
            await self._stop.wait()
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            self._notifier.stopping()
            log.info("daemon.stopping")
            tasks.cancel_scope.cancel()

    def _prepare(self) -> None:
        """Make what needs a running loop."""
        self._stop, self._news = anyio.Event(), anyio.Event()
        self._reloading = Reloading(
            self._first_config,
            self._explicit,
            clock=self._clock,
            threads=self._disk,
            watch_threads=self._looks,
            notifier=self._notifier,
        )

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
            commands=self._commands,
        )
        self._supervisor = Supervisor(tasks, surroundings, reload=self._reloading.reload)
        self._reloading.supervisor = self._supervisor
        self._store.subscribe(lambda _: self._news.set())
        tasks.start_soon(self._keep, self._clock.watch)
        for warning in self._first_config.warnings:
            log.warning("config.warning", detail=warning.headline)
        await self._reloading.begin()
        await self._supervisor.apply(self._first_config)

    def _server(self) -> SocketServer:
        """The API on its socket."""
        settings = self._reloading.config.daemon
        self._service = Service(
            self._supervisor,
            PeerRules(lambda: self._reloading.config.daemon.admins),
            config_state=self.config_state,
            audit_reads=settings.log_level == "debug",
        )
        counters, requests = self._supervisor.counters, self._service.requests
        page = Exposition(self._supervisor, counters, requests, lambda: self._reloading.error is None).page
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

    async def _keep(self, chore: Callable[[], Awaitable[None]]) -> None:
        """Do a chore for ever; a bug in it must not end the daemon."""
        while True:
            try:
                await chore()
            except Exception:
                log.exception("daemon.crashed", chore=chore.__name__)
            await self._clock.sleep(RESTART_SECONDS)

    # -------------------------------------------------------------- what happens, and what is said of it

    def _config_changed(self) -> None:
        loaded_at, error = self.config_state()
        self._service.audit_reads = self._reloading.config.daemon.log_level == "debug"
        row: Mapping[str, str | None] = {"loaded_at": utc(loaded_at), "error": None if error is None else "refused"}
        self._service.changes.config_changed(dict(row))
        self._news.set()

    async def _next_news(self) -> None:
        """Wait until anything happened since the last call."""
        await self._news.wait()
        self._news = anyio.Event()

    async def _obey(self, signals: AsyncIterator[signal.Signals]) -> None:
        async for number in signals:
            if self._stop.is_set():
                # Whoever says it twice wants an end at once; nothing is half-written at any moment.
                os._exit(128 + number)
            else:
                self._stop.set()

    async def _stop_on_signal(self, tasks: TaskGroup) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                tasks.cancel_scope.cancel()
                return

    async def _tell_status(self) -> None:
        before = ""
        while True:
            every = [entry.status() for entry in self._supervisor.entries.values()]
            text = in_words(every, config_refused=self._reloading.error is not None)
            if text != before:
                self._notifier.status(text)
                before = text
            await self._next_news()
            await self._clock.sleep(STATUS_SECONDS)

    async def _feed_watchdog(self, seconds: float) -> None:
        while True:
            self._notifier.alive()
            await self._clock.sleep(seconds)
