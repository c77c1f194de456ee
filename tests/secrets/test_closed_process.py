"""Closed by the kernel: the daemon's memory, environment, descriptors and core, also to processes of its uid."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.daemon.harness import Home, at_home
from tests.daemon.tables import PARTNER
from tests.secrets.search import traces

LOOK = Path(__file__).with_name("process_access.py")
SECRET = "6f31c0de-planted-fake-environment-5eedbead"
PLANTED = PARTNER.replace('{{ file = "s/partner" }}', '{{ env = "PLANTED" }}')
# Root may look into everything by its capabilities: what is tested is the uid without them.
WITHOUT = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()
without_capabilities = pytest.mark.skipif(bool(WITHOUT) and not shutil.which("setpriv"), reason="setpriv is missing")


def looked(pid: int) -> set[str]:
    """The ways into a process that worked for another one of the same uid."""
    done = subprocess.run(
        [*WITHOUT, sys.executable, str(LOOK), str(pid)], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


@contextmanager
def ordinary(directory: Path, *wrap: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that closed itself to nobody."""
    script = "import sys; print(flush=True); sys.stdin.read()"
    pipe = subprocess.PIPE
    argv = [*wrap, *WITHOUT, sys.executable, "-c", script]
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, cwd=directory, env={**os.environ, "PLANTED": SECRET}) as it:
        assert it.stdout is not None
        it.stdout.readline()
        yield it
        it.kill()


@without_capabilities
def test_nobody_of_the_same_uid_looks_into_the_daemon(tmp_path: Path) -> None:
    """docs/promises.md 109: /proc, ptrace (and so gdb, strace, py-spy), memory and descriptors; all of it is open in
    an ordinary process."""
    with ordinary(tmp_path) as it:
        open_ways = looked(it.pid)
    assert {"environ", "maps", "exe", "fd"} <= open_ways  # and more, where Yama allows it
    with at_home() as home:
        home.write(PLANTED)
        daemon = home.start(wrap=WITHOUT, PLANTED=SECRET).settled()
        assert looked(daemon.process.pid) == set()
        public = [
            Path(f"/proc/{daemon.process.pid}/{name}").read_bytes() for name in ("cmdline", "status", "comm", "stat")
        ]
        assert traces({"PLANTED": SECRET}, b"".join(public)) == []


@without_capabilities
@pytest.mark.skipif(not shutil.which("gdb"), reason="gdb is not installed")
def test_a_debugger_is_refused(tmp_path: Path, home: Home) -> None:
    """docs/promises.md 108, 109: neither a look nor a core by hand, as by gcore."""
    home.write(PLANTED)
    daemon = home.start(wrap=WITHOUT, PLANTED=SECRET).settled()
    core = tmp_path / "by-hand"
    argv = [*WITHOUT, "gdb", "-nx", "-batch", "-p", str(daemon.process.pid), "-ex", f"generate-core-file {core}"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path)
    assert "ptrace" in done.stderr
    assert not core.exists()
    assert daemon.get("/livez").status == 200


def test_a_crash_leaves_no_core(tmp_path: Path, home: Home) -> None:
    """docs/promises.md 108: whatever limit it was started with; the frames that faulthandler shows hold no values."""
    unlimited = ("prlimit", "--core=unlimited")
    if subprocess.run([*unlimited, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("this user may not have cores at all")
    with ordinary(tmp_path, *unlimited) as it:
        it.send_signal(signal.SIGABRT)
        _, status = os.waitpid(it.pid, 0)
    for core in tmp_path.glob("core*"):
        core.unlink()
    home.write(PLANTED)
    daemon = home.start(wrap=unlimited, PLANTED=SECRET).settled()
    daemon.send(signal.SIGSEGV)
    _, ended = os.waitpid(daemon.process.pid, 0)
    assert os.WTERMSIG(ended) == signal.SIGSEGV
    assert not os.WCOREDUMP(ended), f"an ordinary process: {os.WCOREDUMP(status)}"
    assert list(home.path.glob("core*")) == []
    assert traces({"PLANTED": SECRET}, home.log.read_bytes()) == []
    assert "Fatal Python error: Segmentation fault" in home.log.read_text()
