"""Commands of the operator: run in a session of their own, limited in time, and ended together with the daemon."""

import errno
import os
import select
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tokend.files import Level, UntrustedError, require_safe

# Environment variables that a program needs to run. The others are not passed on: they may hold secrets.
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
# One read takes at most this much.
READ_BYTES = 64 * 1024
# A command that is ended together with the daemon may tidy up for this long. The daemon must end within 5 s.
GRACE_SECONDS = 1.0
LOOK_SECONDS = 0.02


@dataclass(frozen=True, slots=True, repr=False)
class EndedCommand:
    """A command that has ended: ``status`` as in `subprocess.Popen.returncode`, ``output`` at most one byte too long.

    The output may be a secret: it is not in the repr.
    """

    status: int
    output: bytes


class _Running:
    """The process ids of the commands that nobody has waited for: no other process or group can have such an id."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.pids: set[int] = set()
        self.ends = 0
        self.deadline = 0.0  # of the last `end_commands`, on the monotonic clock

    def add(self, pid: int, ends_before: int) -> None:
        with self.lock:
            self.pids.add(pid)
            missed = self.ends != ends_before
        if missed:  # `end_commands` was called while the process was being started
            _kill_group(pid, signal.SIGKILL)

    def remove(self, pid: int) -> None:
        with self.lock:
            self.pids.discard(pid)


_running = _Running()


class CommandStop:
    """End one command from another thread, also before it is started: its result is not wanted any more."""

    __slots__ = ("_pid", "_stopped")

    def __init__(self) -> None:
        self._pid: int | None = None
        self._stopped = False

    def stop(self) -> None:
        """Kill the command with its process group, or keep it from being started. After its end this does nothing."""
        with _running.lock:
            self._stopped = True
            self._kill()

    def begun(self, pid: int | None) -> None:
        """Note that the command is starting, or runs as ``pid``. Raises TimeoutError if it is not wanted any more."""
        with _running.lock:
            self._pid = pid
            if self._stopped and pid is None:
                raise TimeoutError
            if self._stopped:
                self._kill()

    def _kill(self) -> None:
        if self._pid in _running.pids:
            _kill_group(self._pid, signal.SIGKILL)


def run_command(
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    seconds: float,
    output_limit: int = 0,
    stop: CommandStop | None = None,
) -> EndedCommand:
    """Run a command and wait until it has ended; its standard output is read if ``output_limit`` (bytes) is not 0.

    Raises OSError or ValueError if it cannot be started, and TimeoutError after ``seconds``. A program that somebody
    else could change is not started (`files.trusted`): it would run as this user. A command that is out of time, or
    that prints more than ``output_limit`` bytes, is killed with its whole process group. ``stop`` ends it at once.
    Blocks.
    """
    _require_safe_program(argv[0], environ)
    stop = stop or CommandStop()
    stop.begun(None)
    null, ends_before = subprocess.DEVNULL, _running.ends
    process = subprocess.Popen(
        argv,
        stdin=null,
        stdout=subprocess.PIPE if output_limit else null,
        stderr=null,
        env=environ,
        start_new_session=True,
    )
    with process:
        _running.add(process.pid, ends_before)
        stop.begun(process.pid)
        try:
            return _wait(process, ends_before, time.monotonic() + seconds, output_limit)
        finally:
            # Last: the process has ended, and `with` waits for it next.
            _running.remove(process.pid)


def failure_of_command(argv: Sequence[str], added: Mapping[str, str], *, seconds: float) -> str | None:
    """Run a command with `PASSED_ON` and ``added`` as its environment. Blocks.

    Returns None if it has succeeded, else a sentence without a full stop that says why it has not.
    """
    environ = {key: os.environ[key] for key in PASSED_ON if key in os.environ}
    try:
        status = run_command(argv, {**environ, **added}, seconds=seconds).status
    except TimeoutError:
        return f"{argv[0]} did not end within {seconds:g} s"
    except (OSError, ValueError) as error:
        return f"{argv[0]} cannot be run: {getattr(error, 'strerror', error)}"
    if status < 0:
        return f"{argv[0]} was ended by signal {-status}"
    return f"{argv[0]} failed with exit status {status}" if status else None


def _require_safe_program(name: str, environ: Mapping[str, str]) -> None:
    if (path := shutil.which(name, path=environ.get("PATH"))) is not None:
        try:
            require_safe(path, foreign=Level.UNSAFE)
        except UntrustedError as error:
            raise PermissionError(errno.EPERM, f"unsafe_path: {error.strerror}", path) from None


def end_commands() -> None:
    """End all running commands with their process groups: SIGTERM, and SIGKILL after `GRACE_SECONDS`. Blocks.

    That holds for a process of a group also where the command itself has ended.
    """
    deadline = _running.deadline = time.monotonic() + GRACE_SECONDS
    running = _signal_all(signal.SIGTERM)
    while running and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
        running = _signal_all(None)
    kill_commands()


def kill_commands() -> None:
    """Kill all running commands with their process groups, now."""
    _signal_all(signal.SIGKILL)


def _signal_all(number: signal.Signals | None) -> int:
    """Send a signal to the process groups of all running commands; returns their number."""
    with _running.lock:
        _running.ends += 1
        if number is not None:
            for pid in _running.pids:
                _kill_group(pid, number)
        return len(_running.pids)


def _wait(process: subprocess.Popen[bytes], ends_before: int, deadline: float, output_limit: int) -> EndedCommand:
    ended = -1
    try:
        ended = os.pidfd_open(process.pid)
        output = b"" if process.stdout is None else _read(process.stdout.fileno(), deadline, output_limit)
        if len(output) > output_limit:
            _kill_group(process.pid, signal.SIGKILL)
        _poll(ended, deadline)
    except BaseException:
        _kill_group(process.pid, signal.SIGKILL)
        if ended >= 0:
            _poll(ended, None)
        raise
    finally:
        if ended >= 0:
            os.close(ended)
    if ended_by_us := _running.ends != ends_before:
        while time.monotonic() < _running.deadline and _has_others(process.pid):
            time.sleep(LOOK_SECONDS)
    # Nobody else knows this process's group id after `_Running.remove`.
    with _running.lock:
        _running.pids.discard(process.pid)
        if ended_by_us:
            # What is left of the group has nobody else who could end it.
            _kill_group(process.pid, signal.SIGKILL)
        return EndedCommand(process.wait(), output)


def _read(pipe: int, deadline: float, limit: int) -> bytes:
    """Read until the end, or until the output is longer than ``limit``."""
    output = b""
    while len(output) <= limit:
        _poll(pipe, deadline)
        chunk = os.read(pipe, min(READ_BYTES, limit + 1 - len(output)))
        if not chunk:
            break
        output += chunk
    return output


def _poll(descriptor: int, deadline: float | None) -> None:
    """Wait until a descriptor is readable. Raises TimeoutError at the deadline."""
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    if not waiting.poll(None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000):
        raise TimeoutError


def _has_others(group: int) -> bool:
    """Return whether a process of the group runs. Its leader has ended, and nobody has waited for it yet."""
    with suppress(OSError):
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                state, _, found = (process / "stat").read_text().rpartition(")")[2].split()[:3]
                if int(found) == group and state != "Z":
                    return True
    return False


def _kill_group(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # a set-user-ID program may be beyond our reach
        os.killpg(pid, number)
