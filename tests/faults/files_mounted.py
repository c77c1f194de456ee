"""Filesystems that only a daemon under test sees: in a mount namespace that is gone when its processes have ended."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.faults.needs import lack, need

PATIENCE_SECONDS = 20.0
FUSE = Path(__file__).with_name("files_fuse.py")


class Mounts:
    """A mount namespace, held open by a process. ``wrap`` starts a command inside."""

    def __init__(self, keeper: "subprocess.Popen[str]") -> None:
        self.keeper = keeper
        self.wrap = ("nsenter", "-t", str(keeper.pid), "-m", "--")

    def shell(self, script: str, *arguments: str | Path) -> None:
        """Run a script inside; its failure is the test's."""
        argv = [*self.wrap, "sh", "-euc", script, "sh", *map(str, arguments)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)
        if "mount" in done.stderr and "ermission" in done.stderr:
            lack("this machine does not let root mount")
        assert done.returncode == 0, done.stderr

    def see(self, path: Path) -> Path:
        """The same path as it is inside."""
        return Path(f"/proc/{self.keeper.pid}/root") / path.relative_to("/")


class Fuse(Mounts):
    """A filesystem of `files_fuse` inside; operations are called as there."""

    def _say(self, *words: Any) -> Any:
        assert self.keeper.stdin is not None
        assert self.keeper.stdout is not None
        self.keeper.stdin.write(json.dumps(words) + "\n")
        self.keeper.stdin.flush()
        return json.loads(self.keeper.stdout.readline())

    def hang(self, *operations: str) -> None:
        """Let each caller of these wait from now on."""
        self._say("hang", *operations)

    def fail(self, operation: str, error: int, *, times: int | None = None) -> None:
        """Calls of this fail, so often or always."""
        self._say("fail", operation, error, times)

    def short(self, most_bytes: int) -> None:
        """A write takes no more than this at a time."""
        self._say("short", most_bytes)

    def well(self) -> None:
        """Nothing is wrong any more; who was kept waiting goes on."""
        self._say("release")

    @property
    def held(self) -> int:
        """How many calls wait now."""
        return int(self._say("tell")["held"])

    @property
    def log(self) -> list[list[Any]]:
        """All that was changed, in order."""
        return list(self._say("tell")["log"])


@contextmanager
def own_mounts() -> Iterator[Mounts]:
    """A namespace to mount in."""
    need("unshare", "nsenter", root=True)
    with _keeper("sh", "-c", 'echo "\\"ready\\""; exec sleep 3600') as keeper:
        yield Mounts(keeper)


@contextmanager
def fuse(mountpoint: Path) -> Iterator[Fuse]:
    """A filesystem on this directory, inside."""
    need("unshare", "nsenter", root=True)
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        lack("there is no /dev/fuse")
    with _keeper(sys.executable, str(FUSE), str(mountpoint)) as keeper:
        yield Fuse(keeper)


@contextmanager
def _keeper(*argv: str) -> Iterator["subprocess.Popen[str]"]:
    keeper = subprocess.Popen(["unshare", "-m", *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert keeper.stdout is not None
        first = keeper.stdout.readline()
        if not first or "mount:" in first:
            lack(f"mounting is not possible here: {first}")
        yield keeper
    finally:
        # With it goes its filesystem: the kernel lets each waiting process go.
        keeper.kill()
        keeper.communicate()
