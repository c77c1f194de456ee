"""Weeks of a daemon's life from one seed: upstreams that fail in every class, outages, stepped clocks, suspends,
crashes and reboots, readers that hammer. The promises are checked at each event, and over all requests at the end.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise

import anyio

from tests.fakes import HOUR, FakeHeld, FakeSink, Upstream, World, provider
from tests.virtual import VirtualClock, run_virtually
from tokend.errors import AttemptError, ClockError, RateLimitedError, ReaderError, RejectedError, TransientError
from tokend.instant import Instant
from tokend.status import State

DAY = 24 * HOUR
MINUTE = 60.0
# Most tokens live for long, as most vendors' do; a few are short and make most of the requests.
LIVES = [15 * MINUTE, HOUR, *[4 * HOUR, 12 * HOUR, 24 * HOUR] * 8, *[24 * HOUR, 24 * HOUR, 12 * HOUR, 24 * HOUR] * 19]
# Those whose readers report every token as refused.
HAMMERED = ("p0", "p1", "p3")
DOWN = TransientError("down", repeatable=True)
ODD: list[AttemptError] = [
    TransientError("answered 500"),
    TransientError("answered 503", retry_after=120),
    RateLimitedError("answered 429"),
    RateLimitedError("answered 429", retry_after=5),
    RateLimitedError("answered 429", retry_after=900),
    RejectedError("answered 401"),
    ClockError("clocks differ", offset=4000.0),
]


@dataclass
class Seen:
    """What was last seen of one provider."""

    generation: int = 0
    expires: Instant | None = None
    told_expired: int = 0  # the generation whose end was told to whoever listens


@dataclass
class Simulation:
    """One run. ``broken`` lists what no promise allows."""

    clock: VirtualClock
    seed: int
    days: float
    size: int
    draw: random.Random = field(init=False)
    world: World = field(init=False)
    seen: dict[str, Seen] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    out: set[int] = field(default_factory=set)  # the numbers of those that are down
    steps: int = 0

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed)
        self.world = World(self.clock, seed=self.seed)
        for n in range(self.size):
            life = LIVES[n]
            self.world.upstreams[f"host-{n}"] = Upstream(
                self.clock, life=life, latency=self.draw.uniform(0.05, 2.0), broken=self._breaker(n)
            )
        self.providers = [
            provider(f"p{n}", FakeHeld(base_url=f"host-{n}"), *([FakeSink(path=f"f{n}")] if n % 4 == 0 else []))
            for n in range(self.size)
        ]

    def _breaker(self, number: int) -> Callable[[Instant], AttemptError | None]:
        draw = random.Random(self.draw.random())

        def broken(now: Instant) -> AttemptError | None:
            if number in self.out:
                return DOWN
            return draw.choice(ODD) if draw.random() < 0.02 else None

        return broken

    # ------------------------------------------------------------ the course of things

    async def run(self) -> None:
        """Live through it: some days between two crashes, now and then a reboot."""
        end = self.clock.instant().after(self.days * DAY)
        while (left := self.clock.instant().until(end)) > 0:
            async with self.world.running(*self.providers) as supervisor, anyio.create_task_group() as tasks:
                supervisor.subscribe(self._look)
                tasks.start_soon(self._weather)
                tasks.start_soon(self._inspect)
                for name in HAMMERED:
                    tasks.start_soon(self._hammer, name)
                await anyio.sleep(min(left, self.draw.uniform(3, 6) * DAY))
                tasks.cancel_scope.cancel()
            if self.draw.random() < 0.5:
                self.world.state.boot_id += "'"
            await anyio.sleep(self.draw.uniform(0, 120))
        self._count()

    async def _weather(self) -> None:
        """Outages, some of which outlive every token, steps, suspends, persons; one after the other."""
        while True:
            await anyio.sleep(self.draw.uniform(2, 34) * HOUR)
            match self.draw.randrange(5):
                case 0:
                    await self._outage()
                case 1 | 2:
                    await self._wrong_clock()
                case 3:
                    self.clock.suspend(self.draw.uniform(0.1, 10) * HOUR)
                case _:
                    # A person resumes what odd answers have stopped.
                    for name, entry in self.world.supervisor.entries.items():
                        if entry.status().state is State.REJECTED:
                            await self._refresh(name, None, admin=True)

    async def _outage(self) -> None:
        hours = self.draw.choice([0.2, 2, 30])
        # The longest one is not everybody's: it is most of the work, and shows the same of each.
        self.out = set(self.draw.sample(range(self.size), 4 if hours == 30 else self.size // 2))
        try:
            await anyio.sleep(hours * HOUR)
        finally:
            self.out = set()

    async def _wrong_clock(self) -> None:
        self.steps += 1
        step = self.draw.choice([-24 * HOUR, -6 * HOUR, -90.0, 90.0, 6 * HOUR, 24 * HOUR])
        self.clock.step(step)
        try:
            await anyio.sleep(self.draw.choice([20.0, HOUR]))
        finally:
            self.clock.step(-step)

    async def _hammer(self, name: str) -> None:
        """A reader that reports every token as refused, every half minute of some hours."""
        while True:
            await anyio.sleep(self.draw.uniform(0, 30) * HOUR)
            for _ in range(100):
                await anyio.sleep(30)
                lease = self.world.supervisor.entries[name].lease
                await self._refresh(name, None if lease is None else lease.generation, admin=False)

    async def _refresh(self, name: str, generation: int | None, *, admin: bool) -> None:
        with suppress(ReaderError):
            await self.world.supervisor.refresh(name, if_generation=generation, reason="", admin=admin)

    # ------------------------------------------------------------ what must hold at every moment

    def _look(self, name: str) -> None:
        """P2, P8: nothing valid is lost or made worse, nobody is silently dead."""
        entry = self.world.supervisor.entries[name]
        worker, now = entry.worker, self.clock.instant()
        record, state, valid = worker.record, worker.state, worker.is_valid()
        lease, seen = record.lease, self.seen.setdefault(name, Seen())
        if lease is None:
            self._hold(seen.expires is None, name, "its token was taken away")
        else:
            expires = lease.token.expires_at
            self._hold(lease.generation >= seen.generation, name, "its generation fell")
            if lease.generation > seen.generation:
                self._hold(lease.token.is_valid(now), name, "a dead token was published")
                self._hold(seen.expires is None or expires.boot >= seen.expires.boot, name, "replaced by a worse one")
                seen.generation, seen.expires = lease.generation, expires
            if record.adrift:
                seen.expires = expires  # after a reboot the wall clock is all that tells
            self._hold(abs(expires.boot - seen.expires.boot) < 1, name, "its expiry was rewritten")
            self._hold(valid == (now.until(expires) > 0), name, "expired on the wall clock")
            if not valid:
                seen.told_expired = lease.generation
        dead = state is not State.REJECTED and worker.next_attempt() is None
        self._hold(not dead, name, "nobody will ask again")
        troubled = state in (State.FAILING, State.REJECTED) or record.failures > 0
        self._hold(not troubled or record.last_error is not None, name, "trouble without a reason")

    async def _inspect(self) -> None:
        """P6: nothing expires unnoticed for more than 15 s; files hold what is served."""
        while True:
            await anyio.sleep(self.draw.uniform(0.5, 1.5) * HOUR)
            now = self.clock.instant()
            for name, entry in self.world.supervisor.entries.items():
                lease, seen = entry.lease, self.seen.get(name, Seen())
                if lease is None:
                    continue
                overdue = -now.until(lease.token.expires_at)
                self._hold(overdue < 15 or seen.told_expired == lease.generation, name, "it expired unnoticed")
                if entry.status().sinks and lease.token.is_valid(now):
                    held = self.world.disk.get("f" + name[1:])
                    self._hold(held == lease.token.value.reveal(), name, "its file holds another token")

    # ------------------------------------------------------------ what must hold over all requests

    def _count(self) -> None:
        """P3, for each provider's own upstream."""
        for n in range(self.size):
            upstream, name = self.world.upstreams[f"host-{n}"], f"p{n}"
            calls, good = [call.boot for call in upstream.calls], {call.boot for call in upstream.answered}
            for before, after in pairwise(calls):
                least = 1.0 if before in good else 5.0
                self._hold(after - before >= least, name, f"asked again after {after - before:.2f} s")
            for success, outage in _outages(calls, good):
                self._judge(name, outage, ended=None if success is None else success + upstream.life)
            # A success each 0.7 lives at most, but for readers, persons, restarts with nothing valid, and clocks.
            extra = 5 * self.steps + self.days * (24 * 15 if name in HAMMERED else 5)
            most = self.days * DAY / (0.7 * upstream.life) + extra
            self._hold(len(good) <= most, name, f"{len(good)} tokens where {most:.0f} would do")

    def _judge(self, name: str, outage: list[float], *, ended: float | None) -> None:
        """Hold one outage against its budgets; ``ended`` is when the last token did."""
        first = [call for call in outage if call - outage[0] < HOUR]
        self._hold(len(first) <= 80, name, f"{len(first)} requests in an outage's first hour")
        later = outage[len(first) :]
        around = [call for call in later if ended is not None and abs(call - ended) < HOUR]
        self._hold(_busiest(around) <= 40, name, f"{_busiest(around)} requests in an hour around the expiry")
        for side in (True, False):
            rest = [call for call in later if call not in around and (ended is None or (call < ended) is side)]
            self._hold(_busiest(rest) <= 20, name, f"{_busiest(rest)} requests in an hour of an outage")

    def _hold(self, condition: bool, name: str, what: str) -> None:
        if not condition:
            elapsed = self.clock.instant().boot - 1000
            self.broken.append(f"seed {self.seed}, day {elapsed / DAY:.3f}: {name}: {what}")


def _outages(calls: list[float], good: set[float]) -> Iterator[tuple[float | None, list[float]]]:
    """Runs of failures, each with the success before it."""
    success: float | None = None
    run: list[float] = []
    for call in calls:
        if call not in good:
            run.append(call)
            continue
        if run:
            yield success, run
        success, run = call, []
    if run:
        yield success, run


def _busiest(calls: list[float]) -> int:
    """Calls in the busiest hour."""
    first = most = 0
    for n, call in enumerate(calls):
        while call - calls[first] >= HOUR:
            first += 1
        most = max(most, n - first + 1)
    return most


def simulate(*, seed: int, days: float, size: int) -> Simulation:
    """Run one and return it, with everything that it saw."""
    runs: list[Simulation] = []

    async def main(clock: VirtualClock) -> None:
        simulation = Simulation(clock, seed=seed, days=days, size=size)
        runs.append(simulation)
        await simulation.run()

    run_virtually(main)
    return runs[0]
