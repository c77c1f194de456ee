"""Messages to systemd and to the journal."""

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.harness import Home, until
from tests.daemon.tables import DAEMON, PARTNER


@pytest.fixture
def slow(home: Home) -> Path:
    """A damaged file of the state that takes as long to open as ``.hold`` stands beside it."""
    if (compiler := shutil.which("cc")) is None:
        pytest.skip("there is no C compiler")
    library = home.path / "slow_disk.so"
    source = Path(__file__).with_name("slow_disk.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    slow = home.path / "state" / "tokens" / "slow.json"
    slow.parent.mkdir(parents=True)
    slow.write_bytes(b"")
    slow.with_suffix(".json.hold").touch()
    home.environ.update(LD_PRELOAD=str(library), SLOW_FILE=str(slow))
    return slow


def test_each_reload_begins_and_ends_in_order_also_when_it_is_refused(home: Home) -> None:
    """RELOADING=1 with MONOTONIC_USEC, then READY=1, as Type=notify-reload wants it."""
    daemon = home.start(PARTNER).settled()
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    daemon.ask("POST", "/v1/reload")
    home.save(home.config, "not TOML")
    assert home.run("reload").returncode == 2
    daemon.quiet().end()
    until(lambda: daemon.noted("STOPPING=1"), "STOPPING=1")
    order = [note for note in daemon.notes if not note.startswith(("STATUS=", "EXTEND_TIMEOUT_USEC="))]
    assert order[0] == "READY=1"
    assert order[-1] == "STOPPING=1"
    begins, ends = order[1:-1:2], order[2:-1:2]
    assert len(begins) == len(ends) >= 2
    assert set(ends) == {"READY=1"}
    for begin in begins:
        first, second = begin.split("\n")
        assert first == "RELOADING=1"
        assert (
            before <= int(second.removeprefix("MONOTONIC_USEC=")) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        )


def test_a_slow_start_asks_for_time_and_is_not_ready_before_it_is(home: Home, slow: Path) -> None:
    """EXTEND_TIMEOUT_USEC while the state is being read from a disk that hangs; READY=1 after that."""
    daemon = home.start(PARTNER, ready=False)
    until(lambda: daemon.noted("EXTEND_TIMEOUT_USEC=30000000") >= 2, "the second wish, which is the loop's")
    assert not daemon.noted("READY=1")
    slow.with_suffix(".json.hold").unlink()
    until(lambda: daemon.noted("READY=1"), "READY=1")
    assert len(daemon.log("state.damaged")) == 1


def test_a_start_that_hangs_can_be_ended(home: Home, slow: Path) -> None:
    """SIGTERM is heard while the state is being read: nobody has to wait for the disk, or to kill."""
    daemon = home.start(PARTNER, ready=False)
    until(lambda: daemon.noted("EXTEND_TIMEOUT_USEC=") >= 2, "the loop")
    assert daemon.end(seconds=5) == 0
    until(lambda: daemon.noted("STOPPING=1"), "STOPPING=1")
    assert not daemon.noted("READY=1")


def test_the_watchdog_is_fed_twice_as_often_as_systemd_wants(home: Home) -> None:
    """WATCHDOG=1 at half of WATCHDOG_USEC; a daemon that is stopped feeds nobody."""
    daemon = home.start(PARTNER, WATCHDOG_USEC="200000").settled()
    until(lambda: daemon.noted("WATCHDOG=1") >= 5, "five meals", seconds=5)
    daemon.send(signal.SIGSTOP)
    until(lambda: _state(daemon.process.pid) == "T", "the stop")
    count = daemon.quiet().noted("WATCHDOG=1")
    daemon.send(signal.SIGCONT)
    until(lambda: daemon.noted("WATCHDOG=1") > count, "the next meals")


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
        return file.read().rsplit(")", 1)[1].split()[0]


@pytest.mark.parametrize(("form", "journal"), [("auto", False), ("auto", True), ("logfmt", False), ("json", False)])
def test_the_log_has_the_form_that_its_reader_wants(home: Home, form: str, journal: bool) -> None:
    """auto is logfmt where no terminal is; with <N> under the journal, which has its own clock; JSON on request."""
    home.write(PARTNER, daemon=DAEMON + f'log_format = "{form}"\n')
    environ: dict[str, Any] = {"JOURNAL_STREAM": "8:1234"} if journal else {}
    daemon = home.start(**environ).settled()
    daemon.end()
    lines = daemon.log()
    events = ["config.applied", "daemon.ready", "token.refreshed", "sink.written", "daemon.stopping"]
    if form == "json":
        found = [json.loads(line) for line in lines]
        assert {*events} <= {line["event"] for line in found}
        assert all({"timestamp", "level", "event"} <= line.keys() for line in found)
    else:
        assert all(daemon.log(event) for event in events)
        start = ("<6>level=info ", "<4>level=warning ") if journal else "timestamp=2"
        assert all(line.startswith(start) for line in lines), lines
