"""Measure tokend on this machine and print the figures as Markdown: ``python -m tests.bench.run``.

Nothing is asserted: figures are for people, and machines differ. What holds across machines are the ratios to the C
server, which is measured in turns with the daemon by the same load generator.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tests.bench import stage

README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- figures: written by run.py -->", "<!-- end of figures -->"
LOADS = (("keepalive", 1), ("keepalive", 8), ("keepalive", 64), ("connect", 1), ("connect", 8), ("connect", 64))
PACKAGES = ("tokend", "uvloop", "httptools", "orjson", "pydantic", "httpx", "anyio")


@dataclass(frozen=True)
class Load:
    """One run of the load generator; ``cpu`` is the generator's own, as a share of a core."""

    rate: float
    p50: float
    p99: float
    cpu: float


@dataclass(frozen=True)
class Sizes:
    """Resident memory of the daemon in MB."""

    after_login: float
    restarted: float
    after_load: float = 0.0


class Bench:
    """One measurement of everything, in one temporary directory."""

    def __init__(self, directory: Path, *, rounds: int, seconds: float) -> None:
        self.directory, self.rounds, self.seconds = directory, rounds, seconds
        self.socket = directory / "tokend.sock"
        self.sections: list[str] = []

    def run(self) -> str:
        """Measure; returns the Markdown."""
        machine = _machine()  # first: it tells how busy others are
        stage.build(self.directory)
        with stage.sandbox(self.directory) as url:
            stage.configure(self.directory, url)
            with stage.daemon(self.directory) as process:
                stage.wait_for(process, lambda: stage.all_valid(self.socket))
                time.sleep(1)  # the sinks are written, the loop is at rest
                after_login = stage.resident_megabytes(process.pid)
        # The sandbox is gone: what is answered from now on was persisted.
        starts = [self._start() for _ in range(max(5, self.rounds * 3))]
        with stage.daemon(self.directory) as process:
            stage.wait_for(process, lambda: stage.all_valid(self.socket))
            time.sleep(1)
            restarted = stage.resident_megabytes(process.pid)
            loads = self._loads(process.pid)
            after_load = stage.resident_megabytes(process.pid)
            commands = self._commands()
        parts = [
            machine,
            _start_table(starts, Sizes(after_login, restarted, after_load)),
            _load_table(loads),
            _command_table(commands),
        ]
        return "\n\n".join(parts) + "\n"

    def _start(self) -> float:
        """Seconds from starting the daemon to its first answer with a token."""
        target = f"/v1/tokens/{stage.READ}"

        def answered() -> bool:
            found = stage.answer(self.socket, target)
            return found is not None and found[0] == 200

        started = time.perf_counter()
        with stage.daemon(self.directory) as process:
            stage.wait_for(process, answered, pause_seconds=0.001)
            return time.perf_counter() - started

    def _loads(self, pid: int) -> dict[tuple[str, int], tuple[Load, Load]]:
        """For each kind of load the daemon's and the reference's run; the best of several taken in turns."""
        found = stage.answer(self.socket, f"/v1/tokens/{stage.READ}")
        if found is None:
            raise stage.BenchError("the daemon does not answer any more")
        reference = self.directory / "reference.sock"
        argv = (str(self.directory / "reference"), str(reference), str(len(found[1])))
        measured = {}
        with stage.running(self.directory, *argv) as process:
            stage.wait_for(process, reference.exists)
            for server in (pid, process.pid):
                _pin(server, 1)
            for mode, connections in LOADS:
                pairs = [
                    (self._load(self.socket, mode, connections), self._load(reference, mode, connections))
                    for _ in range(self.rounds)
                ]
                ours, theirs = zip(*pairs, strict=True)
                measured[mode, connections] = (_best(ours), _best(theirs))
        return measured

    def _load(self, path: Path, mode: str, connections: int) -> Load:
        argv = [str(self.directory / "load"), str(path), f"/v1/tokens/{stage.READ}"]
        argv += [str(connections), str(self.seconds), mode]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        _pin(process.pid, 0)
        line, _ = process.communicate(timeout=self.seconds + stage.PATIENCE_SECONDS)
        if process.returncode != 0:
            raise stage.BenchError(f"the load generator failed: {line.strip()}")
        words = line.split()
        rate, p50, p99, cpu = (
            float(words[words.index(name) + 1]) for name in ("requests/s", "p50_us", "p99_us", "cpu")
        )
        return Load(rate, p50, p99, cpu)

    def _commands(self) -> dict[str, float]:
        """Median wall seconds of commands, each run in turns with the others."""
        file = self.directory / "tt_token.json"
        console = Path(sys.executable).with_name("tokend")
        ours = [str(console)] if console.exists() else list(stage.TOKEND)
        commands = {
            f"`tokend get {stage.READ}`": [*ours, "get", stage.READ, "--socket", str(self.socket)],
            "`python -I -c pass`": [sys.executable, "-I", "-c", "pass"],
            "`cat` of the token's file": ["/bin/cat", str(file)],
        }
        seen: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(20 * self.rounds):
            for name, argv in commands.items():
                seen[name].append(_wall_seconds(argv))
        return {name: statistics.median(seconds) for name, seconds in seen.items()}


