"""Measure a daemon with thousands of providers and print the figures as Markdown: ``python -m tests.bench.scale``.

Nothing is asserted. ``--tree`` measures another checkout with the same crowd: two runs on one machine make ratios.
"""

import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench import crowd, stage
from tests.bench.figures import machine, table

README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- figures: written by scale.py -->", "<!-- end of the figures of scale.py -->"
# For everything that is waited for: a busy machine takes minutes.
PATIENCE_SECONDS = 600.0
FEW = 5
OVERVIEWS = ("/v1/tokens", "/v1/status", "/metrics")


@dataclass(frozen=True)
class Spent:
    """Seconds that something took, by the clock and of the daemon's processor time."""

    wall: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.wall:.2f} s ({self.cpu:.2f} s of a core)"


class Running:
    """A daemon whose notifications are heard."""

    def __init__(self, directory: Path, tree: Path) -> None:
        self.directory, self.socket = directory, directory / "tokend.sock"
        self._heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        (directory / "notify").unlink(missing_ok=True)
        self._heard.bind(str(directory / "notify"))
        environ = {"NOTIFY_SOCKET": str(directory / "notify"), "PYTHONPATH": str(tree)}
        started = time.perf_counter()
        with (directory / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [*stage.TOKEND, "run", "--config", "config.toml"],
                cwd=directory, env={**os.environ, **crowd.ENVIRON, **environ}, stdout=log, stderr=log,
            )  # fmt: skip
        self._heard.settimeout(PATIENCE_SECONDS)
        while b"READY=1" not in self._heard.recv(65536):
            pass
        self.start = Spent(time.perf_counter() - started, self.cpu())
        threading.Thread(target=self._listen, daemon=True).start()

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        return stage.cpu_seconds(self.process.pid)

    def resident(self) -> float:
        """Megabytes."""
        return stage.resident_megabytes(self.process.pid)

    def get(self, target: str) -> tuple[int, bytes]:
        """Ask once."""
        found = stage.answer(self.socket, target)
        if found is None:
            raise stage.BenchError("the daemon does not answer")
        return found

    def spent(self, act: Callable[[], object]) -> Spent:
        """What ``act`` takes."""
        cpu, started = self.cpu(), time.perf_counter()
        act()
        return Spent(time.perf_counter() - started, self.cpu() - cpu)

    def wait_until_quiet(self) -> None:
        """Return when it has used next to nothing for some seconds."""
        quiet, before, deadline = 0, self.cpu(), time.monotonic() + PATIENCE_SECONDS
        while quiet < 3 and time.monotonic() < deadline:
            time.sleep(2)
            now = self.cpu()
            quiet, before = (quiet + 1 if now - before < 0.1 else 0), now

    def reload(self) -> None:
        """Have the configuration read again."""
        _reload(self.socket)

    def end(self) -> None:
        """Stop it."""
        self.process.terminate()
        self.process.wait(PATIENCE_SECONDS)
        self._heard.close()

    def _listen(self) -> None:
        self._heard.settimeout(None)
        try:
            while self._heard.recv(65536):
                pass
        except OSError:
            pass


@contextmanager
def upstream(directory: Path) -> Iterator[str]:
    """Run it; yields its address."""
    port_file = directory / "port"
    argv = (sys.executable, "-m", "tests.bench.crowd", str(port_file))
    root = str(Path(__file__).parents[2])
    with stage.running(directory, *argv, environ={**os.environ, "PYTHONPATH": root}) as process:
        stage.wait_for(process, port_file.exists)
        yield f"http://127.0.0.1:{port_file.read_text()}"


