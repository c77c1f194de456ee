"""The real daemon, killed after each change it makes to its state or to a sink; then started again.

strace says what the daemon does; each of those calls is held up for a moment, so that the kill comes before the next
one. What was done and what not is read from the trace, not assumed.
"""

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any

from tests.behaviour.files.matrix import TEMPORARY
from tests.daemon.harness import Daemon, Home, until
from tests.daemon.tables import PARTNER, PX
from tests.faults.needs import need, when_asked_for
from tests.faults.sink_reports import another_second

pytestmark = when_asked_for
# What changes a file or a directory. Reads in between change nothing that the next start could see.
CHANGES = "openat,mkdir,write,pwrite64,ftruncate,fsync,fchmod,chmod,fchown,fremovexattr,rename,renameat,unlink,unlinkat"
HELD = CHANGES.removeprefix("openat,")
HOLD_UP = f"inject={HELD}:delay_enter=4000"
MOST_CHANGES = 60


class Trace:
    """The changes that a daemon makes below a directory, as they come; it is killed after the ``last`` of them."""

    def __init__(self, home: Home, last: int) -> None:
        self.changes: list[str] = []
        self._places = [str(home.path / name) for name in ("state", "out")]
        self._last = last
        self._pipe, self._end = os.pipe()
        self._victim: Daemon | None = None
        self._reader = threading.Thread(target=self._read)

    def argv(self, *options: str) -> tuple[str, ...]:
        return ("strace", "-f", "-qq", "-y", "-s0", "-o", f"/proc/{os.getpid()}/fd/{self._end}",
                "-e", f"trace={CHANGES}", "-e", HOLD_UP, *options)  # fmt: skip

    def watch(self, victim: Daemon) -> None:
        self._victim = victim
        self._reader.start()

    def kill(self) -> None:
        if self._victim is not None:
            self._victim.process.kill()

    def close(self) -> None:
        os.close(self._end)
        self._reader.join()

    def _read(self) -> None:
        begun: dict[str, str] = {}
        with os.fdopen(self._pipe) as lines:
            for line in lines:
                thread, _, call = line.rstrip("\n").partition(" ")
                if call.endswith("<unfinished ...>"):
                    begun[thread] = call.removesuffix("<unfinished ...>")
                    continue
                if "resumed>" in call:
                    call = begun.pop(thread, "") + call.partition("resumed>")[2]
                self._take(call.strip())

    def _take(self, call: str) -> None:
        match = re.match(r"(\w+)\(.* = \d+", call)  # one that failed, or was never done, changed nothing
        if match is None or (match[1] == "openat" and "O_CREAT" not in call):
            return
        if any(place in call for place in self._places):
            self.changes.append(match[1])
            if len(self.changes) == self._last:
                self.kill()


@contextmanager
def traced(home: Home, last: int) -> Iterator[Trace]:
    trace = Trace(home, last)
    try:
        yield trace
    except BaseException:
        trace.kill()  # strace, and with it the reader, ends when the victim does
        raise
    finally:
        trace.close()


def looks(home: Home) -> tuple[object, ...]:
    """What the next start finds, but for the names of temporaries and for what changes each time."""
    held = []
    for path in sorted(home.path.glob("out/*")) + sorted(home.path.glob("state/**/*")):
        name = "temporary" if TEMPORARY.fullmatch(path.name) else path.name
        held.append((name, oct(path.stat().st_mode), path.read_bytes() if path.is_file() and name != "lock" else b""))
    return tuple(held)


def whole_and_as_before(home: Home, token: str) -> None:
    """A start that serves ``token`` and puts it into the sink, without a request; no temporary is left."""
    asked = home.requests("projectx")
    daemon = home.start().settled()
    assert daemon.lease("px")["access_token"] == token
    assert home.out("bot.env").read_text() == f"JWT_TOKEN={token}\n"
    assert home.requests("projectx") == asked
    assert not [path for path in home.path.rglob("*") if TEMPORARY.fullmatch(path.name)]
    assert daemon.end() == 0


