"""The course of things: what happens to a simulated host, when, and how often, all drawn from its seed.

Swarm testing: each seed switches a random part of all that can go wrong on, each with a rate of its own. So some
worlds see one fault again and again, some rare pairs, and some everything.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import exp, log
from typing import Any

import anyio
import anyio.lowlevel

from tests.simulation.hosts import WEATHERS
from tests.simulation.kinds import ASKED
from tests.simulation.machine import DAY, HOUR, NO_SPACE
from tests.simulation.process import Process
from tests.simulation.reloads import Reloads
from tests.simulation.watch import CALLS
from tests.simulation.world import World
from tokend.values.errors import InvalidParametersError, ReaderError

STEPS = (-DAY, -6 * HOUR, -90.0, -3.0, 3.0, 90.0, 6 * HOUR, DAY)
YEARS = 365.25 * DAY


class Course:
    """Let things happen to a simulated host until its events or its work are used up."""

    def __init__(self, world: World, *, events: int, turns: int) -> None:
        self._context = world
        self._machine = world.machine
        self._draw = world.draw
        self._left = events
        self._turns = turns
        self._reloads = Reloads(world)
        self._readers = 0
        self._down_for = 0.0
        every: dict[str, Callable[[Process], Awaitable[None]]] = {
            name.removeprefix("_do_"): getattr(self, name) for name in sorted(dir(self)) if name.startswith("_do_")
        }
        share = self._draw.choice([0.15, 0.3, 0.5, 0.8])
        names = [name for name in every if self._draw.random() < share] or ["weather"]
        self._actions = [every[name] for name in names]
        self._rates = [self._draw.uniform(0.1, 1.0) ** 2 for _ in names]
        # Between a fiftieth of a life and ten of them, mostly below one.
        life = world.draw.choice(sorted(host.life for host in world.hosts.values()))
        self._pause = life * exp(self._draw.uniform(log(0.02), log(3.0)))
        world.trace.add(f"happens: {', '.join(names)}")

    @property
    def is_over(self) -> bool:
        """Return whether nothing more is to happen."""
        return self._left <= 0 or self._machine.loop.turns > self._turns

    async def happen(self, process: Process) -> None:
        """Beside one process: one thing after the other."""
        async with anyio.create_task_group() as self._beside:
            while not self.is_over:
                await self._wait(self._draw.expovariate(1.0 / self._pause))
                self._context.inspection.look(process)
                (action,) = self._draw.choices(self._actions, self._rates)
                self._context.trace.add(action.__name__.removeprefix("_do_"))
                self._left -= 1
                await action(process)
                self._context.inspection.look(process)
            process.over.set()

    async def between(self) -> None:
        """Between two processes."""
        await anyio.sleep(self._down_for)
        self._down_for = 0.0

    # ------------------------------------------------------------ upstreams

    async def _do_weather(self, process: Process) -> None:
        host = self._some_host()
        host.weather = self._draw.choice(WEATHERS) if host.weather == "fine" else "fine"
        host.share = self._draw.choice([1.0, 1.0, 0.5, 0.1])
        if host.weather != "fine":
            host.trouble_at = self._machine.elapsed
        self._context.trace.add(f"{host.name} is {host.weather}")

    async def _do_short_outage(self, process: Process) -> None:
        host = self._some_host()
        before, host.weather, host.share = host.weather, self._draw.choice(WEATHERS), 1.0
        await self._wait(self._draw.uniform(0, self._pause))
        host.weather = before

    async def _do_long_outage(self, process: Process) -> None:
        host = self._some_host()
        before, host.weather, host.share = host.weather, self._draw.choice(WEATHERS[:10]), 1.0
        await self._wait(self._draw.choice([2, 5, 30]) * HOUR)
        host.weather = before

    async def _do_revoke(self, process: Process) -> None:
        """The upstream forgets a secret; the person learns of it later, or the upstream finds it again."""
        if (mark := self._some_held()) is None:
            return
        spec = self._context.specs[mark]
        if spec.kind in ("projectx", "tt"):
            self._context.hosts[spec.host].keys[spec.user] = "another"
            await self._wait(self._draw.uniform(0, 3 * self._pause))
            if self._draw.random() < 0.5:
                self._context.accept(spec)
                self._later(self._resume(process, mark))
            else:
                await self._reloads.rotate(process, mark, accepted=True)

    async def _do_skew(self, process: Process) -> None:
        host = self._some_host()
        host.skew = self._draw.choice([0.0, 3.0, -90.0, 4000.0, -DAY])
        host.trouble_at = self._machine.elapsed

    # ------------------------------------------------------------ time

    async def _do_step(self, process: Process) -> None:
        step = self._draw.choice(STEPS)
        self._machine.step(step)
        if self._draw.random() < 0.8:
            await self._wait(self._draw.choice([5.0, 20.0, HOUR, self._pause]))
            self._machine.step(-step)

    async def _do_flap(self, process: Process) -> None:
        step = self._draw.choice(STEPS)
        for _ in range(self._draw.randint(2, 12)):
            self._machine.step(step)
            await self._wait(self._draw.uniform(1, 30))
            self._machine.step(-step)
            await self._wait(self._draw.uniform(1, 30))

    async def _do_suspend(self, process: Process) -> None:
        self._machine.suspend(self._draw.choice([0.5, 20.0, HOUR, 8 * HOUR, self._pause]) * self._draw.random())

    async def _do_freeze(self, process: Process) -> None:
        self._machine.freeze(self._draw.choice([1.0, 20.0, 600.0]) * self._draw.random())

    # ------------------------------------------------------------ the process

    async def _do_kill(self, process: Process) -> None:
        """In the middle of something, or at once."""
        self._down_for = self._draw.choice([0.0, 0.1, 1.0, 5.0, self._pause])
        if self._draw.random() < 0.7:
            process.deadly_in = self._draw.randint(1, 12)
        else:
            process.kill()
            await anyio.lowlevel.checkpoint()

    async def _do_stop(self, process: Process) -> None:
        self._down_for = self._draw.choice([0.0, 1.0, self._pause])
        process.over.set()
        await anyio.lowlevel.checkpoint()

    async def _do_crash_loop(self, process: Process) -> None:
        """What starts and dies again and again must not ask again and again."""
        self._left += 1 if self._draw.random() < 0.8 else 0
        self._down_for = self._draw.uniform(0.1, 2.0)
        await self._wait(self._draw.uniform(0, 3.0))
        process.kill()
        await anyio.lowlevel.checkpoint()

    async def _do_reboot(self, process: Process) -> None:
        self._down_for = self._draw.uniform(5, 120)
        process.kill()
        self._machine.reboot(power_lost=self._draw.random() < 0.5)
        right = self._machine.wall_error
        wrong = self._draw.choice([0.0, 0.0, 0.0, -56 * YEARS, 73 * YEARS, -DAY, DAY, 600.0, -600.0])
        if wrong:
            self._machine.step(wrong)
            self._machine.step_later(self._draw.uniform(1, 300), -wrong)
        self._context.trace.add(f"the clock is wrong by {wrong + right:.0f} s")
        await anyio.lowlevel.checkpoint()

    # ------------------------------------------------------------ the disk

    async def _do_full_disk(self, process: Process) -> None:
        disk, which = self._machine.disk, self._draw.choice(["state", "files", "both"])
        why = self._draw.choice([NO_SPACE, "input/output error"])
        disk.broken = why if which != "files" else None
        disk.files_broken = why if which != "state" else None
        disk.trouble_at = self._machine.elapsed
        await self._wait(self._draw.uniform(0, min(self._pause, HOUR)))
        disk.broken = disk.files_broken = None
        disk.trouble_at = self._machine.elapsed

    async def _do_lying_disk(self, process: Process) -> None:
        self._machine.disk.lying = not self._machine.disk.lying

    async def _do_slow_disk(self, process: Process) -> None:
        pool = self._draw.choice(["state", "files"])
        longest = self._draw.choice([0.1, 5.0, 15.0, 60.0])
        self._context.slow[pool] = (0.0, 0.0) if pool in self._context.slow else (self._draw.uniform(0.1, 1.0), longest)

    # ------------------------------------------------------------ persons

    async def _do_reload(self, process: Process) -> None:
        await self._reloads.edit(process)

    async def _do_rotate(self, process: Process) -> None:
        if (mark := self._some_held()) is not None:
            await self._reloads.rotate(process, mark, accepted=self._draw.random() < 0.8)

    async def _do_hide_secret(self, process: Process) -> None:
        if (mark := self._some_held()) is not None:
            await self._reloads.hide_secret(process, mark)

    async def _do_forget(self, process: Process) -> None:
        if (mark := self._some_held()) is not None:
            self._context.watch.ledger(mark).requested(self._machine.elapsed)
            self._later(self._forget(process, mark))

    async def _forget(self, process: Process, mark: str) -> None:
        seen, name = self._context.watch.seen[mark], self._context.names[mark]
        seen.may_lose = seen.forgetting = True
        lease = process.supervisor.entries[name].lease
        try:
            await process.supervisor.forget(name)
            if lease is not None and not process.dead:
                seen.forgotten.add(lease.token.value.reveal())
        finally:
            seen.forgetting = False

    async def _do_resume(self, process: Process) -> None:
        if (mark := self._some_held()) is not None:
            self._later(self._resume(process, mark))

    async def _resume(self, process: Process, mark: str) -> None:
        if mark in self._context.names:
            self._context.watch.ledger(mark).requested(self._machine.elapsed)
            await process.supervisor.refresh(self._context.names[mark], if_generation=None, reason="", admin=True)

    # ------------------------------------------------------------ readers

    async def _do_hammer(self, process: Process) -> None:
        """Programs that report every token as refused, many at once, for a while."""
        if (mark := self._some_held()) is None or self._readers > 3:
            return
        for _ in range(self._draw.choice([1, 5])):
            times, pause = self._draw.choice([1, 20, 60]), self._draw.choice([0.5, 7.0, 60.0])
            self._later(self._hammer(process, mark, times, pause))

    async def _hammer(self, process: Process, mark: str, times: int, pause: float) -> None:
        self._readers += 1
        try:
            for _ in range(times):
                name = self._context.names.get(mark)
                entry = process.supervisor.entries.get(name or "")
                if entry is None or name is None:
                    return
                lease, now = entry.lease, self._machine.elapsed
                self._context.watch.ledger(mark).wished(now)
                with suppress(ReaderError):
                    if self._draw.random() < 0.3:
                        await process.supervisor.fresh(name, self._draw.choice([1.0, 1e9, 60.0]), admin=False)
                    else:
                        generation = None if lease is None else lease.generation
                        await process.supervisor.refresh(name, if_generation=generation, reason="", admin=False)
                self._context.watch.ledger(mark).wished(self._machine.elapsed)
                await anyio.sleep(pause)
        finally:
            self._readers -= 1

    async def _do_issue(self, process: Process) -> None:
        for mark, name in self._context.names.items():
            if self._context.specs[mark].kind == "auth-token" and self._readers < 20:
                for _ in range(self._draw.choice([1, 3, 10])):
                    self._later(self._issue(process, name))

    async def _issue(self, process: Process, name: str) -> None:
        CALLS.set([])
        self._readers += 1
        try:
            with suppress(InvalidParametersError):
                await process.supervisor.issue(name, ASKED)
        finally:
            self._readers -= 1

    # ------------------------------------------------------------ helpers

    async def _wait(self, seconds: float) -> None:
        """Let time pass, but not when the simulation's work is used up."""
        shortest = min(host.life for host in self._context.hosts.values())
        while seconds > 0 and not self.is_over:
            slice_ = min(seconds, 50 * shortest, DAY)
            await anyio.sleep(slice_)
            seconds -= slice_

    def _later(self, awaitable: Awaitable[Any]) -> None:
        async def quietly() -> None:
            with suppress(ReaderError):
                await awaitable

        self._beside.start_soon(quietly)

    def _some_host(self) -> Any:
        return self._context.hosts[self._draw.choice(sorted(self._context.hosts))]

    def _some_held(self) -> str | None:
        held = self._context.held()
        return self._draw.choice(held) if held else None