class Scale:
    """One measurement of a crowd, in one temporary directory."""

    def __init__(self, directory: Path, tree: Path, *, count: int, sinks: int, seconds: float) -> None:
        self.directory, self.tree, self.count, self.sinks, self.seconds = directory, tree, count, sinks, seconds
        self.many, self.few = directory / "many", directory / "few"
        self.rows: list[tuple[str, str, str]] = []

    def run(self) -> str:
        """Measure; returns the Markdown."""
        parts = [machine()]  # first: it shows the load by other processes
        stage.build(self.directory)
        with upstream(self.directory) as url:
            crowd.configure(self.many, url, count=self.count, sinks=self.sinks)
            crowd.configure(self.few, url, count=FEW, sinks=1)
            self._first_start(url)
            self._start_when_due(url)
            self._at_work(url)
        what = f"{self.count:,} providers, {len(crowd.held(self.count)):,} held, {self.sinks:,} json sinks"
        parts.append(table((what, "seen", "aim"), self.rows))
        return "\n\n".join(parts) + "\n"

    def _first_start(self, url: str) -> None:
        daemon = Running(self.many, self.tree)
        self._note("first start, nothing held: to READY", str(daemon.start), "")
        held = daemon.spent(lambda: _until(lambda: daemon.get("/readyz")[0] == 200))
        self._note("… until all are held and written", str(held), "")
        self._note("… requests", _spread(url), "no storm")
        self._note("… resident after it", f"{daemon.resident():.0f} MB", "150 MB")
        daemon.end()

    def _start_when_due(self, url: str) -> None:
        crowd.make_due(self.many)
        daemon = Running(self.many, self.tree)
        self._note("start, all persisted tokens due: to READY", str(daemon.start), "3 s")
        daemon.wait_until_quiet()
        self._note("… requests", _spread(url), "no storm")
        daemon.end()

    def _at_work(self, url: str) -> None:
        daemon = Running(self.many, self.tree)
        wanted = crowd.held(self.count)
        served = sum(daemon.get(f"/v1/tokens/{name}")[0] == 200 for name in wanted)
        self._note("start, tokens persisted: to READY", str(daemon.start), "3 s")
        self._note("… of them answered at once", f"{served:,} of {len(wanted):,}", "all")
        daemon.wait_until_quiet()
        self._note("… requests", _spread(url), "none")
        self._note("resident, at rest", f"{daemon.resident():.0f} MB", "150 MB")
        idle = daemon.spent(lambda: time.sleep(self.seconds))
        self._note(f"idle for {self.seconds:.0f} s", f"{100 * idle.cpu / idle.wall:.2f} % of a core", "1 %")
        for target in OVERVIEWS:
            daemon.get(target)  # what is imported late
            self._note(f"GET {target}", str(daemon.spent(partial(daemon.get, target))), "")
        few = Running(self.few, self.tree)
        _until(lambda: few.get("/readyz")[0] == 200)
        _spread(url)  # these few have logged in just now
        self._reads(daemon, few)
        few.end()
        self._reload(daemon, url)
        self._note("resident, after all this", f"{daemon.resident():.0f} MB", "")
        daemon.end()

    def _reads(self, daemon: Running, few: Running) -> None:
        """The 99th percentile of reads, in turns; and while overviews are made, or a configuration is read."""
        pairs = [(self._p99(daemon), self._p99(few)) for _ in range(3)]
        many, five = (min(seen) for seen in zip(*pairs, strict=True))
        self._note(f"p99 of reads, beside {FEW} providers", f"{many:.0f} / {five:.0f} µs = {many / five:.2f}", "1")
        for name, ask in (
            ("overviews are made", lambda: [daemon.get(target) for target in OVERVIEWS]),
            ("a configuration is read", lambda: _reload(daemon.socket, "?dry_run=true")),
        ):
            ended = threading.Event()

            def repeat(ask: Callable[[], object] = ask, ended: threading.Event = ended) -> None:
                while not ended.is_set():
                    ask()

            asking = threading.Thread(target=repeat)
            asking.start()
            self._note(f"p50, p99 of reads while {name}", "{:.0f}, {:.0f} µs".format(*self._load(daemon)), "")
            ended.set()
            asking.join()

    def _reload(self, daemon: Running, url: str) -> None:
        before = {name: daemon.get(f"/v1/tokens/{name}")[1] for name in crowd.held(self.count)}
        files = {path: path.stat().st_mtime_ns for path in (self.many / "files").iterdir()}
        config = self.many / "config.toml"
        config.write_text(config.read_text().replace('clientId = "jwt-00002"', 'clientId = "other"'))
        plans: list[bytes] = []
        spent = daemon.spent(lambda: plans.append(_reload(daemon.socket)))
        daemon.wait_until_quiet()
        touched = sum(daemon.get(f"/v1/tokens/{name}")[1] != answer for name, answer in before.items())
        written = sum(path.stat().st_mtime_ns != at for path, at in files.items())
        self._note("reload with one changed provider", str(spent), "1 s")
        steps = len(json.loads(plans[0].partition(b"\r\n\r\n")[2])["plan"])
        self._note("… steps, new tokens, files written", f"{steps}, {touched}, {written}", "1, 1, 1")
        self._note("… requests", _spread(url), "none")

    def _p99(self, daemon: Running) -> float:
        return self._load(daemon)[1]

    def _load(self, daemon: Running) -> tuple[float, float]:
        argv = [str(self.directory / "load"), str(daemon.socket), "/v1/tokens/tt-00001", "8", "2", "keepalive"]
        words = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split()
        return float(words[words.index("p50_us") + 1]), float(words[words.index("p99_us") + 1])

    def _note(self, what: str, seen: str, aim: str) -> None:
        self.rows.append((what, seen, aim))
        sys.stderr.write(f"{what}: {seen}\n")


def await_ready(daemon: Running) -> None:
    """Return when every required token is valid and in its sinks."""
    _until(lambda: daemon.get("/readyz")[0] == 200)


def raise_descriptor_limit() -> None:
    """Allow as many descriptors as an upstream with thousands of clients needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 16384), hard), hard))


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise stage.BenchError("it takes too long")
        time.sleep(0.5)


def _spread(url: str) -> str:
    """How the requests since the last question were spread: the busiest second is any, not one of the clock's."""
    with urllib.request.urlopen(f"{url}/seen") as reply:  # noqa: S310  (loopback)
        seen: Sequence[float] = json.load(reply)
    if not seen:
        return "none"
    busiest = max(Counter(int(10 * (at - start)) < 10 for at in seen if at >= start)[True] for start in seen[::10])
    return f"{len(seen):,} in {seen[-1] - seen[0]:.0f} s, busiest second {busiest}"


def _reload(path: Path, query: str = "") -> bytes:
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(path))
        asking.sendall(f"POST /v1/reload{query} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        with asking.makefile("rb") as file:
            return file.read()


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description="Measure a crowd of providers.")
    parser.add_argument("--count", type=int, default=10_000, help="providers, of the five kinds in turn")
    parser.add_argument("--sinks", type=int, default=2_000, help="held tokens that are written to a file, too")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long it is watched while it idles")
    parser.add_argument("--tree", type=Path, default=Path(__file__).parents[2], help="the checkout to measure")
    parser.add_argument("--write", action="store_true", help="put the figures into tests/bench/README.md")
    options = parser.parse_args()
    raise_descriptor_limit()
    with tempfile.TemporaryDirectory(prefix="tk-scale-") as directory:
        size = {"count": options.count, "sinks": options.sinks, "seconds": options.seconds}
        figures = Scale(Path(directory), options.tree.resolve(), **size).run()
    sys.stdout.write(figures)
    if options.write:
        before, rest = README.read_text().split(BEGIN)
        README.write_text(f"{before}{BEGIN}\n\n{figures}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
