"""The figures of a soak, each beside its bound where it has one, as Markdown; and whether all bounds held."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.soak import oracle, plan
from tests.soak.oracle import Attempt
from tests.soak.plan import Plan, minute
from tests.soak.sampling import Sample, calm_minutes, per_hour

# Of the reads that the punctual client could have answered; in a short run, one token that came late is a larger share.
LEAST_SERVED, LEAST_SERVED_SHORTLY, SHORT_SECONDS = 0.999, 0.99, 600
# What no reader may ever see, whatever the upstream does.
NEVER = (
    "answer torn", "file torn", "file vanished", "answer expired", "answer of another provider", "event out of order",
    "generation went back", "poll without news", "poll cut short", "connection broken",
)  # fmt: skip
# P3, from arrival to arrival; an issue is no held token: three calls at most, within seconds.
FLOOR_SECONDS, AFTER_TOKEN_SECONDS, MOST_CALLS_AN_ISSUE = 5.0, 1.0, 3
# At most one request per 5 s and the one after a token.
MOST_REQUESTS_A_MINUTE = 13
# A leak of one kilobyte in each refresh of a thousand providers would be 100 MB in an hour.
MOST_MEGABYTES_AN_HOUR = 6.0
# What allocators and caches do within a few minutes is no slope; nor are the first uses of each provider's parts.
MEGABYTES_OF_NOISE, MEGABYTES_PER_PROVIDER = 4.0, 0.05
MOST_DESCRIPTORS_AN_HOUR, DESCRIPTORS_OF_NOISE = 10.0, 25.0
# The daemon's pools have 58, 32 may be left behind in a hung filesystem; and the loop's, and the watcher's.
MOST_THREADS = 96
# A token is one line and each of its sinks another; a failure is one at most, and an expiry one.
MOST_LINES_PER_ATTEMPT = 3.0
# Until caches and allocators are at rest; what grows after that is a slope.
WARM_SHARE, LONGEST_WARM_SECONDS = 0.25, 600.0
# No token and no key is ever in the log.
SECRETS = ("eyJ", plan.GOOD_KEY, plan.REVOKED_KEY, plan.SECRET, plan.SIGNING_KEY.decode())
# What reloads say, and the daemon as a whole.
MOST_LINES_PER_CHANGE = 10


@dataclass(frozen=True, slots=True)
class Row:
    """One figure; ``holds`` is None where nothing is demanded."""

    name: str
    seen: str
    bound: str = ""
    holds: bool | None = None


class Figures:
    """All that a soak left in its directory, once it is over."""

    def __init__(self, soak: Plan) -> None:
        self.soak = soak
        lines = (soak.home / "samples.log").read_text().splitlines()
        self.samples = [Sample(**json.loads(line)) for line in lines]
        begin = self.samples[0].moment + min(WARM_SHARE * soak.seconds, LONGEST_WARM_SECONDS)
        self.warm = [sample for sample in self.samples if sample.moment >= begin] or self.samples[-2:]
        self.changes = json.loads((soak.home / "changes.json").read_text())
        self.told = json.loads((soak.home / "readers.json").read_text())
        self.kinds = {provider.name: provider.kind for provider in soak.providers()}
        self.intervals = {provider.name: provider.interval_seconds for provider in soak.providers()}

    def rows(self) -> Iterator[Row]:
        """Each figure with its bound."""
        everything = oracle.read_log(self.soak.home / "upstream.log")
        log = {name: attempts for name, attempts in everything.items() if plan.ISSUE_SIGN not in name}
        yield from self._upstream(everything)
        yield from self._reads(log)
        yield from self._answers()
        yield from self._requests(log)
        yield from self._issues([everything[name] for name in everything.keys() - log.keys()])
        yield from self._size()
        yield from self._log(sum(map(len, everything.values())))
        yield from self._changes()

    def _upstream(self, log: dict[str, list[Attempt]]) -> Iterator[Row]:
        answers = Counter(attempt.what for attempts in log.values() for attempt in attempts)
        total, tokens = answers.total(), answers[oracle.TOKEN]
        minutes = self.soak.seconds / 60
        kinds = Counter(provider.kind for provider in self.soak.providers())
        yield Row("providers, lives", ", ".join(f"{count} {kind}" for kind, count in kinds.items()) + ", 15 to 60 s")
        yield Row("requests at the upstreams", f"{total:,} ({total / minutes:,.0f} a minute)")
        failed = 1 - tokens / total if total else 0
        yield Row("of these answered with no token", f"{failed:.1%}, of {len(answers) - 1} classes")
        load = sum(sample.load for sample in self.samples) / len(self.samples)
        yield Row("load average of the machine, mean", f"{load:.1f}")

    def _reads(self, log: dict[str, list[Attempt]]) -> Iterator[Row]:
        moments: dict[str, list[tuple[str, float]]] = {"socket": [], "file": []}
        for line in (self.soak.home / "unserved.log").read_text().splitlines():
            moment, name, where, _ = json.loads(line)
            moments[where].append((name, moment))
        calm = calm_minutes(self.samples)
        least = LEAST_SERVED_SHORTLY if self.soak.seconds < SHORT_SECONDS else LEAST_SERVED
        for where, unserved in moments.items():
            by_minute = {int(number): count for number, count in self.told["served"][where].items()}
            served = sum(by_minute.values())
            yield Row(f"{where}: reads", f"{served + len(unserved):,}")
            yield Row(f"{where}: with a valid token, of all", _share(served, len(unserved)))
            missed = oracle.inexcusable(unserved, log, oracle.perfect, intervals=self.intervals)
            yield Row(f"{where}: of those that a perfect client could have answered", _share(served, len(missed)))
            missed = oracle.inexcusable(unserved, log, oracle.punctual, intervals=self.intervals)
            yield Row(f"{where}: of those that a punctual client could have answered", _share(served, len(missed)))
            by_kind = Counter(self.kinds[name] for name, _ in missed)
            yield Row(f"{where}: the missed of them, by kind", ", ".join(f"{n:,} {k}" for k, n in by_kind.items()))
            lost = sum(minute(moment) in calm for _, moment in missed)
            served = sum(count for number, count in by_minute.items() if number in calm)
            yield Row(
                f"{where}: the same, in the {len(calm)} calm minutes", _share(served, lost),
                f"≥ {least:.1%}", served >= least * (served + lost) if calm else None,
            )  # fmt: skip

    def _answers(self) -> Iterator[Row]:
        seen = Counter(self.told["seen"])
        for key in (*NEVER, *sorted(key for key in seen if key.startswith("unexpected"))):
            yield Row(key, f"{seen[key]:,}", "0", seen[key] == 0)
        yield Row("long polls, event streams", f"{seen['polls']:,}, {seen['event streams']:,}")
        kinds = {key.partition(": ")[2]: seen[key] for key in sorted(seen) if key.startswith("events: ")}
        yield Row("events", ", ".join(f"{count:,} {kind}" for kind, count in kinds.items()))
        yield Row("latency of reads at the reader", _latency(self.told["latencies"]))

    def _requests(self, log: dict[str, list[Attempt]]) -> Iterator[Row]:
        after_failure, after_token = oracle.shortest_pauses(log)
        yield Row(
            "P3: shortest pause after a failure", f"{after_failure:.2f} s", f"≥ {FLOOR_SECONDS:g} s",
            after_failure >= FLOOR_SECONDS,
        )  # fmt: skip
        yield Row(
            "P3: shortest pause after a token", f"{after_token:.2f} s", f"≥ {AFTER_TOKEN_SECONDS:g} s",
            after_token >= AFTER_TOKEN_SECONDS,
        )  # fmt: skip
        apart = min(oracle.shortest_pauses({name: log[name] for name in log if self.intervals.get(name)}))
        yield Row(
            "P3: shortest pause between two requests with a TT key", f"{apart:.2f} s",
            f"≥ {plan.TT_INTERVAL_SECONDS:g} s", apart >= plan.TT_INTERVAL_SECONDS,
        )  # fmt: skip
        busiest = oracle.busiest_minute(log)
        yield Row(
            "P3: most requests of one provider in a minute", str(busiest), f"≤ {MOST_REQUESTS_A_MINUTE}",
            busiest <= MOST_REQUESTS_A_MINUTE,
        )  # fmt: skip
        revoked = [_longest_run(attempts) for attempts in log.values()]
        yield Row("P3: most requests with one revoked key", str(max(revoked)), "≤ 2", max(revoked) <= 2)

    def _issues(self, calls: Sequence[Sequence[Attempt]]) -> Iterator[Row]:
        statuses = {key: count for key, count in sorted(self.told["seen"].items()) if key.startswith("issues: ")}
        yield Row("issues, by status", ", ".join(f"{count:,} {key[8:]}" for key, count in statuses.items()))
        most = max(map(len, calls), default=0)
        yield Row("P3: most calls for one issue", str(most), f"≤ {MOST_CALLS_AN_ISSUE}", most <= MOST_CALLS_AN_ISSUE)

    def _size(self) -> Iterator[Row]:
        warm = self.warm
        hours = (warm[-1].moment - warm[0].moment) / 3600 or 1
        yield Row("resident: first, after warm-up, last", f"{_ends(self.samples, warm, 'resident_megabytes')} MB")
        for name, what, most, noise in (
            ("resident: slope", "resident_megabytes", MOST_MEGABYTES_AN_HOUR, self._noise_megabytes()),
            ("descriptors: slope", "descriptors", MOST_DESCRIPTORS_AN_HOUR, DESCRIPTORS_OF_NOISE),
        ):
            unit, bound = " MB/h" if "mega" in what else " an hour", most + noise / hours
            found = per_hour(warm, what)
            yield Row(
                f"{name}, over {60 * hours:.0f} min", f"{found:+.1f}{unit}", f"≤ {bound:.1f}{unit}", found <= bound
            )
        descriptors = [sample.descriptors for sample in warm]
        yield Row("descriptors: least to most", f"{min(descriptors)} to {max(descriptors)}")
        threads = max(sample.threads for sample in warm)
        yield Row("threads: most", str(threads), f"≤ {MOST_THREADS}", threads <= MOST_THREADS)
        cpu = (warm[-1].cpu_seconds - warm[0].cpu_seconds) / (3600 * hours)
        starved = (warm[-1].starved_seconds - warm[0].starved_seconds) / (3600 * hours)
        yield Row("processor", f"{cpu:.0%} of a core")
        yield Row("waiting for a processor, the loop's thread", f"{starved:.0%} of the time")
        ended = self.changes["ended early"]
        yield Row("daemon ended by itself", "yes" if ended else "no", "no", not ended)

    def _noise_megabytes(self) -> float:
        """How much may come up after the warm-up without being a leak."""
        short = WARM_SHARE * self.soak.seconds < LONGEST_WARM_SECONDS
        return MEGABYTES_OF_NOISE + short * MEGABYTES_PER_PROVIDER * self.soak.count

    def _log(self, attempts: int) -> Iterator[Row]:
        minutes = self.soak.seconds / 60
        path = self.soak.home / "daemon.out"
        events: Counter[str] = Counter()
        lines = leaked = bugs = 0
        with path.open(errors="replace") as text:
            for line in text:
                lines += 1
                leaked += any(secret in line for secret in SECRETS)
                bugs += "crashed" in line or "Traceback" in line
                events[line.partition(" event=")[2].partition(" ")[0]] += 1
        bound = MOST_LINES_PER_ATTEMPT * attempts + MOST_LINES_PER_CHANGE * sum(self.changes["done"].values()) + 20
        common = ", ".join(f"{count / minutes:,.0f} {event}" for event, count in events.most_common(5))
        yield Row("log: lines a minute", f"{lines / minutes:,.0f} ({common})")
        yield Row(
            "log: lines per attempt", f"{lines / max(attempts, 1):.2f}", f"≤ {MOST_LINES_PER_ATTEMPT:g}",
            lines <= bound,
        )  # fmt: skip
        yield Row("log: kilobytes a minute", f"{path.stat().st_size / 1024 / minutes:,.0f}")
        yield Row("log: lines with a token or a key", str(leaked), "0", leaked == 0)
        yield Row("log: bugs", str(bugs), "0", bugs == 0)

    def _changes(self) -> Iterator[Row]:
        done = ", ".join(f"{count} {name}" for name, count in sorted(self.changes["done"].items()))
        yield Row("changes while it ran", done or "none")
        failed = self.changes["failed"]
        yield Row("changes without effect", ", ".join(failed) or "none", "none", not failed)


def markdown(rows: Sequence[Row]) -> str:
    """A table of them."""
    lines = ["| figure | seen | bound | |", "| --- | --- | --- | --- |"]
    for row in rows:
        verdict = {None: "", True: "holds", False: "**BROKEN**"}[row.holds]
        lines.append(f"| {row.name} | {row.seen} | {row.bound} | {verdict} |")
    return "\n".join(lines)


def _share(served: int, lost: int) -> str:
    return f"{100 * served / (served + lost):.3f} % ({lost:,} missed)" if served else "none"


def _ends(samples: Sequence[Sample], warm: Sequence[Sample], what: str) -> str:
    return ", ".join(f"{getattr(sample, what):.1f}" for sample in (samples[0], warm[0], warm[-1]))


def _longest_run(attempts: Sequence[Attempt]) -> int:
    longest = run = 0
    for attempt in attempts:
        run = run + 1 if attempt.what == "revoked" else 0
        longest = max(longest, run)
    return longest


def _latency(buckets: dict[str, int]) -> str:
    counts = sorted((int(bucket), count) for bucket, count in buckets.items())
    total, said = sum(count for _, count in counts), []
    for share in (0.5, 0.99, 0.999):
        seen = 0
        for bucket, count in counts:
            seen += count
            if seen >= share * total:
                said.append(f"{100 * share:g} % within {bucket} ms")
                break
    return ", ".join(said)
