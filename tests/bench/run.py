"""Measure tokend on this machine and print the figures as Markdown: ``python -m tests.bench.run``.

Nothing is asserted: figures are for people, and machines differ. What holds across machines are the ratios to the C
server, which is measured in turns with the daemon by the same load generator.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.bench import against, figures, openbao, stage
from tests.bench.commands import commands
from tests.bench.figures import Key
from tests.bench.loads import Load, Server, best, in_turns, load, reference
from tests.bench.refreshing import while_refreshing
from tests.bench.waiting import long_polls

README = Path(__file__).parent / "README.md"
ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- figures: written by run.py -->", "<!-- end of figures -->"
BEGIN_AGAINST, END_AGAINST = "<!-- figures: written by run.py --against -->", "<!-- end of the figures of --against -->"
LOADS = [(mode, connections) for mode in ("keepalive", "connect") for connections in (1, 8, 64)]
BESIDE_OPENBAO = [("keepalive", 64), ("connect", 64)]
MANY_READS = 10_000_000


class Bench:
    """One measurement of everything, in one temporary directory."""

    def __init__(self, directory: Path, *, rounds: int, seconds: float) -> None:
        self.directory, self.rounds, self.seconds = directory, rounds, seconds
        self.socket = directory / stage.SOCKET

    def run(self) -> str:
        """Measure; returns the Markdown."""
        parts = [figures.machine()]
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
            stage.pin(process.pid, 1)
            server = Server(process.pid, self.socket, f"/v1/tokens/{stage.READ}")
            reads = figures.reads(self._reads(server))
            some, many, count = self._many_reads(server)
            parts += [figures.starts(starts, figures.Sizes(after_login, restarted, some, many, count)), reads]
            parts.append(figures.waiting([long_polls(process.pid, self.socket) for _ in range(self.rounds)]))
            if program := openbao.bao():
                with openbao.agent(self.directory / "bao", program) as agent:
                    beside = self._turns([server, agent], BESIDE_OPENBAO)
                    parts.append(figures.beside_openbao(beside, stage.resident_megabytes(agent.pid)))
            file = self.directory / "out" / "tt_token.json"
            found = commands(self.socket, file, rounds=self.rounds)
        during = while_refreshing(self.directory / "refreshing", rounds=self.rounds, seconds=self.seconds)
        parts += [figures.refreshing(during), figures.commands(found)]
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

    def _reads(self, server: Server) -> dict[Key, tuple[Load, Load]]:
        """For each kind of load the daemon's and the C server's best run."""
        found = stage.answer(self.socket, server.target)
        if found is None:
            raise stage.BenchError("the daemon does not answer any more")
        with reference(self.directory, len(found[1])) as other:
            return self._turns([server, other], LOADS)

    def _turns(self, servers: list[Server], keys: list[Key]) -> dict[Key, tuple[Load, Load]]:
        measured = {}
        for mode, connections in keys:
            ours, theirs = in_turns(
                self.directory, servers, connections, rounds=self.rounds, seconds=self.seconds, mode=mode
            )
            measured[mode, connections] = (best(ours), best(theirs))
        return measured

    def _many_reads(self, server: Server) -> tuple[float, float, int]:
        """Resident memory before and after ten million reads (fewer only if they would take minutes), and how many."""
        before, count = stage.resident_megabytes(server.pid), 0
        until = time.monotonic() + 60 * self.seconds
        while count < MANY_READS and time.monotonic() < until:
            count += load(self.directory, server, 64, seconds=2 * self.seconds).requests
        return before, stage.resident_megabytes(server.pid), count


def _write(text: str, begin: str, end: str) -> None:
    before, rest = README.read_text().split(begin)
    README.write_text(f"{before}{begin}\n\n{text}\n{end}{rest.split(end)[1]}")


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.run", description="Measure tokend on this machine.")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each load, in turns; the best counts")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one run")
    parser.add_argument("--write", action="store_true", help="put the figures into tests/bench/README.md")
    parser.add_argument(
        "--against", type=Path, metavar="PATH", help="compare with the checkout there instead, in turns"
    )
    parser.add_argument("--tree", type=Path, default=ROOT, help="the checkout that is compared (default: this one)")
    parser.add_argument("--count", type=int, default=10_000, help="providers of the large daemon of --against; 0: none")
    options = parser.parse_args()
    size = {"rounds": options.rounds, "seconds": options.seconds}
    with tempfile.TemporaryDirectory(prefix="tk-bench-") as directory:
        if options.against is None:
            text = Bench(Path(directory), **size).run()
        else:
            text = against.compare(Path(directory), options.against, options.tree, count=options.count, **size)
    sys.stdout.write(text)
    if options.write:
        _write(text, BEGIN_AGAINST if options.against else BEGIN, END_AGAINST if options.against else END)


if __name__ == "__main__":
    main()