def test_killed_at_any_change_of_its_start_it_starts_again_and_serves_without_a_request(home: Home) -> None:
    """P1, P2, docs/promises.md 55, 69: with one persisted token, which it publishes over an older one."""
    need("strace")
    first = home.start(PX).settled()
    token = first.lease("px")["access_token"]
    assert first.end() == 0
    shutil.copytree(home.path / "state", home.path / "kept")
    old = "JWT_TOKEN=an-older-fake\n"
    seen, proven, last = [], set(), 0
    while last < MOST_CHANGES:
        last += 1
        shutil.rmtree(home.path / "state")
        shutil.copytree(home.path / "kept", home.path / "state")
        home.out("bot.env").write_text(old)
        with traced(home, last) as trace:
            victim = home.start(ready=False, wrap=(*trace.argv("-D"), "--"))
            trace.watch(victim)
            until(partial(_is_dead_or_ready, victim), "one or the other")
            if not _is_dead(victim):
                victim.end()
        assert home.out("bot.env").read_text() in (old, f"JWT_TOKEN={token}\n"), trace.changes
        if len(trace.changes) == last:
            seen.append(trace.changes)
        if (found := looks(home)) not in proven:
            proven.add(found)
            whole_and_as_before(home, token)
        if len(trace.changes) < last:
            break
    assert len(seen) > 10, seen
    assert any(changes[-1].startswith("rename") for changes in seen)
    assert any(changes[-1] == "fsync" for changes in seen)
    assert len(proven) > 3, "kills on both sides of what matters"


def test_killed_at_any_change_of_a_refresh_it_serves_the_last_good_token(home: Home) -> None:
    """P1, P2, docs/promises.md 55, 69, 123: each next daemon serves what was saved last, and its file says the same."""
    need("strace")
    daemon = home.start(PX, PARTNER).settled()
    before = {name: daemon.lease(name) for name in ("px", "partner")}
    seen, ends = [], set()
    for last in range(1, MOST_CHANGES):
        with traced(home, last) as trace:
            attach(trace, daemon)
            another_second()
            with suppress(OSError, HTTPException):  # it was killed before it could answer
                daemon.ask("POST", "/v1/tokens/partner/refresh")
            until(partial(_is_dead_or_out, daemon, before["partner"]), "an end")
            if not _is_dead(daemon):
                daemon.end()
        saved = json.loads((home.path / "state" / "tokens" / "partner.json").read_bytes())["generation"]
        daemon = home.start().settled()
        after = {name: daemon.lease(name) for name in ("px", "partner")}
        assert after["px"] == before["px"]
        assert after["partner"]["generation"] == saved, "what was saved last, and nothing that was minted since"
        assert home.out("partner.jwt").read_text() == after["partner"]["access_token"]
        assert not [path for path in home.path.rglob("*") if TEMPORARY.fullmatch(path.name)]
        ends.add(saved > before["partner"]["generation"])
        if len(trace.changes) < last:
            break
        seen.append(trace.changes)
        before = after
    assert len(seen) > 8, seen
    assert ends == {False, True}, "kills before and after it was saved"
    assert home.requests("projectx") == 1


def attach(trace: Trace, daemon: Daemon) -> None:
    """Have strace trace a daemon that runs; it ends with it."""
    argv = [*trace.argv(), "-p", str(daemon.process.pid)]
    threading.Thread(target=subprocess.run, args=(argv,), kwargs={"capture_output": True}).start()
    status = Path(f"/proc/{daemon.process.pid}/status")
    until(lambda: "TracerPid:\t0\n" not in status.read_text(), "the tracer")
    trace.watch(daemon)


def _is_dead(daemon: Daemon) -> bool:
    return daemon.process.poll() is not None


def _is_dead_or_ready(daemon: Daemon) -> bool:
    return _is_dead(daemon) or daemon.get("/readyz").status == 200


def _is_dead_or_out(daemon: Daemon, before: dict[str, Any]) -> bool:
    return _is_dead(daemon) or _is_out(daemon, before)


def _is_out(daemon: Daemon, before: dict[str, Any]) -> bool:
    """Return whether a newer token is in the file."""
    found = daemon.lease("partner")
    text = daemon.home.out("partner.jwt").read_text()
    return bool(found["generation"] > before["generation"] and text == found["access_token"])
