"""Measurements as tables in Markdown, each beside its aim."""

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tests.bench.commands import Cost
from tests.bench.loads import Load
from tests.bench.refreshing import CONNECTIONS, PROVIDERS, Refreshing
from tests.bench.waiting import WAITERS, Waiting

PACKAGES = ("tokend", "uvloop", "httptools", "orjson", "pydantic", "httpx", "anyio")
# (mode, connections)
Key = tuple[str, int]
AIMS = {("keepalive", 64): "≥ 0.6", ("connect", 64): "≥ 0.5"}


@dataclass(frozen=True)
class Sizes:
    """Resident memory of the daemon in MB, and the reads that lie between the last two."""

    after_login: float
    restarted: float
    after_some_reads: float
    after_all_reads: float
    reads: int


def machine() -> str:
    """Describe the machine; called first, it shows the load by other processes."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    cores, busy = len(os.sched_getaffinity(0)), os.getloadavg()[0]  # of the last minute
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return table(
        ("machine", ""),
        [
            ("processor", f"{model}, {cores} cores"),
            ("kernel", f"{platform.system()} {platform.release()}"),
            ("python", f"{platform.python_implementation()} {platform.python_version()}"),
            ("packages", packages),
            ("load average before", f"{busy:.2f}"),
        ],
    )


def starts(seconds: Sequence[float], sizes: Sizes) -> str:
    """Start and size."""
    milliseconds = sorted(1000 * one for one in seconds)
    spread = f"{statistics.median(milliseconds):.0f} ms ({milliseconds[0]:.0f} to {milliseconds[-1]:.0f})"
    after = f"after {sizes.reads / 1e6:.1f} million reads more"
    return table(
        ("start and size, 5 providers", "seen", "aim"),
        [
            (f"start to the first answer, tokens persisted (median of {len(seconds)})", spread, "350 ms"),
            ("resident, at rest after that", f"{sizes.restarted:.1f} MB", "55 MB"),
            ("resident, at rest after a first start with its logins", f"{sizes.after_login:.1f} MB", "55 MB"),
            ("resident, after some reads of each kind", f"{sizes.after_some_reads:.1f} MB", ""),
            (f"resident, {after}", f"{sizes.after_all_reads:.1f} MB", "no growth"),
        ],
    )


def reads(loads: Mapping[Key, tuple[Load, Load]]) -> str:
    """Ours beside the C server's."""
    rows = []
    for key, (ours, theirs) in loads.items():
        rows.append(
            (
                _named(key),
                f"{ours.rate:,.0f}",
                f"{theirs.rate:,.0f}",
                f"{ours.rate / theirs.rate:.2f}",
                AIMS.get(key, ""),
                f"{ours.p50:.0f} / {ours.p99:.0f}",
                f"{theirs.p50:.0f} / {theirs.p99:.0f}",
                f"{ours.cpu:.1f} / {theirs.cpu:.1f} = {ours.cpu / theirs.cpu:.2f}",
                f"{1 / ours.generator:.1f} / {1 / theirs.generator:.1f}",
            )
        )
    head = (
        "connections", "reads/s", "C: reads/s", "ratio", "aim", "p50 / p99 µs", "C: p50 / p99 µs",
        "CPU µs per request / C (aim ≤ 2)", "load could do × (C)",
    )  # fmt: skip
    return table(head, rows)


def beside_openbao(loads: Mapping[Key, tuple[Load, Load]], megabytes: float) -> str:
    """Ours beside OpenBao agent's."""
    rows = [
        (
            _named(key),
            f"{ours.rate:,.0f}",
            f"{theirs.rate:,.0f}",
            f"{ours.rate / theirs.rate:.1f}",
            "≥ 6" if key[0] == "keepalive" else "≥ 2",
            f"{ours.p99:.0f} / {theirs.p99:.0f}",
            f"{ours.cpu:.1f} / {theirs.cpu:.1f}",
        )
        for key, (ours, theirs) in loads.items()
    ]
    head = (
        "connections", "reads/s", "OpenBao agent: cached token", "ratio", "aim", "p99 µs: ours / its",
        "CPU µs per request: ours / its",
    )  # fmt: skip
    return table(head, rows) + f"\n\nOpenBao's agent is {megabytes:.0f} MB large after that."


def waiting(rounds: Sequence[Waiting]) -> str:
    """Long polls; the best round counts."""
    best = min(rounds, key=lambda one: one.last)
    quiet, alone = min(one.quiet for one in rounds), min(one.alone for one in rounds)
    return table(
        (f"{WAITERS:,} long polls of one token", "seen", "aim"),
        [
            ("CPU of the daemon while they wait", f"{quiet:.2%} of a core (alone: {alone:.2%})", "≈ 0"),
            ("from asking for a new token to the first answer", f"{1000 * best.first:.0f} ms", ""),
            ("to the last one", f"{1000 * best.last:.0f} ms", "100 ms"),
        ],
    )


def refreshing(found: Refreshing) -> str:
    """Reads while others refresh."""
    rows = [
        (name, f"{one.rate:,.0f}", f"{one.p50:.0f} / {one.p99:.0f}", aim)
        for name, one, aim in (
            ("at rest", found.quiet, ""),
            (f"{found.refreshes:.0f} refreshes a second", found.steady, "p99 ≤ 3,000"),
            (f"all {PROVIDERS} in flight at once", found.burst, "p99 ≤ 3,000"),
        )
    ]
    head = f"{CONNECTIONS} connections, {PROVIDERS} providers, an upstream that takes 100 ms"
    return table((head, "reads/s", "p50 / p99 µs", "aim"), rows)


def commands(found: Mapping[str, Cost]) -> str:
    """The command line; the first of them is the measure."""
    least = next(iter(found.values()))
    rows = [
        (
            name,
            f"{1000 * one.wall:.1f} ms",
            f"{one.wall / least.wall:.2f}",
            "≤ 2.5" if "get" in name else "",
            f"{1000 * one.cpu:.1f} ms, {one.cpu / least.cpu:.2f}",
        )
        for name, one in found.items()
    ]
    return table(("command", "median wall time", "of Python's start", "aim", "CPU, of Python's start"), rows)


def _named(key: Key) -> str:
    mode, connections = key
    return f"{connections} keep-alive" if mode == "keepalive" else f"{connections}, one request per connection"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
