"""Cost of the command line from spawn to exit, beside Python's own start."""

import os
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.bench import stage

FORMS = ("raw", "json", "env", "k8s")


@dataclass(frozen=True)
class Cost:
    """Seconds from spawn to exit, by the clock on the wall and of CPU."""

    wall: float
    cpu: float


def commands(path: Path, file: Path, *, rounds: int) -> dict[str, Cost]:
    """Median costs of commands, each run in turns with the others; Python's own start is the first."""
    found = {"`python -I -c pass`": [sys.executable, "-I", "-c", "pass"]}
    for form in FORMS:
        shown = "" if form == "raw" else f" -o {form}"
        found[f"`tokend get {stage.READ}{shown}`"] = get_argv(path, form)
    found["`cat` of the token's file"] = ["/bin/cat", str(file)]
    seen: dict[str, list[Cost]] = {name: [] for name in found}
    for _ in range(20 * rounds):
        for name, argv in found.items():
            seen[name].append(run_cost(argv, os.environ))
    return {
        name: Cost(statistics.median(one.wall for one in costs), statistics.median(one.cpu for one in costs))
        for name, costs in seen.items()
    }


def get_argv(path: Path, form: str) -> list[str]:
    """Return the command that reads a token from the socket at ``path`` in one of `FORMS`."""
    console = Path(sys.executable).with_name("tokend")
    ours = [str(console)] if console.exists() else list(stage.TOKEND)
    return [*ours, "get", stage.READ, "-o", form, "--socket", str(path)]


def run_cost(argv: list[str], environ: Mapping[str, str]) -> Cost:
    """Run a command with its output discarded. Raises `BenchError` unless it ends with 0."""
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    started = time.perf_counter()
    _, status, used = os.wait4(os.posix_spawn(argv[0], argv, environ, file_actions=quiet), 0)
    seconds = time.perf_counter() - started
    if status != 0:
        raise stage.BenchError(f"{argv[0]} ended with {os.waitstatus_to_exitcode(status)}")
    return Cost(seconds, used.ru_utime + used.ru_stime)
