"""One seed, from its beginning to its end: some lives of the daemon, then good weather, and all must be well again."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import anyio
import orjson
import structlog

from tests.simulation.course import Course
from tests.simulation.machine import HOUR, SimulatedLoop, run_loop
from tests.simulation.process import Crashes, Process
from tests.simulation.world import World
from tokend.engine.records.codec import dump
from tokend.values.errors import ReaderError
from tokend.values.status import State

EVENTS, TURNS = 50, 2000


@dataclass(frozen=True)
class Result:
    """What became of one seed: ``broken`` lists what no promise allows, ``digest`` is the hash of all that happened."""

    seed: int
    broken: tuple[str, ...]
    digest: str
    requests: int
    seconds: float
    turns: int
    trace: tuple[str, ...]


def simulate(seed: int, *, keep_trace: bool = False, events: int = EVENTS, turns: int = TURNS) -> Result:
    """Run one seed. The same seed is the same course of things, in any process."""
    results: list[Result] = []

    async def main(loop: SimulatedLoop) -> None:
        world = World(loop, seed, keep_trace=keep_trace)
        with bugs_seen() as bugs:
            await _live(world, Course(world, events=events, turns=turns))
        broken = (*world.watch.broken, *(f"a bug: {bug}" for bug in bugs.seen))
        lines = tuple(world.trace.lines)
        machine = world.machine
        results.append(Result(seed, broken, world.trace.digest, world.asked, machine.elapsed, loop.turns, lines))

    run_loop(main)
    return results[0]


async def _live(world: World, course: Course) -> None:
    while not course.is_over:
        await _one_life(world, course.happen)
        await course.between()
    _heal(world)
    await _one_life(world, lambda process: _recover(world, process))


async def _one_life(world: World, alongside: Any) -> None:
    process = Process(world)
    world.began_at = world.machine.elapsed
    for seen in world.watch.seen.values():
        seen.record = seen.before = None
    world.trace.add("a process begins")
    await process.run(world.rebuild(), alongside)
    shown = {name: _essence(dump(name, record, "")) for name, record in process.store.records.items()}
    kept = {name: _essence(content) for name, content in world.machine.disk.content.items()}
    lost = {name for name, essence in shown.items() if kept.get(name) != essence}
    world.trace.add(f"the process is over; not on its disk: {', '.join(sorted(lost)) or 'nothing'}")
    _excuse(world, lost)


def _essence(content: bytes) -> Any:
    """What of a record must not be forgotten, times by the wall; None where it is torn."""
    with suppress(ValueError):
        record = orjson.loads(content)
        times = [record[key] and record[key][0] for key in ("last_attempt", "host_pause")]
        return record["generation"], record["failures"], list(record.get("forgotten", {})), *times
    return None


def _excuse(world: World, lost: set[str]) -> None:
    """What the disk lost, and what the process learned at the moment of its death, is nobody's fault."""
    pauses_lost = False
    for name in lost:
        world.watch.generations.pop(name, None)  # also of a name that nobody has now
    for mark, ledger in world.watch.ledgers.items():
        if world.names.get(mark) in lost:
            world.watch.forget(mark)
            pauses_lost = True
        elif ledger.unsettled:
            ledger.died()
            pauses_lost = True
    machine = world.machine
    booted_wrong = abs(machine.wall_error) > 0.5 and machine.upset_at == machine.elapsed
    if pauses_lost or booted_wrong:
        for host in world.hosts.values():
            host.paused_until = -1.0


def _heal(world: World) -> None:
    """All faults end: clocks are set, disks work, hosts answer and know every secret."""
    machine = world.machine
    machine.set_right()
    machine.disk.broken = machine.disk.files_broken = None
    machine.disk.lying = False
    world.slow.clear()
    for host in world.hosts.values():
        host.weather, host.skew = "fine", 0.0
    for spec in world.specs.values():
        if world.secrets[spec.secret] is None:
            world.secrets[spec.secret] = "fake-secret-anew"
        world.accept(spec)


async def _recover(world: World, process: Process) -> None:
    """P2, P8: after the longest pause that anybody may ask for, everybody has a valid token, in its files."""
    await anyio.sleep(min(60.0, 2 * max(host.life for host in world.hosts.values())))
    await _resume_rejected(world, process)
    pause = max(2.0, min(60.0, *(host.life / 7 for host in world.hosts.values()), 60.0))
    with anyio.move_on_after(HOUR + 700):
        while not all(entry.is_settled() for entry in process.supervisor.entries.values()):
            await anyio.sleep(pause)
            await _resume_rejected(world, process)
    world.inspection.look(process)
    for name, entry in process.supervisor.entries.items():
        mark = entry.settings.headers["X-Spec"]
        # Three tables of one TT key, which is asked once in ten seconds, cannot all hold such a token.
        if not entry.is_on_demand and world.life(world.specs[mark]) > 30:
            status = entry.status()
            world.watch.hold(status.valid, mark, f"an hour of good weather did not bring {name} a token")
    process.over.set()


async def _resume_rejected(world: World, process: Process) -> None:
    """Do what a person does; it is refused while a host's pause is longer than a person waits, and repeated."""
    for name, entry in process.supervisor.entries.items():
        if entry.status().state is State.REJECTED:
            mark = entry.settings.headers["X-Spec"]
            world.watch.ledger(mark).requested(world.machine.elapsed)
            if not entry.is_on_demand:
                try:
                    await process.supervisor.refresh(name, if_generation=None, reason="", admin=True)
                except ReaderError:
                    world.trace.add(f"{mark} could not be resumed yet")


@contextmanager
def bugs_seen() -> Iterator[Crashes]:
    """Collect what tokend logs as a bug, until the end of the block."""
    before, crashes = structlog.get_config(), Crashes()
    structlog.configure(processors=[crashes], wrapper_class=structlog.make_filtering_bound_logger(40))
    try:
        yield crashes
    finally:
        structlog.configure(**before)
