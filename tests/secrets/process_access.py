"""Try every way to look into another process, as ``python process_access.py PID``; prints the ways that worked."""

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

PTRACE_ATTACH, PTRACE_SEIZE, PTRACE_DETACH = 16, 0x4206, 17
PIDFD_GETFD = 438  # pidfd_getfd(2)
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
# proc(5): what needs a look into the process itself. cmdline, status and comm are for everybody.
FILES = ("environ", "mem", "maps", "smaps", "auxv", "pagemap", "stack", "syscall", "io", "numa_maps", "personality")


def _first_byte(path: Path) -> bytes:
    """Open a file; read a byte, except of ``mem``, whose first page is never mapped."""
    return path.open("rb").read(0 if path.name == "mem" else 1)


def ways(pid: int) -> Iterator[tuple[str, Callable[[], object]]]:
    proc = Path(f"/proc/{pid}")
    for name in FILES:
        yield name, partial(_first_byte, proc / name)
    for name in ("cwd", "exe", "root"):
        yield name, (proc / name).readlink
    yield "fd", lambda: [path.readlink() for path in (proc / "fd").iterdir()]
    yield "map_files", lambda: list((proc / "map_files").iterdir())
    yield "attach", lambda: _traced(PTRACE_ATTACH, pid)
    yield "seize", lambda: _traced(PTRACE_SEIZE, pid)
    yield "process_vm_readv", lambda: _read_memory(pid)
    yield "pidfd_getfd", lambda: _checked(LIBC.syscall(PIDFD_GETFD, os.pidfd_open(pid), 1, 0))


def _traced(request: int, pid: int) -> None:
    _checked(LIBC.ptrace(request, pid, None, None))
    if request == PTRACE_ATTACH:
        os.waitpid(pid, 0x40000000)  # __WALL
    LIBC.ptrace(PTRACE_DETACH, pid, None, None)


def _read_memory(pid: int) -> None:
    class Piece(ctypes.Structure):
        _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))

    buffer = ctypes.create_string_buffer(1)
    # An address of ours: where it is none of theirs the error is another one, and a look all the same.
    address = Piece(ctypes.addressof(buffer), 1)
    if LIBC.process_vm_readv(pid, ctypes.byref(address), 1, ctypes.byref(address), 1, 0) < 0:
        code = ctypes.get_errno()
        if code != 14:  # EFAULT
            raise OSError(code, os.strerror(code))


def _checked(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "")


if __name__ == "__main__":
    for name, way in ways(int(sys.argv[1])):
        try:
            way()
        except OSError:
            continue
        print(name)  # noqa: T201
