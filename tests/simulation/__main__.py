"""Run many seeds, or one of them again.

python -m tests.simulation --seeds 100000          # from 0, on all cores
python -m tests.simulation --minutes 10            # as many as fit
python -m tests.simulation --seed 4711 --trace     # exactly that one, with everything that happened
"""

import argparse
import itertools
import os
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.simulation import Result, simulate

AT_ONCE = 10


def replay(seed: int) -> str:
    """The command that runs a seed again."""
    return f"python -m tests.simulation --seed {seed} --trace"


def told(result: Result) -> str:
    """A failing seed in words: what broke first, and the command that shows it again."""
    return f"seed {result.seed}: {result.broken[0]} ({len(result.broken)} in all)\n  again: {replay(result.seed)}"


def main() -> int:
    """Exit code 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, help="run this one only")
    parser.add_argument("--trace", action="store_true", help="print everything that happened to it")
    parser.add_argument("--seeds", type=int, default=1000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--minutes", type=float, help="as many as fit into this time")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    options = parser.parse_args()
    if options.seed is not None:
        return _one(options.seed, trace=options.trace)
    return _many(options)


def _one(seed: int, *, trace: bool) -> int:
    result = simulate(seed, keep_trace=trace)
    for line in (*result.trace, *result.broken, f"hash {result.digest}"):
        print(line)
    return int(bool(result.broken))


def _many(options: argparse.Namespace) -> int:
    begun = time.monotonic()
    ends = None if options.minutes is None else begun + 60 * options.minutes
    seeds: Iterable[int] = itertools.count(options.first)
    if ends is None:
        seeds = range(options.first, options.first + options.seeds)
    number = requests = failed = 0
    days = 0.0
    with ProcessPoolExecutor(options.jobs) as pool:
        for result in _results(pool, iter(seeds), ends):
            number, requests, days = number + 1, requests + result.requests, days + result.seconds / 86400
            if result.broken:
                failed += 1
                print(told(result), flush=True)
    minutes = (time.monotonic() - begun) / 60
    print(f"{number} seeds, {failed} failed; {requests} requests in {days:.0f} simulated days; {minutes:.1f} minutes")
    return int(bool(failed))


def _results(pool: ProcessPoolExecutor, seeds: Iterator[int], ends: float | None) -> Iterator[Result]:
    """The results in the order of the seeds; no new ones are begun after ``ends``."""
    while batch := list(itertools.islice(seeds, 20 * AT_ONCE)):
        yield from pool.map(simulate, batch, chunksize=AT_ONCE)
        if ends is not None and time.monotonic() >= ends:
            return


if __name__ == "__main__":
    sys.exit(main())
