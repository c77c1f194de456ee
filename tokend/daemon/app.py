"""One run of the daemon: start, tasks, signals, end. `wiring` builds the objects that run here."""

import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

import anyio
from anyio.abc import TaskGroup

from tokend import __version__
from tokend.access.policy import NAME_SECONDS
from tokend.daemon.end_signals import end_signals
from tokend.daemon.service_wiring import ServiceParts, wire_service
from tokend.daemon.state_upkeep import StateUpkeep
from tokend.daemon.wiring import EngineParts, Launch, configured_names, wire_engine
from tokend.engine.records.store import TokenStore
from tokend.machine import logs
from tokend.machine.clock import Clock
from tokend.service_manager.notify import EXTEND_SECONDS
from tokend.values.errors import StoreError

EXIT_OK = 0

# systemd is asked for more time this often: a third of the time that is asked for.
EXTEND_EVERY_SECONDS = EXTEND_SECONDS / 3
# A bug that ends one of the daemon's own tasks at once must not become a busy loop.
RESTART_SECONDS = 5.0
# Limit of a start on a slow disk; systemd is asked for that time in steps.
START_SECONDS = 300.0
# Beside the time of an exchange: the answer is saved after it.
SAVE_AT_THE_END_SECONDS = 15.0

log = logs.get_logger()


async def serve(given: Launch) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code."""
    stop = anyio.Event()
    with end_signals(stop):
        async with anyio.create_task_group() as last:
            await _serve(given, stop, last)
    return EXIT_OK


async def _serve(given: Launch, stop: anyio.Event, last: TaskGroup) -> None:
    """Run until ``stop``; ``last`` gets the task that outlives the others."""
    async with anyio.create_task_group() as tasks, AsyncExitStack() as stack:
        starting = anyio.CancelScope()
        tasks.start_soon(_extend_while_starting, given, starting, stop, tasks)
        engine = await start_engine(given, tasks)
        # The default action would end the process. The handler stays after the signal receivers have closed.
        signal.signal(signal.SIGHUP, lambda *_: engine.reloader.want())
        await apply_first_config(engine)
        service = wire_service(given, engine)
        # Names that take longer are nobody's until they are answered.
        await engine.names.wait(engine.names.unanswered(configured_names(engine.in_force.config)), seconds=NAME_SECONDS)
        await _start_service(service, tasks, stack)
        for task in _tasks(given, engine, service):
            tasks.start_soon(_keep_running, given.clock, task)
        starting.cancel()
        given.notifier.ready()
        reached = {"socket": service.socket} if service.listeners.is_made("api") else {}
        log.info("daemon.ready", version=__version__, **reached)
        await stop.wait()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        given.notifier.stopping()
        log.info("daemon.stopping")
        given.pools.hasten(saving=False)
        last.start_soon(_finish, given, engine)
        tasks.cancel_scope.cancel()


async def _finish(given: Launch, engine: EngineParts) -> None:
    """Wait for the answers to refreshes that may rotate a login, and report that to systemd. All else ends now."""
    waits = engine.supervisor.exchanges_under_way()
    if waits:
        seconds = max(one.timeout_seconds for one in waits)
        hosts = ", ".join(sorted({one.host or "a server" for one in waits}))
        given.notifier.extend(seconds + SAVE_AT_THE_END_SECONDS)
        given.notifier.status(f"waiting for {hosts}'s answer")
        log.info("daemon.waits", detail=f"for {hosts}'s answer to a refresh of a login, at most {seconds:g} s")
        with anyio.move_on_after(seconds):
            await _while_alive(given, engine.supervisor.finish)
        for one in waits:
            one.break_off()
    given.pools.hasten()


async def _while_alive(given: Launch, wait: Callable[[], Awaitable[None]]) -> None:
    """Return when ``wait`` has, and feed the watchdog until then: its own task has ended."""
    async with anyio.create_task_group() as both:
        both.start_soon(_feed, given)
        await wait()
        both.cancel_scope.cancel()


async def _feed(given: Launch) -> None:
    while True:
        given.notifier.alive()
        await anyio.sleep(1.0)


async def start_engine(given: Launch, tasks: TaskGroup) -> EngineParts:
    """Start the threads, read the state, build the engine. Raises `StoreError` where the state cannot be read."""
    given.pools.open()  # all of them now: later the machine may have none left (docs/promises.md 73)
    store = TokenStore(state=given.state, threads=given.tracked_disk, clock=given.clock)
    try:
        await given.pools.disk.run(store.load, seconds=START_SECONDS)
    except TimeoutError as error:
        raise StoreError(f"the state could not be read: {str(error) or 'the disk hangs'}") from None
    engine = wire_engine(given, store, tasks)
    tasks.start_soon(_keep_running, given.clock, given.clock.watch)
    return engine


async def apply_first_config(engine: EngineParts) -> None:
    """Apply the configuration that the process was started with."""
    await engine.reloader.begin()
    await engine.supervisor.apply(engine.in_force.config)


async def _start_service(service: ServiceParts, tasks: TaskGroup, stack: AsyncExitStack) -> None:
    stack.callback(service.events.close)
    stack.push_async_callback(service.listeners.close)
    await tasks.start(service.listeners.serve)
    if service.credentials is not None:
        await tasks.start(service.credentials)
    await tasks.start(service.sockets)


def _tasks(given: Launch, engine: EngineParts, service: ServiceParts) -> Sequence[Callable[[], Awaitable[None]]]:
    """Return the daemon's own tasks; the engine has started those of its providers."""
    reloader = engine.reloader
    tasks = [
        engine.names.keep_fresh,
        engine.supervisor.logins.watch,
        reloader.reload_when_wanted,
        reloader.watch_files,
        reloader.retry_refused,
        reloader.inspect_secrets,
        engine.store.keep_saved,
        StateUpkeep(engine.store, given.state, clock=given.clock, threads=given.pools.disk).keep,
        given.event_ids.keep,
        service.notifications.run,
    ]
    if service.status_line is not None:
        tasks.append(service.status_line.report)
    if service.watchdog is not None:
        tasks.append(service.watchdog.feed)
    return tasks


async def _keep_running(clock: Clock, task: Callable[[], Awaitable[None]]) -> None:
    """Run ``task`` for ever: a bug in it must not end the daemon."""
    while True:
        try:
            await task()
        except Exception:
            log.exception("daemon.crashed", chore=task.__name__)
        await clock.sleep(RESTART_SECONDS)


# -------------------------------------------------------------- signals and systemd


async def _extend_while_starting(
    given: Launch, starting: anyio.CancelScope, stop: anyio.Event, tasks: TaskGroup
) -> None:
    """Ask systemd for time until ``starting`` is cancelled or `START_SECONDS` are over. A signal ends the start."""
    with starting:
        for _ in range(int(START_SECONDS / EXTEND_EVERY_SECONDS)):
            given.notifier.extend()
            with anyio.move_on_after(EXTEND_EVERY_SECONDS):
                await stop.wait()
                given.notifier.stopping()
                given.pools.hasten()
                tasks.cancel_scope.cancel()
