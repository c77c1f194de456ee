"""Construction of the servers and of the reports to systemd. `app` runs them; nothing is started here."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from tokend.access.peer import identify
from tokend.access.socket_scope import SocketScope
from tokend.api.answer_cache import ScopedAnswers
from tokend.api.events import EventBus
from tokend.api.metrics_page import MetricsPage
from tokend.api.routes import Router
from tokend.api.token_api import TokenApi
from tokend.config.model import loopback_address
from tokend.credentials.rules import serve_credentials
from tokend.daemon.listeners import Listeners
from tokend.daemon.notifications import Notifications
from tokend.daemon.status_line import StatusLine
from tokend.daemon.token_sockets import MakeServer
from tokend.daemon.watchdog import Watchdog
from tokend.daemon.wiring import EngineParts, Launch
from tokend.httpd.loopback_server import LoopbackServer
from tokend.httpd.request_parser import Limits
from tokend.httpd.unix_server import SocketServer
from tokend.httpd.unix_socket import SocketFile
from tokend.machine import logs
from tokend.service_manager import activation
from tokend.service_manager.activation import Inherited
from tokend.state.sealed import SealedState

log = logs.get_logger()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ServiceParts:
    """The objects that answer readers and systemd.

    ``listeners`` are the daemon's own; ``events`` closes after them. ``credentials`` is the task of credentials.sock,
    None if that socket is off; ``sockets`` is that of ``[[sockets]]``. ``status_line`` is None without systemd,
    ``watchdog`` without WatchdogSec=.
    """

    listeners: Listeners
    events: EventBus
    socket: str
    credentials: Callable[..., Coroutine[Any, Any, None]] | None
    sockets: Callable[..., Coroutine[Any, Any, None]]
    status_line: StatusLine | None
    notifications: Notifications
    watchdog: Watchdog | None


def wire_service(given: Launch, engine: EngineParts) -> ServiceParts:
    """Build the servers and the reports to systemd. The engine's configuration has been applied."""
    settings = engine.in_force.config.daemon
    listeners = Listeners()
    api = _api(given, engine, listeners)
    where = where_it_listens(given.inherited, activation.API, settings.socket)
    listeners.add("api", where, _unix_server(given, engine, api))
    credentials = _credentials(given, engine, listeners)
    if settings.listen is not None or activation.LOOPBACK in given.inherited.sockets:
        listeners.add("loopback", *_loopback_server(given, engine, api))
    status_line, watchdog = _status_line(given, engine, listeners), _watchdog(given, engine)

    def config_changed() -> None:
        engine.handouts.switch(engine.in_force.config.daemon.audit == "reads")
        api.audit(logs.level_in_force(engine.in_force.config.daemon.log_level) == "debug")
        api.changes.config_changed(dict(engine.in_force.event()))
        if status_line is not None:
            status_line.send_soon()

    engine.in_force.subscribe(config_changed)
    return ServiceParts(
        listeners,
        api.changes,
        where,
        credentials,
        partial(engine.sockets.serve, _token_socket(given, engine, api), engine.in_force.config.sockets),
        status_line,
        Notifications(engine.supervisor, engine.in_force, clock=given.clock, threads=given.pools.commands),
        watchdog,
    )


def where_it_listens(inherited: Inherited, name: str, configured: object) -> str:
    """Return the address of a listener: that of the passed socket, or the configured one."""
    if (passed := inherited.sockets.get(name)) is None:
        return str(configured)
    address = passed.getsockname()
    if isinstance(address, tuple):
        return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
    return str(address)


def _api(given: Launch, engine: EngineParts, listeners: Listeners) -> TokenApi:
    metrics = MetricsPage(
        engine.supervisor,
        engine.supervisor.counters,
        lambda: engine.in_force.error is None,
        engine.store.unsaved,
    )
    return TokenApi(
        engine.supervisor,
        engine.rules,
        config_state=engine.in_force.state,
        metrics=metrics.page,
        audit_reads=logs.level_in_force(engine.in_force.config.daemon.log_level) == "debug",
        handouts=engine.handouts,
        reports=engine.reports,
        last_event=given.event_ids.last_before,
        event_id_used=given.event_ids.used,
        sockets=engine.sockets.rows,
        listeners=listeners.rows,
        state=partial(_state_row, given.state),
    )


