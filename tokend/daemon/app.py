"""The composition root: put configuration, engine, socket, signals and systemd together, and run until told to stop."""

import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from tokend import __version__
from tokend.access.policy import AccessPolicy
from tokend.api.metrics_page import MetricsPage
from tokend.api.routes import Router
from tokend.api.token_api import TokenApi
from tokend.config import Config
from tokend.config.model import loopback_address
from tokend.credentials.rules import serve_credentials, serve_sink
from tokend.daemon.reload import Reloader
from tokend.daemon.status_line import StatusLine
from tokend.daemon.watchdog import Watchdog
from tokend.engine.context.context import Context
from tokend.engine.context.counters import Counters
from tokend.engine.policy.rate_limits import HostLimits
from tokend.engine.records.store import StateBackend, TokenStore
from tokend.engine.supervisor import Supervisor
from tokend.engine.tasks.heartbeat import TrackedThreads
from tokend.httpd.loopback_server import LoopbackServer
from tokend.httpd.request_parser import Limits
from tokend.httpd.unix_server import SocketServer
from tokend.httpd.unix_socket import SocketFile
from tokend.machine import logs
from tokend.machine.clock import SystemClock
from tokend.machine.thread_pool import Pools
from tokend.plugin.settings import ProviderSettings
from tokend.plugin.sink import ListeningSink
from tokend.service_manager import activation
from tokend.service_manager.activation import Inherited
from tokend.service_manager.notify import EXTEND_SECONDS, Notifier
from tokend.upstream.provider_runtime import ProviderRuntime
from tokend.upstream.resolver import Resolver
from tokend.values.errors import StoreError
from tokend.values.tokens import utc

EXIT_OK, EXIT_UNAVAILABLE = 0, 7

# How long `run --once` gives its tokens to arrive.
ONCE_SECONDS = 30.0
# How often more time is asked for: a third of what is asked.
PATIENCE_SECONDS = EXTEND_SECONDS / 3
# A bug that ends one of the daemon's own tasks at once must not become a busy loop.
RESTART_SECONDS = 5.0
# What a start may take where a disk is slow; systemd is asked for that time, bit by bit.
START_SECONDS = 300.0

log = logs.get_logger()


