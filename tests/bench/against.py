"""Two checkouts measured in turns on one machine, as ratios: ``python -m tests.bench.run --against PATH``.

Both run with the packages of this environment. Whatever else runs on the machine disturbs both alike; of repeated runs
the best one counts, because other programs only ever slow.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.bench import crowd, stage
from tests.bench.commands import Cost, get_argv, run_cost
from tests.bench.figures import table
from tests.bench.loads import Load, Server, best, in_turns, reference
from tests.bench.scale import Running, await_ready, raise_descriptor_limit, upstream

LOADS = [("keepalive", 1), ("keepalive", 8), ("keepalive", 64), ("connect", 8), ("connect", 64)]
IDLE_SECONDS = 20.0


@dataclass(frozen=True)
class Tree:
    """A checkout and the directory in which its daemon runs."""

    path: Path
    directory: Path

    @property
    def socket(self) -> Path:
        return self.directory / stage.SOCKET

    def prepare(self) -> None:
        """Compile the checkout, as an installed one is. Raises `BenchError` unless Python imports tokend from it."""
        subprocess.run([sys.executable, "-m", "compileall", "-q", str(self.path / "tokend")], check=True)
        code = "import tokend; print(tokend.__file__)"
        argv = [sys.executable, "-c", code]
        found = subprocess.run(
            argv, check=True, capture_output=True, text=True, env=stage.environ_of(self.path), cwd=self.directory
        )
        if not Path(found.stdout.strip()).is_relative_to(self.path):
            raise stage.BenchError(f"{self.path}: Python imports {found.stdout.strip()} instead")


@dataclass
class Comparison:
    """Rows of figures: name, old, new, ratio of new to old."""

    old: Tree
    new: Tree
    rounds: int
    seconds: float
    rows: list[tuple[str, str, str, str]] = field(default_factory=list)

    @property
    def trees(self) -> tuple[Tree, Tree]:
        return self.old, self.new

    def few(self, directory: Path) -> str:
        """Measure daemons with five providers; returns Markdown."""
        stage.build(directory)
        with stage.sandbox(directory) as url:
            for tree in self.trees:
                stage.configure(tree.directory, url)
                with stage.daemon(tree.directory, tree.path) as process:
                    stage.wait_for(process, partial(stage.all_valid, tree.socket))
                    time.sleep(1)
        # The sandbox has ended: each answer from now on comes from the state directory.
        self._starts()
        self._running(directory)
        return self.markdown("5 providers")

    def many(self, directory: Path, count: int) -> str:
        """Measure daemons with ``count`` providers; returns Markdown."""
        raise_descriptor_limit()
        with upstream(directory) as url:
            for tree in self.trees:
                crowd.configure(tree.directory, url, count=count, sinks=count // 5)
                first = Running(tree.directory, tree.path)
                await_ready(first)
                first.end()
            found = [self._crowd(tree) for _ in range(self.rounds) for tree in self.trees]
        for index, (name, unit) in enumerate(CROWD):
            old, new = (min(one[index] for one in found[start::2]) for start in (0, 1))
            self.note(name, old, new, unit)
        return self.markdown(f"{count:,} providers")

    def note(self, name: str, old: float, new: float, unit: str) -> None:
        """Add a row."""
        digits = 0 if max(old, new) >= 1000 else 1 if max(old, new) >= 10 else 2
        shown = [f"{value:,.{digits}f} {unit}".strip() for value in (old, new)]
        self.rows.append((name, shown[0], shown[1], f"{new / old:.2f}"))
        sys.stderr.write(" | ".join(self.rows[-1]) + "\n")

    def markdown(self, title: str) -> str:
        """Return the rows as a table, and begin a new one."""
        rows, self.rows = self.rows, []
        return table((title, "old", "new", "new / old"), rows)

    def _starts(self) -> None:
        starts = [[first_answer(tree) for tree in self.trees] for _ in range(5 * self.rounds)]
        for position, name, middle in (
            (0, "start to the first answer, median", statistics.median),
            (0, "start to the first answer, best", min),
            (1, "processor time of that, best", min),
        ):
            old, new = (middle([run[side][position] for run in starts]) for side in (0, 1))
            self.note(name, 1000 * old, 1000 * new, "ms")

    def _running(self, directory: Path) -> None:
        with ExitStack() as stack:
            processes = [stack.enter_context(stage.daemon(tree.directory, tree.path)) for tree in self.trees]
            for tree, process in zip(self.trees, processes, strict=True):
                stage.wait_for(process, partial(stage.all_valid, tree.socket))
            time.sleep(2)
            old, new = (stage.resident_megabytes(process.pid) for process in processes)
            self.note("resident at rest", old, new, "MB")
            self._reads(directory, [process.pid for process in processes])
            old, new = (stage.resident_megabytes(process.pid) for process in processes)
            self.note("resident after the reads", old, new, "MB")
            self._commands()

    def _reads(self, directory: Path, pids: Sequence[int]) -> None:
        servers = [
            Server(pid, tree.socket, f"/v1/tokens/{stage.READ}") for pid, tree in zip(pids, self.trees, strict=True)
        ]
        for pid in pids:
            stage.pin(pid, 1)
        found = stage.answer(self.new.socket, servers[1].target)
        if found is None:
            raise stage.BenchError("the daemon does not answer any more")
        with reference(directory, len(found[1])) as other:
            for mode, connections in LOADS:
                runs = in_turns(
                    directory, [*servers, other], connections, rounds=self.rounds, seconds=self.seconds, mode=mode
                )
                self._note_loads(f"{connections} connections, {mode}", runs)

    def _note_loads(self, what: str, runs: Sequence[Sequence[Load]]) -> None:
        old, new, c = (best(one) for one in runs)
        self.note(f"{what}: reads/s, C server = 1", old.rate / c.rate, new.rate / c.rate, "")
        lowest = [min(load.p99 for load in one) for one in runs]
        self.note(f"{what}: p99", lowest[0], lowest[1], "µs")
        spent = [min(load.cpu for load in one) for one in runs]
        self.note(f"{what}: processor time, C server = 1", spent[0] / spent[2], spent[1] / spent[2], "")

    def _commands(self) -> None:
        costs = [
            [run_cost(get_argv(tree.socket, "raw"), stage.environ_of(tree.path)) for tree in self.trees]
            for _ in range(20 * self.rounds)
        ]
        kinds: dict[str, Callable[[Cost], float]] = {
            "wall time": lambda one: one.wall,
            "processor time": lambda one: one.cpu,
        }
        for name, cost in kinds.items():
            old, new = (statistics.median(cost(run[side]) for run in costs) for side in (0, 1))
            self.note(f"`tokend get {stage.READ}`, median {name}", 1000 * old, 1000 * new, "ms")

    def _crowd(self, tree: Tree) -> Sequence[float]:
        daemon = Running(tree.directory, tree.path)
        daemon.wait_until_quiet()
        resident = daemon.resident()
        idle = daemon.spent(lambda: time.sleep(IDLE_SECONDS))
        overview = daemon.spent(lambda: daemon.get("/v1/status"))
        reload = daemon.spent(daemon.reload)
        found = daemon.start.wall, daemon.start.cpu, resident, 100 * idle.cpu / idle.wall, overview.cpu, reload.cpu
        daemon.end()
        return found


CROWD = (
    ("start to READY", "s"),
    ("processor time of that", "s"),
    ("resident at rest", "MB"),
    ("idle", "% of a core"),
    ("processor time of GET /v1/status", "s"),
    ("processor time of a reload without a change", "s"),
)


def first_answer(tree: Tree) -> tuple[float, float]:
    """Return the seconds from starting the daemon to its first answer with a token: wall clock, processor time."""
    target = f"/v1/tokens/{stage.READ}"

    def answered() -> bool:
        found = stage.answer(tree.socket, target)
        return found is not None and found[0] == 200

    started = time.perf_counter()
    with stage.daemon(tree.directory, tree.path) as process:
        stage.wait_for(process, answered, pause_seconds=0.001)
        return time.perf_counter() - started, stage.cpu_seconds(process.pid)


def compare(directory: Path, old: Path, new: Path, *, rounds: int, seconds: float, count: int) -> str:
    """Measure both checkouts; returns Markdown. ``count`` is the size of the large daemon in providers; 0: none."""

    def comparison(name: str) -> Comparison:
        trees = [Tree(path.resolve(), directory / name / side) for path, side in ((old, "old"), (new, "new"))]
        for tree in trees:
            tree.directory.mkdir(parents=True)
            tree.prepare()
        return Comparison(trees[0], trees[1], rounds, seconds)

    parts = [f"Load average before: {os.getloadavg()[0]:.2f}.", comparison("few").few(directory)]
    if count:
        parts.append(comparison("many").many(directory, count))
    return "\n\n".join(parts) + "\n"
