"""The figures of a soak, each beside its bound where it has one, as Markdown; and whether all bounds held."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from tests.soak import oracle, plan, restarts, usage
from tests.soak.oracle import Attempt
from tests.soak.plan import Plan, minute
from tests.soak.rows import Row
from tests.soak.sampling import Sample, calm_minutes

# Of the reads that the punctual client could have answered; in a short run, one token that came late is a larger share.
LEAST_SERVED, LEAST_SERVED_SHORTLY, SHORT_SECONDS = 0.999, 0.99, 600
# What no reader may ever see, whatever the upstream does.
NEVER = (
    "answer torn", "file torn", "file vanished", "answer expired", "answer of another provider", "event out of order",
    "generation went back", "poll without news", "poll cut short",
)  # fmt: skip
# P3, from arrival to arrival; an issue is no held token: three calls at most, within seconds.
FLOOR_SECONDS, AFTER_TOKEN_SECONDS, MOST_CALLS_AN_ISSUE = 5.0, 1.0, 3
# At most one request per 5 s and the one after a token.
MOST_REQUESTS_A_MINUTE = 13
# What a request may come too early: its token was asked for when it left, and the upstream counts from when it came.
MOST_EARLY_SECONDS = 2.0
# An orderly end takes 2 s where readers wait, and 300 providers are back 0.6 s later; the rest is for a busy machine.
MOST_ABSENT_SECONDS = 15.0


class Figures:
    """All that a soak left in its directory, once it is over."""

    def __init__(self, soak: Plan) -> None:
        self.soak = soak
        lines = (soak.home / "samples.log").read_text().splitlines()
        self.samples = [Sample(**json.loads(line)) for line in lines]
        self.changes = json.loads((soak.home / "changes.json").read_text())
        self.told = json.loads((soak.home / "readers.json").read_text())
        self.kinds = {provider.name: provider.kind for provider in soak.providers()}
        self.intervals = {provider.name: provider.interval_seconds for provider in soak.providers()}
        self.restarts = restarts.load(soak)
        self.absences = [restart.absence for restart in self.restarts]

    def rows(self) -> Iterator[Row]:
        """Each figure with its bound."""
        everything = oracle.read_log(self.soak.home / "upstream.log")
        log = {name: attempts for name, attempts in everything.items() if plan.ISSUE_SIGN not in name}
        kept = oracle.broken_off(log, self.absences)
        yield from self._upstream(everything)
        yield from self._reads(kept)
        yield from self._answers()
        yield from self._requests(log)
        yield from self._issues([everything[name] for name in everything.keys() - log.keys()])
        yield from self._restarted(log, kept)
        yield from usage.size(self.soak, self.samples)
        yield from usage.log(
            self.soak,
            attempts=sum(map(len, everything.values())),
            changes=sum(self.changes["done"].values()),
            starts=1 + len(self.restarts),
        )
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
        excused: Counter[str] = Counter()
        for moment, name, where, _ in self._lines("unserved.log"):
            if any(absence.excuses(moment) for absence in self.absences):
                excused[where] += 1
            else:
                moments[where].append((name, moment))
        calm = calm_minutes(self.samples)
        least = LEAST_SERVED_SHORTLY if self.soak.seconds < SHORT_SECONDS else LEAST_SERVED
        for where, unserved in moments.items():
            by_minute = {int(number): count for number, count in self.told["served"][where].items()}
            served = sum(by_minute.values())
            yield Row(f"{where}: reads", f"{served + len(unserved):,}, and {excused[where]:,} in vain around restarts")
            yield Row(f"{where}: with a valid token, of all", _share(served, len(unserved)))
            missed = self._inexcusable(unserved, log, oracle.perfect)
            yield Row(f"{where}: of those that a perfect client could have answered", _share(served, len(missed)))
            missed = self._inexcusable(unserved, log, oracle.punctual)
            yield Row(f"{where}: of those that a punctual client could have answered", _share(served, len(missed)))
            by_kind = Counter(self.kinds[name] for name, _ in missed)
            yield Row(f"{where}: the missed of them, by kind", ", ".join(f"{n:,} {k}" for k, n in by_kind.items()))
            lost = sum(minute(moment) in calm for _, moment in missed)
            served = sum(count for number, count in by_minute.items() if number in calm)
            yield Row(
                f"{where}: the same, in the {len(calm)} calm minutes", _share(served, lost),
                f"≥ {least:.1%}", served >= least * (served + lost) if calm else None,
            )  # fmt: skip

    def _lines(self, name: str) -> list[list[Any]]:
        """The whole lines of a log; who was killed may have left half of one."""
        with (self.soak.home / name).open() as lines:
            return [json.loads(line) for line in lines if line.endswith("\n")]

    def _inexcusable(
        self, unserved: Sequence[tuple[str, float]], log: dict[str, list[Attempt]], client: oracle.Pause
    ) -> list[tuple[str, float]]:
        return oracle.inexcusable(unserved, log, client, intervals=self.intervals, absences=self.absences)

    def _answers(self) -> Iterator[Row]:
        seen = Counter(self.told["seen"])
        for key in (*NEVER, *sorted(key for key in seen if key.startswith("unexpected"))):
            yield Row(key, f"{seen[key]:,}", "0", seen[key] == 0)
        broken = self._lines("broken.log")
        own = [why for began, at, why in broken if not any(absence.broke(began, at) for absence in self.absences)]
        seen_as = ", ".join(sorted(set(own))[:3])
        yield Row("connection broken", f"{len(own)} {seen_as}".strip(), "0", not own)
        yield Row("connections broken by restarts", f"{len(broken) - len(own):,}")
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

    def _restarted(self, log: dict[str, list[Attempt]], kept: dict[str, list[Attempt]]) -> Iterator[Row]:
        how = ", ".join(
            f"{one.how} ({one.absence.gone - one.absence.began:.1f} s to end, "
            f"{one.absence.ended - one.absence.gone:.1f} s to READY)"
            for one in self.restarts
        )
        yield Row("restarts", how or "none")
        longest = max((absence.ended - absence.began for absence in self.absences), default=0.0)
        yield Row(
            "restarts: longest without a daemon", f"{longest:.1f} s", f"≤ {MOST_ABSENT_SECONDS:g} s",
            longest <= MOST_ABSENT_SECONDS,
        )  # fmt: skip
        problems = [problem for restart in self.restarts for problem in restart.problems]
        held = sum(restart.held for restart in self.restarts)
        seen = "; ".join(problems) or "none"
        yield Row(
            f"restarts: of {held:,} tokens that had to be served at READY, not served", seen, "none", not problems
        )
        lost = sum(attempt.what == oracle.BROKEN_OFF for attempts in kept.values() for attempt in attempts)
        yield Row("restarts: requests that they broke off", f"{lost:,}")
        for absence in self.absences:
            begin, end = absence.gone, absence.ended + oracle.CATCH_UP_SECONDS
            count = sum(begin < attempt.arrived <= end for attempts in log.values() for attempt in attempts)
            yield Row(f"restarts: requests in the {end - begin:.0f} s from a start to READY and 5 s", f"{count:,}")
        early = oracle.most_early({name: kept[name] for name in kept.keys() & self.kinds.keys()})
        yield Row(
            "P3: a token asked for before it was due, at most", f"{max(early, 0):.1f} s early",
            f"≤ {MOST_EARLY_SECONDS:g} s", early <= MOST_EARLY_SECONDS,
        )  # fmt: skip
        ended = self.changes["ended early"]
        yield Row("daemon ended by itself", "yes" if ended else "no", "no", not ended)

    def _changes(self) -> Iterator[Row]:
        done = ", ".join(f"{count} {name}" for name, count in sorted(self.changes["done"].items()))
        yield Row("changes while it ran", done or "none")
        failed = self.changes["failed"]
        yield Row("changes without effect", ", ".join(failed) or "none", "none", not failed)


def _share(served: int, lost: int) -> str:
    return f"{100 * served / (served + lost):.3f} % ({lost:,} missed)" if served else "none"


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