class Daemon:
    """One run of tokend."""

    def __init__(
        self,
        config: Config,
        state: StateBackend,
        explicit: Path | None,
        *,
        inherited: Inherited,
        notifier: Notifier,
        last_event: int,
    ) -> None:
        self._first_config = config
        self._explicit = explicit
        self._state = state
        self._clock = SystemClock()
        self.threads = Pools()
        self._resolver = Resolver(self.threads.lookups)
        # What refreshers wait for: the watchdog must not take who stands in it for one that has hung.
        self._queue = TrackedThreads(self.threads.disk)
        self._inherited, self._notifier = inherited, notifier
        self._last_event = last_event
        self._reloading: Reloader
        self._rules = AccessPolicy(lambda: self._reloading.config.daemon.admins)
        self._supervisor: Supervisor
        self._store: TokenStore
        self._service: TokenApi
        self._stop: anyio.Event
        self._news: anyio.Event
        self._telling: StatusLine | None = None

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
            patience = anyio.CancelScope()
            tasks.start_soon(self._ask_for_patience, patience, tasks)
            await self._start(tasks)
            server = self._server()
            stack.callback(self._service.changes.close)
            await server.start()
            stack.push_async_callback(self._close, server)
            await self._serve_credentials(tasks)
            await self._serve_loopback(stack)
            reloading = self._reloading
            reloading.told = self._config_changed
            for chore in (reloading.obey_wishes, reloading.watch_files, reloading.look_again, self._store.keep_saved):
                tasks.start_soon(self._keep, chore)
            if self._notifier.connected:  # how a thousand providers stand takes a while to say
                self._telling = StatusLine(
                    self._supervisor,
                    self._notifier,
                    clock=self._clock,
                    config_refused=lambda: self._reloading.error is not None,
                )
                tasks.start_soon(self._keep, self._telling.tell)
            if (seconds := self._notifier.watchdog_seconds()) is not None:
                watchdog = Watchdog(
                    self._notifier, seconds=seconds, clock=self._clock, living=lambda: self._supervisor.refreshers
                )
                tasks.start_soon(self._keep, watchdog.feed)
            patience.cancel()
            self._notifier.ready()
            log.info("daemon.ready", version=__version__, socket=str(self._socket_path()))
            await self._stop.wait()
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            self._notifier.stopping()
            log.info("daemon.stopping")
            self.threads.hasten()
            tasks.cancel_scope.cancel()

    def _prepare(self) -> None:
        """Make what needs a running loop, and the threads: later there may be none left (docs/promises.md 73)."""
        self.threads.open()
        self._stop, self._news = anyio.Event(), anyio.Event()
        self._reloading = Reloader(
            self._first_config,
            self._explicit,
            clock=self._clock,
            threads=self.threads.disk,
            watch_threads=self.threads.looks,
            notifier=self._notifier,
        )

    async def _start(self, tasks: TaskGroup) -> None:
        self._store = TokenStore(state=self._state, threads=self._queue, clock=self._clock)
        try:
            await self.threads.disk.run(self._store.load, seconds=START_SECONDS)
        except TimeoutError as error:
            raise StoreError(f"the state could not be read: {str(error) or 'the disk hangs'}") from None
        context = Context(
            clock=self._clock,
            store=self._store,
            limits=HostLimits(),
            counters=Counters(),
            random=random.SystemRandom(),
            runtime=self._runtime,
            threads=self.threads.sinks,
            commands=self.threads.commands,
            serve=self._serve_sink,
        )
        self._supervisor = Supervisor(tasks, context, reload=self._reloading.reload)
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
        metrics = MetricsPage(
            self._supervisor, self._supervisor.counters, lambda: self._reloading.error is None, self._store.unsaved
        )
        service = self._service = TokenApi(
            self._supervisor,
            self._rules,
            config_state=self.config_state,
            metrics=metrics.page,
            audit_reads=settings.log_level == "debug",
            last_event=self._last_event,
        )
        limits = Limits(
            max_connections=settings.max_connections, max_connections_per_uid=settings.max_connections_per_uid
        )
        if (passed := self._inherited.sockets.get(activation.API)) is not None:
            # Path and permissions are its unit's; it goes on listening while we are gone.
            log.info("socket.activated", path=passed.getsockname(), instead_of=str(settings.socket))
            return SocketServer(Router(service), answers=service.answers, sock=passed, limits=limits)
        place = SocketFile(settings.socket, mode=int(settings.socket_mode, 8), group=settings.socket_group)
        return SocketServer(Router(service), answers=service.answers, place=place, limits=limits)

    def _socket_path(self) -> str | Path:
        passed = self._inherited.sockets.get(activation.API)
        return self._reloading.config.daemon.socket if passed is None else str(passed.getsockname())

    async def _serve_credentials(self, tasks: TaskGroup) -> None:
        path = self._reloading.config.daemon.credentials_socket
        passed = self._inherited.sockets.get(activation.CREDENTIALS)
        if path is not None or passed is not None:
            await tasks.start(serve_credentials, self._supervisor, path, passed)

    async def _serve_loopback(self, stack: AsyncExitStack) -> None:
        settings = self._reloading.config.daemon
        if settings.listen is not None:
            server = LoopbackServer(
                Router(self._service),
                *loopback_address(settings.listen),
                lambda: self._reloading.config.daemon.listen_secret,
                threads=self.threads.guards,
                limits=Limits(max_connections=settings.max_connections),
            )
            await server.start()
            stack.push_async_callback(self._close, server)

    async def _serve_sink(self, name: str, sink: ListeningSink, listening: Callable[[], None]) -> None:
        await serve_sink(self._supervisor, self._rules, name, sink, listening)

    @staticmethod
    async def _close(server: SocketServer | LoopbackServer) -> None:
        # Those who are being answered get their answer, although everything else is cancelled by now.
        with anyio.CancelScope(shield=True):
            await server.close()

    def _runtime(self, settings: ProviderSettings) -> ProviderRuntime:
        return ProviderRuntime(settings, clock=self._clock, threads=self._queue, resolver=self._resolver)

    async def _keep(self, chore: Callable[[], Awaitable[None]]) -> None:
        """Do a chore for ever; a bug in it must not end the daemon."""
        while True:
            try:
                await chore()
            except Exception:
                log.exception("daemon.crashed", chore=chore.__name__)
            await self._clock.sleep(RESTART_SECONDS)

    # -------------------------------------------------------------- what happens, and what is said of it

    async def _ask_for_patience(self, start: anyio.CancelScope, tasks: TaskGroup) -> None:
        """Ask systemd for time until ``start`` is over, or has become hopeless; a signal to end breaks it off."""
        with start:
            for _ in range(int(START_SECONDS / PATIENCE_SECONDS)):
                self._notifier.extend()
                with anyio.move_on_after(PATIENCE_SECONDS):
                    await self._stop.wait()
                    self._notifier.stopping()
                    tasks.cancel_scope.cancel()

    def _config_changed(self) -> None:
        loaded_at, error = self.config_state()
        self._service.audit(self._reloading.config.daemon.log_level == "debug")
        row: Mapping[str, str | None] = {"loaded_at": utc(loaded_at), "error": None if error is None else "refused"}
        self._service.changes.config_changed(dict(row))
        if self._telling is not None:
            self._telling.look()

    async def _next_news(self) -> None:
        """Wait until anything happened since the last call."""
        await self._news.wait()
        self._news = anyio.Event()

    async def _obey(self, signals: AsyncIterator[signal.Signals]) -> None:
        async for number in signals:
            if self._stop.is_set():
                # Whoever says it twice wants an end at once; nothing is half-written at any moment.
                os._exit(128 + number)
            self._stop.set()

    async def _stop_on_signal(self, tasks: TaskGroup) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                tasks.cancel_scope.cancel()
                return
