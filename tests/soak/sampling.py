"""Resources of a process, sampled every second: memory, descriptors, threads, processor time; and their slope."""

import itertools
import os
import time
from collections import defaultdict
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
    the machine's ``load`` average; ``run`` counts the processes, each of which starts again."""

    moment: float
    wall: float
    resident_megabytes: float
    descriptors: int
    threads: int
    cpu_seconds: float
    starved_seconds: float
    load: float
    run: int = 1


def look(pid: int, *, run: int) -> Sample:
    """Look at the ``run``-th process. Raises OSError where it is gone."""
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
        run=run,
    )


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Least squares: by how much the second value grows for each one of the first."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def calm_minutes(samples: Sequence[Sample]) -> frozenset[int]:
    """The minutes in which the daemon had time to spare, and in the minute before as well.

    A process that runs, or waits for a processor, all the time falls behind, however good its code is.
    """
    wanted: defaultdict[int, float] = defaultdict(float)
    passed: defaultdict[int, float] = defaultdict(float)
    for before, now in itertools.pairwise(samples):
        number = minute(before.wall)
        if before.run == now.run and number == minute(now.wall):
            wanted[number] += now.cpu_seconds - before.cpu_seconds + now.starved_seconds - before.starved_seconds
            passed[number] += now.moment - before.moment
    calm = {number for number, seconds in passed.items() if wanted[number] <= MOST_BUSY * seconds}
    return frozenset(number for number in calm if number - 1 in calm or number - 1 not in passed)


def runs(samples: Sequence[Sample]) -> Sequence[Sequence[Sample]]:
    """The samples of each process."""
    return [list(of_one) for _, of_one in itertools.groupby(samples, key=lambda sample: sample.run)]


def per_hour(samples: Sequence[Sample], what: str) -> float:
    """By how much a figure grows an hour."""
    return 3600 * slope([(sample.moment, getattr(sample, what)) for sample in samples])