def _state_row(state: SealedState) -> Mapping[str, Any]:
    """Return what the status shows of the state as a whole."""
    warnings = [{"code": one.code, "message": one.message} for one in state.warnings()]
    return {"sealed": state.is_sealed, "warnings": warnings}


def _unix_server(given: Launch, engine: EngineParts, api: TokenApi) -> Callable[[], SocketServer]:
    settings, kept = engine.in_force.config.daemon, engine.rules.has_kept_place
    limits = Limits(max_connections=settings.max_connections, max_connections_per_uid=settings.max_connections_per_uid)
    if (passed := given.inherited.sockets.get(activation.API)) is not None:
        # The socket unit sets path and permissions, and goes on listening after this process has ended.
        log.info("socket.activated", path=passed.getsockname(), instead_of=str(settings.socket))
        return lambda: SocketServer(Router(api), answers=api.answers, sock=passed, limits=limits, kept=kept)
    place = SocketFile(settings.socket, mode=int(settings.socket_mode, 8), group=settings.socket_group)
    threads = given.pools.disk
    return lambda: SocketServer(
        Router(api), answers=api.answers, place=place, limits=limits, threads=threads, kept=kept
    )


def _token_socket(given: Launch, engine: EngineParts, api: TokenApi) -> MakeServer:
    """Return the function that makes the servers of ``[[sockets]]``. Their limits are those of the daemon's socket."""
    settings, kept = engine.in_force.config.daemon, engine.rules.has_kept_place
    limits = Limits(max_connections=settings.max_connections, max_connections_per_uid=settings.max_connections_per_uid)
    threads = given.pools.disk

    def make(place: SocketFile, scope: SocketScope) -> SocketServer:
        answers = ScopedAnswers(api.answers, scope)
        who = partial(identify, scope=scope)
        return SocketServer(
            Router(api), answers=answers, place=place, limits=limits, threads=threads, identify=who, kept=kept
        )

    return make


def _loopback_server(given: Launch, engine: EngineParts, api: TokenApi) -> tuple[str, Callable[[], LoopbackServer]]:
    """Return the address of the loopback port and the function that makes its server."""
    settings = engine.in_force.config.daemon
    passed = given.inherited.sockets.get(activation.LOOPBACK)
    where = where_it_listens(given.inherited, activation.LOOPBACK, settings.listen)
    if passed is not None:
        log.info("socket.activated", path=where, instead_of=settings.listen)

    def make() -> LoopbackServer:
        return LoopbackServer(
            Router(api),
            *loopback_address(where),
            lambda: engine.in_force.config.daemon.listen_secret,
            threads=given.pools.guards,
            limits=Limits(max_connections=settings.max_connections),
            sock=passed,
        )

    return where, make


def _credentials(
    given: Launch, engine: EngineParts, listeners: Listeners
) -> Callable[..., Coroutine[Any, Any, None]] | None:
    path = engine.in_force.config.daemon.credentials_socket
    passed = given.inherited.sockets.get(activation.CREDENTIALS)
    if path is None and passed is None:
        return None
    report = listeners.add("credentials", where_it_listens(given.inherited, activation.CREDENTIALS, path))
    return partial(
        serve_credentials,
        engine.supervisor,
        path,
        passed,
        handouts=engine.handouts,
        threads=given.pools.disk,
        report=report,
    )


def _status_line(given: Launch, engine: EngineParts, listeners: Listeners) -> StatusLine | None:
    if not given.notifier.connected:  # asking a thousand providers for their status takes a while
        return None
    line = StatusLine(
        engine.supervisor,
        given.notifier,
        clock=given.clock,
        config_refused=lambda: engine.in_force.error is not None,
        troubles=listeners.troubles,
    )
    listeners.subscribe(line.send_soon)
    return line


def _watchdog(given: Launch, engine: EngineParts) -> Watchdog | None:
    if (seconds := given.notifier.watchdog_seconds()) is None:
        return None
    return Watchdog(given.notifier, seconds=seconds, clock=given.clock, refreshers=lambda: engine.supervisor.refreshers)
