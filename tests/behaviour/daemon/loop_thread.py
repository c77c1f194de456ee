"""A daemon whose event loop is watched: its thread must not wait for disks, names or other processes while it serves.

`python loop_thread.py NOTES run --config FILE` is `tokend run --config FILE`. From READY=1 to STOPPING=1 each forbidden
call in the loop's thread is a line in NOTES, with the place that made it.
"""

import os
import sys
import threading
from types import FrameType

FORBIDDEN = {
    "open", "os.listdir", "os.scandir", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod", "os.chown",
    "os.link", "os.symlink", "os.truncate", "subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty", "os.exec",
    "os.system", "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo",
}  # fmt: skip
# Functions without an audit event.
CALLS = {
    "getpwnam", "getpwuid", "getpwall", "getgrnam", "getgrgid", "getgrall", "initgroups", "getgrouplist", "stat",
    "lstat", "fsync", "fdatasync", "unlink",
}  # fmt: skip
# Enough to see who called.
MOST_FRAMES = 8
# The kernel answers these from memory.
HARMLESS = ("/proc/", "/sys/fs/cgroup/")


def main(notes: str, arguments: list[str]) -> int:
    found = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    loop = threading.get_ident()
    serving = False

    def note(what: str) -> None:
        # Not the module traceback: it opens the source of each frame.
        places: list[str] = []
        frame: FrameType | None = sys._getframe(2)
        while frame is not None and len(places) < MOST_FRAMES:
            if "importlib" not in frame.f_code.co_filename:
                places.append(f"{frame.f_code.co_filename.rpartition('/tokend/')[2]}:{frame.f_lineno}")
            frame = frame.f_back
        os.write(found, f"{what}: {' < '.join(places)}\n".encode())

    def audit(event: str, given: tuple[object, ...]) -> None:
        if threading.get_ident() == loop and serving and event in FORBIDDEN and not _is_harmless(given):
            note(f"{event} {given[:1]}")

    def profile(frame: FrameType, event: str, function: object) -> None:
        nonlocal serving
        if event == "call" and frame.f_code.co_name in ("ready", "stopping"):
            serving = frame.f_code.co_name == "ready"
        elif serving and event == "c_call" and getattr(function, "__name__", "") in CALLS:
            note(f"call {function}")

    sys.addaudithook(audit)
    sys.setprofile(profile)
    from tokend.__main__ import main as run

    sys.argv = ["tokend", *arguments]
    return run()


def _is_harmless(given: tuple[object, ...]) -> bool:
    return bool(given) and isinstance(given[0], str | bytes) and os.fsdecode(given[0]).startswith(HARMLESS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
