"""Run the real daemon for an hour against upstreams that fail, and say what it cost and what its readers got:
``python -m tests.soak --minutes 60``.

The figures are printed as Markdown; the exit code is 1 where a bound was broken. What the words mean: README.md here.
"""

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from tests.soak import sampling
from tests.soak.changes import EventBus
from tests.soak.plan import Plan
from tests.soak.report import Figures
from tests.soak.restarts import Restarts
from tests.soak.rows import markdown
from tests.soak.stage import SoakError, Stage

SAMPLE_SECONDS = 1.0
# Before the readers come, each provider has had its first chance.
SETTLE_SHARE, LONGEST_SETTLE_SECONDS = 0.15, 30.0
JOIN_SECONDS = 5.0
CHANGE_SHARE, LONGEST_CHANGE_SECONDS = 1 / 15, 15.0


def main() -> int:
    """Soak, print, and give the exit code."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # what was started is ended
    directory = options.directory or tempfile.mkdtemp(prefix="tk-")
    soak = Plan(
        directory=directory,
        seconds=60 * options.minutes,
        count=options.providers,
        seed=options.seed,
        reads_per_second=options.reads_per_second,
    )
    thrown_away = options.directory is None
    try:
        observe(soak)
        # Whatever goes wrong from here on, an hour's records are not thrown away.
        thrown_away = False
        rows = list(Figures(soak).rows())
        text = markdown(rows)
        (Path(directory) / "figures.md").write_text(text + "\n")
        sys.stdout.write(text + "\n")
        broken = [row for row in rows if row.holds is False]
        for row in broken:
            sys.stderr.write(f"broken: {row.name}: {row.seen}, and not {row.bound}\n")
        thrown_away = options.directory is None
        return 1 if broken else 0
    finally:
        if thrown_away:
            shutil.rmtree(directory, ignore_errors=True)


def observe(soak: Plan) -> None:
    """Run it; what is seen is in its directory then."""
    stage, stop = Stage(soak), threading.Event()
    with stage.running(), (soak.home / "samples.log").open("w") as samples:
        began = time.monotonic()
        changes = EventBus(stage)
        restarts = Restarts(stage, changes)
        pauses = min(CHANGE_SHARE * soak.seconds, LONGEST_CHANGE_SECONDS)
        course = threading.Thread(target=_change, args=(changes, pauses, stop), daemon=True)
        stop.wait(min(SETTLE_SHARE * soak.seconds, LONGEST_SETTLE_SECONDS))
        with stage.readers():
            course.start()
            with suppress(SoakError):  # the daemon did not come back: its restart says so
                while (elapsed := time.monotonic() - began) < soak.seconds and stage.daemon.poll() is None:
                    with suppress(OSError):  # it has ended by itself since
                        samples.write(json.dumps(asdict(sampling.look(stage.daemon.pid, run=stage.runs))) + "\n")
                        samples.flush()
                    restarts.look(elapsed)
                    time.sleep(SAMPLE_SECONDS)
            ended_early = stage.daemon.poll() is not None
            stop.set()
            course.join(JOIN_SECONDS)
        seen = {"done": changes.done, "failed": changes.failed, "ended early": ended_early}
        (soak.home / "changes.json").write_text(json.dumps(seen))


def _change(changes: EventBus, seconds: float, stop: threading.Event) -> None:
    while not stop.wait(seconds):
        try:
            changes.step(stop)
        except (OSError, ValueError, KeyError) as error:
            changes.failed.append(repr(error))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="for how long (default 60)")
    parser.add_argument("--providers", type=int, default=1000, help="how many (default 1000)")
    parser.add_argument("--reads-per-second", type=float, default=100.0, help="of sockets and files together")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the upstream's failures")
    parser.add_argument(
        "--directory", help="an empty directory for everything, which is kept (default: a temporary one)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
