"""The machine under the daemon, simulated: its clocks and its disk, which outlive the daemon's processes."""

import asyncio
import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.virtual import EPOCH, VirtualLoop
from tokend.machine.clock import TICK_SECONDS, SystemClock
from tokend.state.directory import SUFFIX, Salted
from tokend.values.errors import StoreError
from tokend.values.instant import Instant

NO_SPACE = "no space left on device"
HOUR = 3600.0
DAY = 24 * HOUR
MONTH = 30 * DAY


class SimulatedLoop(VirtualLoop):
    """A virtual loop that nothing outside can wake: no system call, and its iterations are counted."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = 0
        self.jumping.select = self._jump  # type: ignore[method-assign]  # a loop of its own

    def _jump(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise RuntimeError("everybody waits for something that no timer brings")
        self.turns += 1
        if timeout > 0:
            self.jumping.now += timeout
        return []


@dataclass
class Machine:
    """Time as it is (`elapsed`), as this machine reports it, and what is on its disk.

    ``upset_at`` is when something last happened that may excuse a daemon for being late: a suspend, a freeze, a step.
    """

    loop: SimulatedLoop
    draw: random.Random
    boot_id: str = "boot-0"
    booted_at: float = -1000.0
    wall_error: float = 0.0
    asleep: float = 0.0
    upset_at: float = -1.0
    clock: "SimulatedClock | None" = None
    pending_steps: list[asyncio.TimerHandle] = field(default_factory=list)
    disk: "Disk" = field(init=False)

    def __post_init__(self) -> None:
        self.disk = Disk(self)

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning: the truth."""
        return self.loop.jumping.now + self.asleep

    @property
    def awake(self) -> float:
        """Seconds that this machine was awake."""
        return self.loop.jumping.now

    def instant(self) -> Instant:
        """Now, as a process sees it."""
        elapsed = self.elapsed
        return Instant(EPOCH + timedelta(seconds=elapsed + self.wall_error), elapsed - self.booted_at)

    def truth(self, moment: Instant) -> float:
        """When an instant's boot time is (or was)."""
        return moment.boot + self.booted_at

    def date(self, elapsed: float, skew: float) -> datetime:
        """What a server with such a clock calls a moment."""
        return EPOCH + timedelta(seconds=elapsed + skew)

    # ------------------------------------------------------------ what happens to it

    def step(self, seconds: float) -> None:
        """NTP or a person sets the wall clock."""
        self.wall_error += seconds
        self._upset()

    def step_later(self, delay: float, seconds: float) -> None:
        """NTP sets it as soon as there is a network."""
        self.pending_steps.append(self.loop.call_later(delay, self.step, seconds))

    def set_right(self) -> None:
        """The wall clock is right, and stays so."""
        for step in self.pending_steps:
            step.cancel()
        self.step(-self.wall_error)

    def suspend(self, seconds: float) -> None:
        """The machine sleeps: timers do not run on."""
        self.asleep += seconds
        self._upset()

    def freeze(self, seconds: float) -> None:
        """Only the process stands still (SIGSTOP): all its timers are overdue at once."""
        self.loop.jumping.now += seconds
        self._upset()

    def reboot(self, *, power_lost: bool) -> None:
        """A new boot: the boot line starts again, and what was not durable may be gone."""
        self.boot_id += "'"
        self.booted_at = self.elapsed
        if power_lost:
            self.disk.lose_power()
        self._upset()

    def _upset(self) -> None:
        self.upset_at = self.elapsed
        if self.clock is not None:
            self.clock.upset()


