"""What a process uses, looked at every second: memory, descriptors, threads, processor time; and the slope of it."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.soak.plan import minute

# Above this a queue grows that takes minutes to get rid of.
MOST_BUSY = 0.8
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Sample:
    """A moment (seconds of the monotonic clock, and Unix seconds) and what was in use: ``cpu_seconds`` since the
    process began, ``starved_seconds`` in which its first thread, the loop's, could have run and had no processor; and
    the machine's ``load`` average."""

    moment: float
    wall: float
    resident_megabytes: float
    descriptors: int
    threads: int
    cpu_seconds: float
    starved_seconds: float
    load: float


def look(pid: int) -> Sample:
    """Look at a process. Raises OSError where it is gone."""
    place = Path(f"/proc/{pid}")
    fields = dict(line.partition(":")[::2] for line in (place / "status").read_text().splitlines())
    _, waited, _ = (place / "schedstat").read_text().split()
    times = (place / "stat").read_text().rpartition(")")[2].split()
    return Sample(
        moment=time.monotonic(),
        wall=time.time(),
        resident_megabytes=int(fields["VmRSS"].split()[0]) / 1024,
        descriptors=sum(1 for _ in (place / "fd").iterdir()),
        threads=int(fields["Threads"]),
        cpu_seconds=(int(times[11]) + int(times[12])) / TICKS,
        starved_seconds=int(waited) / 1e9,
        load=os.getloadavg()[0],
    )


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Least squares: by how much the second value grows for each one of the first."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def calm_minutes(samples: Sequence[Sample]) -> frozenset[int]:
    """The minutes in which the daemon had time to spare, and in the minute before as well.

    Whoever runs, or waits for a processor, all the time falls behind, whatever its code is like.
    """
    first: dict[int, Sample] = {}
    last: dict[int, Sample] = {}
    for sample in samples:
        first.setdefault(minute(sample.wall), sample)
        last[minute(sample.wall)] = sample
    calm = {number for number, begin in first.items() if _busy(begin, last[number]) <= MOST_BUSY}
    return frozenset(number for number in calm if number - 1 in calm or number - 1 not in first)


def _busy(first: Sample, last: Sample) -> float:
    """The share of the time between two samples in which the daemon ran, or wanted to."""
    wanted = last.cpu_seconds - first.cpu_seconds + last.starved_seconds - first.starved_seconds
    return wanted / max(last.moment - first.moment, 1e-9)


def per_hour(samples: Sequence[Sample], what: str) -> float:
    """By how much a figure grows an hour."""
    return 3600 * slope([(sample.moment, getattr(sample, what)) for sample in samples])
