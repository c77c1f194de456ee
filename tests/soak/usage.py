"""Resources that the daemon used, and its output: memory, descriptors, threads, processor, log. A restart starts
new counts."""

from collections import Counter
from collections.abc import Iterator, Sequence

from tests.soak import plan
from tests.soak.plan import Plan
from tests.soak.rows import Row
from tests.soak.sampling import Sample, per_hour, runs

# A leak of one kilobyte in each refresh of a thousand providers would be 100 MB in an hour.
MOST_MEGABYTES_AN_HOUR = 6.0
# What allocators and caches do within a few minutes is no slope; nor are the first uses of each provider's parts.
MEGABYTES_OF_NOISE, MEGABYTES_PER_PROVIDER = 4.0, 0.05
MOST_DESCRIPTORS_AN_HOUR, DESCRIPTORS_OF_NOISE = 10.0, 25.0
# The daemon's pools have 58, 32 may be left behind in a hung filesystem; and the loop's, and the watcher's.
MOST_THREADS = 96
# A token is one line and each of its sinks another; a failure is one at most, and an expiry one.
MOST_LINES_PER_ATTEMPT = 3.0
# What reloads say, and the daemon as a whole when it starts; there each provider is a line besides.
MOST_LINES_PER_CHANGE, MOST_LINES_PER_RUN = 10, 20
# A shorter run ends before caches and allocators are at rest: its slope says nothing, and only its growth is bounded.
LEAST_MINUTES_OF_SLOPE = 10.0
MOST_MEGABYTES_ABOVE_START, MORE_PER_PROVIDER = 32.0, 0.15
# Until caches and allocators are at rest; what grows after that is a slope.
WARM_SHARE, LONGEST_WARM_SECONDS = 0.25, 600.0
# No token and no key is ever in the log.
SECRETS = ("eyJ", plan.GOOD_KEY, plan.REVOKED_KEY, plan.SECRET, plan.SIGNING_KEY.decode())


def size(soak: Plan, samples: Sequence[Sample]) -> Iterator[Row]:
    """What it used. Slopes are bounded in the longest run, if that is long enough to separate a leak from noise."""
    each = runs(samples)
    for number, run in enumerate(each, start=1):
        minutes = (run[-1].moment - run[0].moment) / 60
        ends = ", ".join(f"{one.resident_megabytes:.1f}" for one in (run[0], _warm(run)[0], run[-1]))
        open_ = [sample.descriptors for sample in run]
        seen = f"{ends} MB resident; {min(open_)} to {max(open_)} descriptors"
        yield Row(f"run {number}, {minutes:.1f} min: first, after warm-up, last", seen)
    longest = max(each, key=lambda run: run[-1].moment - run[0].moment)
    warm = _warm(longest)
    hours = (warm[-1].moment - warm[0].moment) / 3600 or 1
    for name, what, most, noise in (
        ("resident: slope", "resident_megabytes", MOST_MEGABYTES_AN_HOUR, _noise_megabytes(soak, longest)),
        ("descriptors: slope", "descriptors", MOST_DESCRIPTORS_AN_HOUR, DESCRIPTORS_OF_NOISE),
    ):
        unit, bound = " MB/h" if "mega" in what else " an hour", most + noise / hours
        found = per_hour(warm, what)
        name, seen = f"{name}, over {60 * hours:.0f} min of the longest", f"{found:+.1f}{unit}"
        if 60 * hours < LEAST_MINUTES_OF_SLOPE:
            yield Row(name, seen)
        else:
            yield Row(name, seen, f"≤ {bound:.1f}{unit}", found <= bound)
    above = max(max(sample.resident_megabytes for sample in run) - run[0].resident_megabytes for run in each)
    most_above = MOST_MEGABYTES_ABOVE_START + MORE_PER_PROVIDER * soak.count
    yield Row("resident: most above a start", f"{above:.1f} MB", f"≤ {most_above:.1f} MB", above <= most_above)
    threads = max(sample.threads for sample in samples)
    yield Row("threads: most", str(threads), f"≤ {MOST_THREADS}", threads <= MOST_THREADS)
    cpu = (warm[-1].cpu_seconds - warm[0].cpu_seconds) / (3600 * hours)
    starved = (warm[-1].starved_seconds - warm[0].starved_seconds) / (3600 * hours)
    yield Row("processor", f"{cpu:.0%} of a core")
    yield Row("waiting for a processor, the loop's thread", f"{starved:.0%} of the time")


def log(soak: Plan, *, attempts: int, changes: int, starts: int) -> Iterator[Row]:
    """What it wrote, in all its runs."""
    minutes = soak.seconds / 60
    path = soak.home / "daemon.out"
    events: Counter[str] = Counter()
    lines = leaked = bugs = 0
    with path.open(errors="replace") as text:
        for line in text:
            lines += 1
            leaked += any(secret in line for secret in SECRETS)
            bugs += "crashed" in line or "Traceback" in line
            events[line.partition(" event=")[2].partition(" ")[0]] += 1
    bound = MOST_LINES_PER_ATTEMPT * attempts + MOST_LINES_PER_CHANGE * changes
    bound += (MOST_LINES_PER_RUN + len(soak.providers())) * starts
    common = ", ".join(f"{count / minutes:,.0f} {event}" for event, count in events.most_common(5))
    yield Row("log: lines a minute", f"{lines / minutes:,.0f} ({common})")
    seen = f"{lines / max(attempts, 1):.2f}"
    yield Row("log: lines per attempt", seen, f"≤ {MOST_LINES_PER_ATTEMPT:g}", lines <= bound)
    yield Row("log: kilobytes a minute", f"{path.stat().st_size / 1024 / minutes:,.0f}")
    yield Row("log: lines with a token or a key", str(leaked), "0", leaked == 0)
    yield Row("log: bugs", str(bugs), "0", bugs == 0)


def _warm(run: Sequence[Sample]) -> Sequence[Sample]:
    """The samples after the warm-up."""
    begin = run[0].moment + min(WARM_SHARE * (run[-1].moment - run[0].moment), LONGEST_WARM_SECONDS)
    return [sample for sample in run if sample.moment >= begin]


def _noise_megabytes(soak: Plan, run: Sequence[Sample]) -> float:
    """How much may come up after the warm-up without being a leak: the first uses too, where that was short."""
    short = WARM_SHARE * (run[-1].moment - run[0].moment) < LONGEST_WARM_SECONDS
    return MEGABYTES_OF_NOISE + short * MEGABYTES_PER_PROVIDER * soak.count