class SimulatedClock(SystemClock):
    """The real `SystemClock` on the machine's time lines; it belongs to one process."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        super().__init__()
        self._ticking = False
        machine.clock = self

    def instant(self) -> Instant:
        self._readings.note(self._machine.wall_error)
        return self._machine.instant()

    def upset(self) -> None:
        """Tick once more: `watch` would, every few seconds, and see nothing in all those without an upset."""
        if not self._ticking:
            self._ticking = True
            self._machine.loop.call_later(self._machine.draw.uniform(0, TICK_SECONDS), self._tick)

    def _tick(self) -> None:
        self._ticking = False
        if self._readings.look(*self._lines()):
            self.wake_all()

    def _lines(self) -> tuple[float, float]:
        return self._machine.wall_error, -self._machine.asleep

    def _timer_seconds(self, until: Instant | None) -> float:
        if until is None:
            return MONTH
        now = self.instant()
        # The real one trusts no timer for more than an hour: here that would be most of the work.
        left = min(now.until(until), (until.wall - now.wall).total_seconds(), MONTH)
        # Real time passes while one looks at it; a virtual one needs a grain, or rounding would stop it.
        return max(0.001, left)


class Disk(Salted):
    """`store.State`, and files. ``broken`` says what each write of the state fails with, ``lying`` that fsync lies."""

    _salt = b"salt"

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.content: dict[str, bytes] = {}
        self._durable: dict[str, bytes] = {}
        self.marked: dict[str, bytes] = {}
        self.unopened: dict[str, str] = {}
        self.unread: dict[str, Path] = {}
        self.broken: str | None = None
        self.lying = False
        self.reserved: set[str] = set()  # records with room for one more save on a full disk
        self.files_broken: str | None = None
        self.written: dict[str, str] = {}  # the sinks' files
        self.trouble_at = -1.0
        self.holding: list[Callable[[], None]] = []  # what the next call that touches it does first: hang

    def hold(self) -> None:
        """Hang, if it is this call's turn to."""
        if self.holding:
            self.holding.pop()()

    @property
    def boot_id(self) -> str:
        """The running boot."""
        return self._machine.boot_id

    def files(self) -> Iterator[tuple[Path, bytes]]:
        return iter([(Path(name + SUFFIX), content) for name, content in sorted(self.content.items())])

    def save(self, name: str, content: bytes, *, reserve: int = 0) -> None:
        self.hold()
        if self.broken is not None and not (name in self.reserved and self.broken == NO_SPACE):
            self.trouble_at = self._machine.elapsed
            raise StoreError(self.broken)
        self.reserved.discard(name)
        if reserve:
            self.reserved.add(name)
        self.content[name] = content
        if not self.lying:
            self._durable[name] = content

    def marks(self) -> Iterator[tuple[Path, bytes]]:
        return iter([(Path("sinks") / (name + SUFFIX), content) for name, content in sorted(self.marked.items())])

    def save_marks(self, name: str, content: bytes | None) -> None:
        self.hold()
        if self.broken is not None:
            self.trouble_at = self._machine.elapsed
            raise StoreError(self.broken)
        self.marked.pop(name, None)
        if content is not None:
            self.marked[name] = content

    def keep_unread(self, name: str) -> None:
        """Every record can be read."""

    def follow(self, old: str, new: str) -> None:
        """Every record opens."""

    def drop(self, name: str) -> None:
        """Every record opens."""

    def set_aside(self, path: Path) -> None:
        if path.parent.name == "sinks":
            self.marked.pop(path.stem, None)
            return
        self.content.pop(path.name.removesuffix(SUFFIX), None)

    def lose_power(self) -> None:
        """What a lying fsync had promised is old, or torn."""
        for name in sorted(self.content):
            kept = self._durable.get(name)
            if kept != self.content[name]:
                torn = self._machine.draw.random() < 0.5
                self.content[name] = self.content[name][: self._machine.draw.randrange(100)] if torn else kept or b""
        self._durable = dict(self.content)


@dataclass
class Trace:
    """Everything that happened, as a hash; as lines, too, where somebody wants to read them."""

    machine: Machine
    keep: bool
    lines: list[str] = field(default_factory=list)
    _hash: Any = field(default_factory=hashlib.sha256)

    def add(self, what: str) -> None:
        """One line."""
        line = f"{self.machine.elapsed:14.3f}  {what}"
        self._hash.update(line.encode())
        if self.keep:
            self.lines.append(line)

    @property
    def digest(self) -> str:
        """The hash of all lines."""
        return str(self._hash.hexdigest()[:16])


def run_loop(main: Any) -> None:
    """Run a coroutine function, which is given the loop, to its end on a new simulated loop."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        runner.run(main(runner.get_loop()))
