"""In which order a write does what it does, and what readers see meanwhile. Killed at any call: `test_crash_matrix`."""

import re
import subprocess
import sys
from pathlib import Path
from re import Match

from tests.files.children import DEADLINE_SECONDS, names, run_traced
from tokend.files import replace_file
from tokend.files.ownership import Ownership
from tokend.state.directory import StateDirectory

CALLS = "openat,write,fsync,fchmod,fchown,ftruncate,fremovexattr,rename,renameat,renameat2,unlinkat,close"
SETUP = """
import pathlib
from tokend.files import replace_file, replace_private
from tokend.files.ownership import Ownership
replace_private(pathlib.Path({warm!r}), b"warm")
def publish():
    replace_file(pathlib.Path({path!r}), {new!r}, Ownership(mode=0o640))
"""
NEW = b"new" * 3000
WRITES = 2000


def calls_of_a_write(path: Path, tmp_path: Path) -> list[Match[str]]:
    """Every traced system call from the start of a write to its end, in order."""
    setup = SETUP.format(warm=str(tmp_path / "warm"), path=str(path), new=NEW)
    trace = tmp_path / "trace"
    assert run_traced(setup, ["-e", f"trace={CALLS}"], trace) == 0
    lines = trace.read_text().splitlines()
    last = max(index for index, line in enumerate(lines) if str(path.parent) in line)
    return [match for line in lines[: last + 2] if (match := re.match(r"(\w+)\((.*)", line))]


def test_the_state_directory_is_swept_at_the_next_start(tmp_path: Path) -> None:
    """docs/promises.md 113: a killed save leaves a temporary with a token in it; other files stay."""
    StateDirectory(tmp_path / "state").close()
    tokens = tmp_path / "state" / "tokens"
    (tokens / "tt.json").write_bytes(b"{}")
    (tokens / ".tt.json.tokend-0123abcd").write_bytes(b"planted-fake")
    (tmp_path / "state" / ".salt.tokend-0123abcd").write_bytes(b"planted-fake")
    StateDirectory(tmp_path / "state").close()
    assert names(tokens) == {"tt.json"}
    assert names(tmp_path / "state") == {"lock", "salt", "tokens"}


def test_mode_and_owner_come_before_data_and_data_before_the_name(tmp_path: Path) -> None:
    """P5, P1: create, mode, write, fsync, rename, fsync of the directory; the new name is never seen otherwise."""
    path = tmp_path / "place" / "token"
    path.parent.mkdir()
    points = calls_of_a_write(path, tmp_path)
    steps = [step for point in points if (step := _step(point[1], point[2])) is not None]
    assert steps == ["create", "fchmod", "write", "fsync", "rename", "fsync of the directory"]


def _step(call: str, arguments: str) -> str | None:
    """What a traced call does to a write; None if nothing."""
    if "O_EXCL" in arguments:
        return "create"
    if call == "fsync":
        return "fsync" if ".tokend-" in arguments else "fsync of the directory"
    if call.startswith("rename"):
        return "rename"
    return call if call in {"fchmod", "fchown", "write"} and ".tokend-" in arguments else None


READER = """
import pathlib, sys
path, stop = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
reads = newest = 0
print("reading", flush=True)
while reads % 100 or not stop.exists():
    found = path.read_bytes()
    reads += 1
    number = int(found.partition(b":")[0] or b"-1")
    if number < newest or found != b"%d:" % number + b"%d" % (number % 10) * (1000 + 97 * (number % 50)):
        sys.exit(f"torn: {found[:20]}")
    newest = number
print(reads)
"""


def test_readers_never_see_a_torn_file(tmp_path: Path) -> None:
    """docs/promises.md 57: processes that read all the time while it is written 2,000 times. Nor an older token."""
    path, stop = tmp_path / "token", tmp_path / "stop"

    def content(number: int) -> bytes:
        return b"%d:" % number + b"%d" % (number % 10) * (1000 + 97 * (number % 50))

    replace_file(path, content(0), Ownership(mode=0o600))
    argv = [sys.executable, "-c", READER, str(path), str(stop)]
    readers = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        for reader in readers:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "reading\n"
        for number in range(1, WRITES + 1):
            replace_file(path, content(number), Ownership(mode=0o600))
    finally:
        stop.touch()
        reads = [reader.communicate(timeout=DEADLINE_SECONDS)[0] for reader in readers]
    assert [reader.returncode for reader in readers] == [0, 0]
    assert sum(map(int, reads)) > WRITES
    assert path.read_bytes() == content(WRITES)
    assert names(tmp_path) == {"token", "stop"}