def _wall_seconds(argv: Sequence[str]) -> float:
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    started = time.perf_counter()
    _, status = os.waitpid(os.posix_spawn(argv[0], argv, os.environ, file_actions=quiet), 0)
    seconds = time.perf_counter() - started
    if status != 0:
        raise stage.BenchError(f"{argv[0]} ended with {os.waitstatus_to_exitcode(status)}")
    return seconds


def _pin(pid: int, index: int) -> None:
    """Keep server and load off each other's core, where there are two: the scheduler's moods are no figures."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(pid, {cores[index]})


def _best(loads: Sequence[Load]) -> Load:
    # Whatever else runs on the machine only ever slows; the best run has least of it.
    return max(loads, key=lambda load: load.rate)


def _machine() -> str:
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    cores, busy = len(os.sched_getaffinity(0)), os.getloadavg()[0]  # of the last minute
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return _table(
        ("machine", ""),
        [
            ("processor", f"{model}, {cores} cores"),
            ("kernel", f"{platform.system()} {platform.release()}"),
            ("python", f"{platform.python_implementation()} {platform.python_version()}"),
            ("packages", packages),
            ("load average before", f"{busy:.2f}"),
        ],
    )


def _start_table(starts: Sequence[float], sizes: Sizes) -> str:
    milliseconds = sorted(1000 * seconds for seconds in starts)
    spread = f"{statistics.median(milliseconds):.0f} ms ({milliseconds[0]:.0f} to {milliseconds[-1]:.0f})"
    return _table(
        ("start and size, 5 providers", "seen", "aim"),
        [
            (f"start to the first answer, tokens persisted (median of {len(starts)})", spread, "350 ms"),
            ("resident, at rest after that", f"{sizes.restarted:.1f} MB", "55 MB"),
            ("resident, at rest after a first start with its logins", f"{sizes.after_login:.1f} MB", "55 MB"),
            ("resident, after all the reads below", f"{sizes.after_load:.1f} MB", ""),
        ],
    )


def _load_table(loads: dict[tuple[str, int], tuple[Load, Load]]) -> str:
    rows = []
    for (mode, connections), (ours, theirs) in loads.items():
        name = f"{connections} keep-alive" if mode == "keepalive" else f"{connections}, one request per connection"
        rows.append(
            (
                name,
                f"{ours.rate:,.0f}",
                f"{ours.p50:.0f} / {ours.p99:.0f}",
                f"{theirs.rate:,.0f}",
                f"{theirs.p50:.0f} / {theirs.p99:.0f}",
                f"{ours.rate / theirs.rate:.2f}",
                f"{1 / ours.cpu:.1f} / {1 / theirs.cpu:.1f}",
            )
        )
    head = ("connections", "reads/s", "p50 / p99 µs", "C: reads/s", "C: p50 / p99 µs", "ratio", "load could do × (C)")
    return _table(head, rows)


def _command_table(commands: dict[str, float]) -> str:
    least = commands["`python -I -c pass`"]
    rows = [(name, f"{1000 * seconds:.1f} ms", f"{seconds / least:.2f}") for name, seconds in commands.items()]
    return _table(("command", "median wall time", "of Python's start"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _write(figures: str) -> None:
    text = README.read_text()
    before, rest = text.split(BEGIN)
    README.write_text(f"{before}{BEGIN}\n\n{figures}\n{END}{rest.split(END)[1]}")


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.run", description="Measure tokend on this machine.")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each load, in turns; the best counts")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one run")
    parser.add_argument("--write", action="store_true", help="put the figures into tests/bench/README.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tk-bench-") as directory:
        figures = Bench(Path(directory), rounds=options.rounds, seconds=options.seconds).run()
    sys.stdout.write(figures)
    if options.write:
        _write(figures)


if __name__ == "__main__":
    main()
