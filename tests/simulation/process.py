"""One life of the daemon's process: the real engine on the simulated machine, until it is stopped or killed."""

import random
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import structlog

from tests.fakes import FakeConfig
from tests.simulation.kinds import HERE, MARK
from tests.simulation.machine import SimulatedClock
from tokend.engine.context.context import Context
from tokend.engine.context.contract import ReloadAnswer
from tokend.engine.context.counters import Counters
from tokend.engine.context.host_backoff import HostBackoff
from tokend.engine.policy.rate_limits import HostLimits
from tokend.engine.records.store import TokenStore
from tokend.engine.supervisor import Supervisor
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.secret_source import SecretSource
from tokend.upstream.provider_runtime import ProviderRuntime
from tokend.values.errors import AttemptError, SecretError, SinkError, TransientError
from tokend.values.secret import Secret
from tokend.values.tokens import Lease, Token
from tokend.values.url import host_of

T = TypeVar("T")


class Process:
    """One process. Once ``dead``, nothing that it still does reaches the disk or a host."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.machine = world.machine
        self.clock = SimulatedClock(world.machine)
        self.dead = False
        self.over = anyio.Event()  # killed, or stopped
        self.deadly_in = 0  # after so many more points at which it may die
        self.hanging: list[Held] = []
        self.supervisor: Supervisor
        self.store = TokenStore(state=self.machine.disk, threads=Threads(self, "state"), clock=self.clock)
        HERE[:] = [self]

    async def run(self, config: FakeConfig, alongside: Callable[["Process"], Coroutine[Any, Any, None]]) -> None:
        """Live until killed or stopped; ``alongside`` is what happens meanwhile."""
        self.store.load()
        sinks = Threads(self, "files")
        context = Context(
            clock=self.clock,
            store=self.store,
            limits=HostLimits(),
            hosts=HostBackoff(self.clock, random.Random(0)),
            counters=Counters(),
            random=random.Random(self.world.draw.random()),
            runtime=self.line,
            sink_upstream=self.line,  # no simulated sink asks for it
            threads=sinks,
            commands=sinks,
            looks=sinks,
            serve=_serve_nothing,
            engine=lambda: self.supervisor,
        )
        async with anyio.create_task_group() as tasks:
            self.supervisor = Supervisor(tasks, context, reload=_no_reload)
            self.supervisor.subscribe(self._noticed)
            await self.supervisor.apply(config)  # type: ignore[arg-type]  # as much of a Config as the supervisor reads
            tasks.start_soon(self.store.keep_saved)
            tasks.start_soon(alongside, self)
            await self.over.wait()
            tasks.cancel_scope.cancel()
        self.dead = True
        self._release_all()

    def line(self, settings: Any) -> ProviderRuntime:
        """The runtime of a provider."""
        return Line(settings, self)

    def _release_all(self) -> None:
        for held in list(self.hanging):
            held.release()

    def kill(self) -> None:
        """SIGKILL, or power is lost: here and now."""
        if not self.dead:
            self.world.trace.add("killed")
            self.dead = True
            self.over.set()
            self._release_all()

    def may_die(self) -> None:
        """A point at which a process that is to be killed in the middle of something may die."""
        if self.deadly_in:
            self.deadly_in -= 1
            if self.deadly_in == 0:
                self.kill()

    def _noticed(self, name: str) -> None:
        if not self.dead:
            self.world.watch.noticed(self, name)

    # ------------------------------------------------------------ files

    def write_file(self, path: str, leases: Sequence[Lease]) -> bool:
        """What a file sink does."""
        self.machine.disk.hold()
        self.probe_file(path)
        content = " ".join(lease.token.value.reveal() for lease in leases)
        changed: bool = self.machine.disk.written.get(path) != content
        self.machine.disk.written[path] = content
        self.world.watch.wrote(path, leases)
        return changed

    def remove_file(self, path: str) -> bool:
        """Take the tokens away."""
        self.machine.disk.hold()
        self.probe_file(path)
        self.world.watch.removed(path)
        return self.machine.disk.written.pop(path, None) is not None

    def probe_file(self, path: str) -> None:
        """Stumble where the disk does."""
        if (why := self.machine.disk.files_broken) is not None:
            self.machine.disk.trouble_at = self.machine.elapsed
            raise SinkError(f"{path}: {why}")


class Threads:
    """`interfaces.Threads`: a call ends when the disk lets it, whether or not somebody still waits for it."""

    def __init__(self, process: Process, where: str) -> None:
        self._process = process
        self._where = where

    async def run(self, call: Callable[[], T], *, seconds: float) -> T:
        process = self._process
        process.may_die()
        if process.dead:
            raise TimeoutError
        delay = process.world.disk_delay(self._where)
        held = Held(process, call)
        if delay <= 0:
            held.perform()
            await anyio.lowlevel.checkpoint()
        else:
            held.hang()
            process.machine.loop.call_later(delay, held.release)
            with anyio.move_on_after(seconds):
                await held.done.wait()
        process.may_die()
        if process.dead or not held.done.is_set():
            raise TimeoutError
        if held.error is not None:
            raise held.error
        return held.result  # type: ignore[no-any-return]  # the result of `call`


class Held:
    """One call in a thread, which may hang in the disk until it is released; a process that dies ends it there."""

    def __init__(self, process: Process, call: Callable[[], Any]) -> None:
        self._process = process
        self._call = call
        self._begun, self._released = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self.done = anyio.Event()
        self.result: Any = None
        self.error: Exception | None = None

    def perform(self) -> None:
        """Do it now, to its end."""
        self._run()
        self.done.set()

    def hang(self) -> None:
        """Begin, up to where the disk is touched."""
        self._process.hanging.append(self)
        self._process.machine.disk.holding.append(self._hold)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self._begun.wait()
        self._process.machine.disk.holding.clear()

    def release(self) -> None:
        """Let it go on, and wait for its end."""
        if self._thread is not None:
            self._released.set()
            self._thread.join()
            self._thread = None
            self._process.hanging.remove(self)
            self.done.set()

    def _hold(self) -> None:
        self._begun.set()
        self._released.wait()
        if self._process.dead:
            raise SystemExit

    def _run(self) -> None:
        try:
            self.result = self._call()
        except Exception as error:
            self.error = error
        except SystemExit:
            pass
        finally:
            self._begun.set()


class Line(ProviderRuntime):
    """The real `ProviderRuntime` on a simulated line; attempts are reported to the watch."""

    def __init__(self, settings: Any, process: Process) -> None:
        super().__init__(settings, clock=process.clock, threads=Threads(process, "state"))
        self._process = process
        self._mark = settings.headers[MARK]
        self._upstream = Wire(settings, process)  # type: ignore[assignment]  # no real network

    async def reveal(self, source: SecretSource) -> Secret:
        if source.file is None:
            return await super().reveal(source)
        value = self._process.world.secrets.get(source.file)
        if value is None:
            raise SecretError(f"{source} cannot be read")
        return Secret(value)

    async def attempted(self, attempt: Awaitable[Token]) -> Token:
        """One attempt of a held kind."""
        process, watch = self._process, self._process.world.watch
        seen = watch.begins(process, self._mark)
        try:
            token = await attempt
        except AttemptError as error:
            if not process.dead:
                watch.failed(seen, error)
            raise
        if not process.dead:
            watch.gave(seen, token)
        return token


class Wire:
    """`http.client.Upstream` to the simulated hosts."""

    def __init__(self, settings: Any, process: Process) -> None:
        self._process = process
        self._seconds = settings.timeout.total_seconds()
        self._mark = settings.headers[MARK]

    async def exchange(self, request: UpstreamRequest) -> UpstreamReply:
        process, machine = self._process, self._process.machine
        process.may_die()
        if process.dead:
            raise TransientError("dead")
        host = process.world.hosts[host_of(request.url).removesuffix(":443")]
        sent, began, weather = machine.instant(), machine.elapsed, host.today()
        process.world.watch.sent(process, self._mark, host, weather)
        secrets = process.world.watch.ledger(self._mark).secrets
        delay = host.delay(weather, self._seconds)
        arrived = began + delay * machine.draw.uniform(0.2, 0.9)
        if weather != "fine" or delay > 5:
            host.trouble_at = began + delay
        await process.clock.sleep(min(delay, self._seconds))
        process.may_die()
        if delay >= self._seconds or process.dead:
            raise TransientError(f"{host.name} did not answer completely", repeatable=True)
        reply: UpstreamReply = host.answer(request, weather, arrived, sent)
        process.world.watch.replied(self._mark, host, reply, extends=request.url.endswith("/validate"), secrets=secrets)
        return reply


class Crashes:
    """A structlog processor: what tokend calls a bug is one."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, _: Any, method: str, event: Any) -> Any:
        if method == "exception" or event.get("event") in ("worker.crashed", "daemon.crashed"):
            import traceback

            self.seen.append(f"{event} {traceback.format_exc()}")
        raise structlog.DropEvent


async def _serve_nothing(*_: Any) -> None:
    await anyio.sleep_forever()


async def _no_reload(dry_run: bool, path: Path | None) -> ReloadAnswer:
    return ReloadAnswer([])
