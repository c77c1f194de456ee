"""``python -m tests.fuzz TARGET --seconds 60``: look for inputs that break a target, guided by coverage.

Needs ``pip install atheris``. What breaks it is left in ``tests/fuzz/found/`` and printed; afterwards the inputs that
reach the most code in the fewest bytes are kept in ``tests/fuzz/corpus/TARGET/``, where the test suite replays them.
Files there that were given a name by hand stay.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
# What is kept of one target besides what was named by hand: the repository is no place for a heap of noise.
KEPT_BYTES, KEPT_FILES = 6 * 1024, 20
LONGEST_INPUT_BYTES = 2048
_HASH = re.compile(r"[0-9a-f]{40}")


def main() -> int:
    """Run one target, or each of them in turn; returns 1 if something was found."""
    from tests.fuzz.targets import TARGETS

    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=[*TARGETS, "all"])
    parser.add_argument("--seconds", type=int, default=60, help="for each target [default: 60]")
    options = parser.parse_args()
    if find_spec("atheris") is None:
        parser.error("pip install atheris")
    names = list(TARGETS) if options.target == "all" else [options.target]
    return max(fuzz(name, options.seconds) for name in names)


def fuzz(name: str, seconds: int) -> int:
    """Run one target for so long, then keep the best of its inputs. 1 if one of them broke it."""
    kept, found = HERE / "corpus" / name, HERE / "found"
    found.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tk-") as scratch:
        new, best = Path(scratch) / "new", Path(scratch) / "best"
        new.mkdir()
        best.mkdir()
        limits = [f"-max_len={LONGEST_INPUT_BYTES}", "-timeout=20", "-rss_limit_mb=2048"]
        broken = _run(name, [f"-max_total_time={seconds}", f"-artifact_prefix={found}/{name}-", *limits, new, kept])
        if broken:
            sys.stdout.write(f"{name}: broken; the input is in {found}\n")
            return 1
        _run(name, ["-merge=1", *limits, best, kept, new])
        _keep(best, kept)
    return 0


def _run(name: str, arguments: list[object]) -> int:
    return subprocess.run(
        [sys.executable, "-m", "tests.fuzz.inside", name, *map(str, arguments)], check=False
    ).returncode


def _keep(best: Path, kept: Path) -> None:
    """Replace what was kept by some of ``best``, of every size: the smallest alone reach little."""
    for old in kept.iterdir():
        if _HASH.fullmatch(old.name):
            old.unlink()
    left = KEPT_BYTES
    there = {path.read_bytes() for path in kept.iterdir()}
    found = sorted(best.iterdir(), key=lambda path: path.stat().st_size)
    for path in found[:: max(1, -(-len(found) // KEPT_FILES))]:
        left -= path.stat().st_size
        if left < 0:
            return
        if path.read_bytes() not in there:
            shutil.copyfile(path, kept / path.name)


if __name__ == "__main__":
    sys.exit(main())
