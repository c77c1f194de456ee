"""Logins that rotate, under faults and kills drawn from a seed; the server's own log says what was lost, and why.

A login may be lost only where an answer that was given after the rotation did not arrive as it was sent: it was cut,
came late, as a page or as a 5xx, or the process died before it was saved. All else is a broken promise: a reuse, a
request without a journal, two at once, a repeat too early, a person asked for without need.

With a grace a login is never lost. A grace of a minute covers one lost answer: one trouble ends before the next begins.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import exp, log
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel

from tests.fakes import FakeConfig
from tests.simulation.login_process import TIMEOUT_SECONDS, LoginProcess
from tests.simulation.login_server import AFTER, BEFORE, TOKEN_URL, LoginServer
from tests.simulation.machine import HOUR, NO_SPACE, Machine, SimulatedLoop, Trace, run_loop
from tests.simulation.simulation import bugs_seen
from tokend.config import ProviderConfig
from tokend.plugin.http_exchange import UpstreamRequest
from tokend.providers.oauth2.kind import OAuth2
from tokend.sandbox.messages import Reply
from tokend.values.errors import ReaderError
from tokend.values.status import State

LOGINS = 4
FAULTS = (*BEFORE, *AFTER, "slow")
# After one lost answer, two, three, and so on.
PAUSES_SECONDS = (0.0, 5.0, 60.0, 300.0, 900.0, 3600.0)
LOSING = ("silent-after", "reset-after", "cut-after")


@dataclass(frozen=True)
class Outcome:
    """What became of one seed: ``broken`` promises, refreshes that were granted, logins lost, processes killed."""

    broken: tuple[str, ...]
    refreshes: int
    lost: int
    kills: int
    digest: str
    trace: tuple[str, ...]


class LoginWorld:
    """A machine, a server with some logins, and who watches."""

    def __init__(self, loop: SimulatedLoop, seed: int, rotation: str, *, logins: int, keep_trace: bool) -> None:
        self.draw = random.Random(seed)
        self.machine = Machine(loop, random.Random(self.draw.random()))
        self.trace = Trace(self.machine, keep_trace)
        self.watch = self
        self.broken: list[str] = []
        self.kills = self.lost = self.asked = self.most_at_once = 0
        self.only: str | None = None  # the one fault that everybody meets
        self.share = 0.0  # of the exchanges that meet a fault
        self.life = exp(self.draw.uniform(log(20), log(7200)))
        self.server = LoginServer(self.machine, rotation, self.life)
        self.grants: dict[str, int] = {}
        self.secrets: dict[Path, str] = {}
        self.excused: set[tuple[int, int]] = set()  # grant and index: its answer did not arrive as it was sent
        self._troubled: set[str] = set()
        self._open: set[str] = set()
        self._losses: dict[str, int] = {}  # lost answers in a row
        self._hastened: set[str] = set()
        self._doubtful: set[str] = set()  # met a 5xx or a page since the last grant: the next has the ordinary backoff
        self._new: set[str] = set()  # a person has logged in, and the daemon has not used it yet
        self._looked: dict[str, float] = {}  # when something harmless was answered last
        self._travelling: dict[str, tuple[Any, Callable[[], None]]] = {}
        self._last: dict[str, tuple[int | None, float, bool]] = {}  # index, time, and whether its answer was lost
        self.secrets[Path("/secrets/client")] = "sandbox-oauth2-secret"
        for number in range(logins):
            self.log_in(f"p{number}")

    # ------------------------------------------------------------ the configuration

    def log_in(self, name: str) -> None:
        """Do as a person does: a new login, whose refresh token stands in the file."""
        self.grants[name], self.secrets[Path(f"/secrets/{name}")] = self.server.grant()
        self._new.add(name)

    def config(self) -> FakeConfig:
        """The configuration as it is written now."""
        return FakeConfig({name: self._provider(name) for name in self.grants})

    def _provider(self, name: str) -> ProviderConfig:
        settings = OAuth2.model_validate(
            {
                "grant": "refresh_token", "token_url": TOKEN_URL, "client_id": "sandbox-oauth2-client",
                "client_secret": {"file": "/secrets/client"}, "refresh_token": {"file": f"/secrets/{name}"},
                "timeout": f"{TIMEOUT_SECONDS:.0f}s", "audience": [name],
            }
        )  # fmt: skip
        return ProviderConfig(name=name, settings=settings, sinks=())

    # ------------------------------------------------------------ what a process asks for

    def disk_delay(self, pool: str) -> float:
        """How long the next call in a thread of this pool takes."""
        return 0.0 if self.draw.random() < 0.98 else self.draw.uniform(0, 3.0)

    def noticed(self, process: LoginProcess, name: str) -> None:
        """Nobody is sent to a browser without need."""
        entry = process.supervisor.entries.get(name)
        state = None if entry is None else entry.status().state
        ended = self.server.ended(self.grants[name])
        needed = ended is not None or name in self._new
        self.hold(state is not State.LOGIN_REQUIRED or needed, name, "a login is demanded without need")

    def may_go_wrong(self) -> bool:
        """Whether another trouble may begin now."""
        return not self._is_graceful or not self._troubled

    @property
    def _is_graceful(self) -> bool:
        return self.server.rotation == "grace"

    def killed(self) -> None:
        """Requests on their way arrive now, or never; what was not saved is lost."""
        self.kills += 1
        for handle, arrive in list(self._travelling.values()):
            handle.cancel()
            if self.draw.random() < 0.5:
                arrive()
        self._travelling.clear()
        for name in self.grants:
            if self._undelivered(name):
                self._excuse(name)
            if b'"exchanging"' in self.machine.disk.content.get(name, b""):
                self._troubled.add(name)
                index, at, _ = self._last.get(name, (None, 0.0, False))
                self._last[name] = (index, at, True)

    def hasten(self, name: str) -> None:
        """An admin asks for an attempt now."""
        self._hastened.add(name)

    # ------------------------------------------------------------ exchanges

    def fault_of(self, name: str) -> str:
        """What meets the next exchange of a login."""
        if self.only is not None:
            return self.only
        if self._is_graceful and (self._troubled or self.machine.disk.broken):
            return "fine"
        if self.draw.random() >= self.share:
            return "fine"
        # A 429 pauses the whole host, also the repeat of another login, for longer than the grace.
        without = {"429", *(("502-after", "page-after") if name in self._doubtful else ())} if self._is_graceful else ()
        fault = self.draw.choice([one for one in FAULTS if one not in without])
        if fault in ("500", "page"):
            self._doubtful.add(name)
        if fault in ("silent", "reset"):
            self._troubled.add(name)
        return fault

    @contextmanager
    def under_way(self, name: str, request: UpstreamRequest) -> Iterator[None]:
        """One exchange at a time, and none without a journal."""
        self.hold(name not in self._open, name, "two requests at once")
        if request.method == "POST":
            saved = self.machine.disk.content.get(name, b"")
            self.hold(b'"exchanging"' in saved, name, "a request without a journal")
        self._open.add(name)
        self.asked += 1
        self.most_at_once = max(self.most_at_once, len(self._open))
        self.trace.add(f"{name} asks: {request.method}")
        try:
            yield
        finally:
            self._open.discard(name)

    def arrives(self, name: str, request: UpstreamRequest, fault: str, seconds: float, replies: list[Reply]) -> None:
        """Let a request travel to the server."""

        def arrive() -> None:
            self._travelling.pop(name, None)
            replies.append(self.server.receive(request, fault))
            if request.method == "POST":
                self._look_at_arrival(name, fault)

        self._travelling[name] = (self.machine.loop.call_later(seconds, arrive), arrive)

    def answered(self, name: str, request: UpstreamRequest, status: int) -> None:
        """Note that something harmless was answered: anything below 500."""
        if request.method == "GET" and status < 500:
            self._looked[name] = self.machine.elapsed
        if request.method == "POST":
            self._losses[name] = 0

    def _look_at_arrival(self, name: str, fault: str) -> None:
        came = self.server.received[-1]
        self.trace.add(f"{name} sent {came.index}, {fault}" + (", a reuse" if came.is_reuse else ""))
        grant = self.grants[name]
        if came.grant != grant:
            self.hold(came.grant is None or came.grant < grant, name, "another login's refresh token was sent")
            return
        self._new.discard(name)
        index, at, lost = self._last.get(name, (None, 0.0, False))
        if lost and came.index == index:
            pause = PAUSES_SECONDS[min(self._losses.get(name, 0), len(PAUSES_SECONDS) - 1)]
            waited = self.machine.elapsed - at >= pause or name in self._hastened
            self.hold(waited, name, f"a repeat came before {pause} s")
            self.hold(self._looked.get(name, -1.0) >= at, name, "a repeat before something harmless was answered")
        self._last[name] = (came.index, self.machine.elapsed, fault in LOSING)
        self._losses[name] = self._losses.get(name, 0) + 1 if fault in LOSING else 0
        self._hastened.discard(name)
        if came.is_reuse:
            answered = [one.rotated for one in self.server.received if one.grant == grant and one.rotated is not None]
            self.hold(
                (grant, answered[-1]) in self.excused, name, f"reuse of {came.index}, {answered[-1]} was delivered"
            )
            self.hold(not self._is_graceful, name, "a reuse after the grace")
        elif fault in AFTER:
            self._excuse(name)
        elif came.rotated is not None:
            self._doubtful.discard(name)

    def _excuse(self, name: str) -> None:
        self._troubled.add(name)
        given = [one.rotated for one in self.server.received if one.grant == self.grants[name] and one.rotated]
        if given:
            self.excused.add((self.grants[name], given[-1]))

    def _undelivered(self, name: str) -> bool:
        newest = self.server.newest[self.grants[name]]
        return newest.encode() not in self.machine.disk.content.get(name, b"")

    def _is_lost(self, name: str) -> bool:
        saved = self.machine.disk.content.get(name, b"")
        return b'"lost"' in saved or b'"exchanging"' in saved

    # ------------------------------------------------------------ who watches

    def look(self) -> None:
        """Note what has settled."""
        self._troubled = {name for name in self._troubled if self._undelivered(name) or self._is_lost(name)}

    @property
    def refreshes(self) -> int:
        """Exchanges that the server has granted."""
        return sum(one.rotated is not None for one in self.server.received)

    def hold(self, condition: bool, name: str, what: str) -> None:
        """Note it unless it holds."""
        if not condition:
            self.broken.append(f"{self.machine.elapsed:.3f}: {name}: {what}")
            self.trace.add(f"BROKEN {name}: {what}")


class LoginCourse:
    """What happens beside the processes, until there were enough refreshes."""

    def __init__(self, world: LoginWorld, refreshes: int) -> None:
        self._world, self._draw, self._refreshes = world, world.draw, refreshes
        self.down_for = 0.0

    @property
    def is_over(self) -> bool:
        """Whether there were enough refreshes, or something broke."""
        return self._world.refreshes >= self._refreshes or bool(self._world.broken)

    async def happen(self, process: LoginProcess) -> None:
        """Beside one process: one thing after the other."""
        actions = [self._kill, self._kill, self._stop, self._weather, self._weather]
        actions += [self._disk, self._admin, self._forget, self._step]
        if self._world.server.rotation == "strict":  # no grace lasts for hours of sleep
            actions += [self._suspend, self._reboot]
        while not self.is_over:
            await anyio.sleep(self._draw.expovariate(3.0 / self._world.life))
            self._world.look()
            self._mend_logins(process)
            action = self._draw.choice(actions)
            self._world.trace.add(action.__name__.removeprefix("_"))
            await action(process)
        process.over.set()

    def _mend_logins(self, process: LoginProcess) -> None:
        """A person logs in again where that is asked for."""
        for name in self._world.grants:
            if process.supervisor.entries[name].status().state is State.LOGIN_REQUIRED:
                self._world.lost += 1
                self._world.log_in(name)
                process.supervisor.secrets_changed({Path(f"/secrets/{name}")})

    async def _kill(self, process: LoginProcess) -> None:
        self.down_for = self._draw.choice([0.0, 0.1, 1.0, 3.0])
        if self._draw.random() < 0.8:
            process.deadly_in = self._draw.randint(1, 12)
        else:
            process.kill()
        await anyio.lowlevel.checkpoint()

    async def _stop(self, process: LoginProcess) -> None:
        self.down_for = self._draw.choice([0.0, 1.0])
        await process.supervisor.finish()
        process.over.set()
        await anyio.lowlevel.checkpoint()

    async def _weather(self, process: LoginProcess) -> None:
        self._world.share = self._draw.choice([0.0, 0.0, 0.1, 0.4, 0.8])
        await anyio.lowlevel.checkpoint()

    async def _disk(self, process: LoginProcess) -> None:
        disk = self._world.machine.disk
        if not self._world.may_go_wrong():
            return
        disk.broken = NO_SPACE
        await anyio.sleep(self._draw.uniform(0, 40.0))
        disk.broken = None

    async def _step(self, process: LoginProcess) -> None:
        """The wall clock is set, and set back later."""
        seconds = self._draw.choice([-86400.0, -3600.0, -90.0, 90.0, 3600.0, 86400.0])
        self._world.machine.step(seconds)
        await anyio.sleep(self._draw.uniform(0, self._world.life))
        self._world.machine.step(-seconds)

    async def _suspend(self, process: LoginProcess) -> None:
        self._world.machine.suspend(self._draw.choice([20.0, HOUR, 8 * HOUR]) * self._draw.random())
        await anyio.lowlevel.checkpoint()

    async def _reboot(self, process: LoginProcess) -> None:
        self.down_for = self._draw.uniform(5, 120)
        process.kill()
        self._world.machine.reboot(power_lost=True)
        await anyio.lowlevel.checkpoint()

    async def _admin(self, process: LoginProcess) -> None:
        name = self._draw.choice(sorted(self._world.grants))
        self._world.hasten(name)
        with suppress(ReaderError):
            await process.supervisor.refresh(name, if_generation=None, reason="", admin=True)

    async def _forget(self, process: LoginProcess) -> None:
        name = self._draw.choice(sorted(self._world.grants))
        with suppress(ReaderError):
            await process.supervisor.forget(name)


def simulate_logins(seed: int, rotation: str, refreshes: int, *, keep_trace: bool = False) -> Outcome:
    """Run one seed until the server has granted so many refreshes; then all faults end, and all must be well again."""
    outcomes: list[Outcome] = []

    async def main(loop: SimulatedLoop) -> None:
        world = LoginWorld(loop, seed, rotation, logins=LOGINS, keep_trace=keep_trace)
        course = LoginCourse(world, refreshes)
        with bugs_seen() as bugs:
            while not course.is_over:
                world.trace.add("a process begins")
                await LoginProcess(world).run(world.config(), course.happen)  # type: ignore[arg-type]
                await anyio.sleep(course.down_for)
            world.share, world.machine.disk.broken = 0.0, None
            await LoginProcess(world).run(world.config(), lambda process: _recover(world, course, process))
        broken = (*world.broken, *(f"a bug: {bug}" for bug in bugs.seen))
        outcomes.append(
            Outcome(broken, world.refreshes, world.lost, world.kills, world.trace.digest, tuple(world.trace.lines))
        )

    run_loop(main)
    return outcomes[0]


@dataclass(frozen=True)
class Hung:
    """What an hour without an answer did: requests of the hour, the most at once, and whether a token came after it."""

    broken: tuple[str, ...]
    requests: int
    most_at_once: int
    recovered: bool


def hang(seed: int, fault: str, *, readers: int) -> Hung:
    """Let one login's server meet everybody with one fault for an hour, while readers wait for a fresh token."""
    results: list[Hung] = []

    async def main(loop: SimulatedLoop) -> None:
        world = LoginWorld(loop, seed, "none", logins=1, keep_trace=False)

        async def alongside(process: LoginProcess) -> None:
            await anyio.sleep(30.0)
            world.hold(process.supervisor.entries["p0"].status().valid, "p0", "no token at first")
            world.only, before = fault, world.asked
            async with anyio.create_task_group() as tasks:
                for _ in range(readers):
                    tasks.start_soon(_read_for_an_hour, process)
            asked = world.asked - before
            world.only = None
            await anyio.sleep(HOUR)
            recovered = process.supervisor.entries["p0"].status().valid
            results.append(Hung(tuple(world.broken), asked, world.most_at_once, recovered))
            process.over.set()

        await LoginProcess(world).run(world.config(), alongside)  # type: ignore[arg-type]

    run_loop(main)
    return results[0]


async def _read_for_an_hour(process: LoginProcess) -> None:
    with anyio.move_on_after(HOUR):
        while True:
            with suppress(ReaderError):
                await process.supervisor.fresh("p0", 1e9, admin=False)
            await anyio.sleep(60.0)


async def _recover(world: LoginWorld, course: LoginCourse, process: Any) -> None:
    """After the longest pause between repeats everybody has a valid token."""
    with anyio.move_on_after(3 * HOUR):
        while not all(entry.status().valid for entry in process.supervisor.entries.values()):
            await anyio.sleep(20.0)
            course._mend_logins(process)
    for name, entry in process.supervisor.entries.items():
        world.hold(entry.status().valid, name, "hours of good weather did not bring a token")
    process.over.set()
