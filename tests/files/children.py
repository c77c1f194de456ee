"""Processes that write files: killed, stopped or failed at a system call, or in a filesystem of their own."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import jinja2.sandbox  # noqa: F401  # imported when needed; a stranger may not be able to, where the venv is private
import pytest

import tokend

ROOT = Path(tokend.__file__).parents[1]
DEADLINE_SECONDS = 60.0
NO_TRACER = 77
# Any uid except root's and that of the tests.
STRANGER = 54321

# The child imports and warms up first, so that only the calls of `publish` are counted.
_TRACED = """
import ctypes, os, pathlib, subprocess, sys
{setup}
PR_SET_PTRACER = 0x59616d61
ctypes.CDLL(None).prctl(PR_SET_PTRACER, ctypes.c_ulong(2**64 - 1), 0, 0, 0)
argv = ["strace", "-y", "-o", {trace!r}, *{options!r}, "-p", str(os.getpid())]
tracer = subprocess.Popen(argv, stderr=subprocess.PIPE)
if b"attached" not in tracer.stderr.readline():
    os._exit({no_tracer})
publish()
os._exit(0)
"""


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition, with a deadline: the only pause in these tests."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come about"
        threading.Event().wait(0.005)


def environment() -> dict[str, str]:
    """What a child needs to find tokend, and to write no bytecode meanwhile."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


def start_traced(setup: str, options: list[str], trace: Path) -> "subprocess.Popen[bytes]":
    """Start a child whose ``publish`` (defined by ``setup``) runs under strace with these options."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    code = _TRACED.format(setup=setup, trace=str(trace), options=options, no_tracer=NO_TRACER)
    # stdout is inherited by strace too: its end is the end of both.
    return subprocess.Popen([sys.executable, "-c", code], env=environment(), stdout=subprocess.PIPE)


def run_traced(setup: str, options: list[str], trace: Path) -> int:
    """Run such a child to its end; its exit status."""
    child = start_traced(setup, options, trace)
    child.communicate(timeout=DEADLINE_SECONDS)
    if child.returncode == NO_TRACER:
        pytest.skip("strace may not attach to processes here")
    return child.returncode


@contextmanager
def stopped_at(setup: str, call: str, trace: Path, *, number: int = 1) -> Iterator[None]:
    """Run the block while a child stands at its ``number``-th ``call``; then let it go on to a good end."""
    child = start_traced(setup, ["-e", f"trace={call}", "-e", f"inject={call}:signal=STOP:when={number}"], trace)
    try:
        until(lambda: child.poll() is not None or _state(child.pid) in "Tt", f"the stop at {call}")
        if child.poll() == NO_TRACER:
            pytest.skip("strace may not attach to processes here")
        assert child.returncode is None, f"the child ended before {call}"
        yield
    finally:
        with suppress(ProcessLookupError):
            child.send_signal(signal.SIGCONT)
        child.communicate(timeout=DEADLINE_SECONDS)
    assert child.returncode == 0


def _state(pid: int) -> str:
    # A tracer stops its child at every call: only a stop that lasts is the one that was asked for.
    states = set()
    for _ in range(5):
        states.add(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0])
        threading.Event().wait(0.01)
    return states.pop() if len(states) == 1 else "?"


def in_own_mounts(mounts: str, code: str, directory: Path) -> str:
    """Run Python ``code`` in ``directory`` after the shell commands ``mounts``, in a mount namespace; its output."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("mounting needs root and mount namespaces")
    script = f'set -e; cd "$1"; {mounts}\nexec "$2" -c "$3"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", str(directory), sys.executable, code],
        env=environment(), capture_output=True, text=True, check=False, timeout=DEADLINE_SECONDS,
    )  # fmt: skip
    if "mount:" in done.stderr:
        pytest.skip("this machine does not let root mount")
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def acting_as(uid: int) -> Iterator[None]:
    """Let the block run as another user without groups; needs root."""
    if os.geteuid() != 0:
        pytest.skip("becoming somebody else needs root")
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@contextmanager
def public_directory() -> Iterator[Path]:
    """A directory that others can reach too (pytest's own are closed to them)."""
    path = Path(tempfile.mkdtemp(prefix="tk-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path)


def needs_root() -> None:
    """Skip where files cannot be given to others."""
    if os.geteuid() != 0:
        pytest.skip("giving files to others needs root")


def supports_acl(directory: Path) -> bool:
    """Return whether the filesystem there keeps POSIX ACLs."""
    scratch = directory / "scratch"
    scratch.touch()
    try:
        os.setxattr(scratch, "system.posix_acl_access", acl())
    except OSError as error:
        assert error.errno in {errno.EOPNOTSUPP, errno.EPERM}
        return False
    finally:
        scratch.unlink()
    return True


def acl(*, user: int = STRANGER, rights: int = 6, mask: int = 6, others: int = 0) -> bytes:
    """A POSIX ACL that lets one more user in (linux/posix_acl_xattr.h: version 2, then tag, rights, id)."""
    everybody = 0xFFFFFFFF
    entries = [(1, 6, everybody), (2, rights, user), (4, 0, everybody), (16, mask, everybody), (32, others, everybody)]
    parts = [
        tag.to_bytes(2, "little") + bits.to_bytes(2, "little") + who.to_bytes(4, "little") for tag, bits, who in entries
    ]
    return (2).to_bytes(4, "little") + b"".join(parts)


def names(directory: Path) -> set[str]:
    """What stands in a directory, dot-files included."""
    return {path.name for path in directory.iterdir()}
