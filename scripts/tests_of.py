"""Print the test files of the changed files that standard input names, one per line.

- ``tokend/a/b.py``: the files ``test_b.py`` and ``test_b_*.py`` anywhere under ``tests/``. If there are none, the test
  files that import ``tokend.a.b``.
- A test file: itself. Another Python file under ``tests/``: the test files that import it.
- The README, ``docs/`` and other pages: ``tests/docs``. The man pages' sources: their test, too.

``git ls-files -m | python scripts/tests_of.py`` shows what `scripts/check` would run.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
TESTS = PROJECT / "tests"
# They boot systems or break disks: `scripts/test` and CI run them.
SLOW = {"faults", "systemd", "packages"}
MAN = "tests/packages/test_man.py"


def test_files() -> list[Path]:
    """All that a quick check may run."""
    return [path for path in sorted(TESTS.rglob("test_*.py")) if path.relative_to(TESTS).parts[0] not in SLOW]


def importers(module: str) -> Iterator[Path]:
    """The test files that import a module, as ``import a.b``, ``from a.b import …`` or ``from a import b``."""
    package, _, name = map(re.escape, module.rpartition("."))
    whole = rf"^\s*(?:import|from) {re.escape(module)}(?![\w.])"
    pattern = re.compile(rf"{whole}|^\s*from {package} import .*\b{name}\b", re.MULTILINE)
    yield from (path for path in test_files() if pattern.search(path.read_text(encoding="utf-8")))


def named(stem: str) -> Iterator[Path]:
    """The test files that are named for a module."""
    yield from (path for path in test_files() if path.stem == f"test_{stem}" or path.stem.startswith(f"test_{stem}_"))


def tests_of(changed: Path) -> Iterator[Path]:
    """The tests of one changed file, whose path starts at the project."""
    top, suffix = changed.parts[0], changed.suffix
    parts = changed.with_suffix("").parts
    if parts[-1] == "__init__":
        parts = parts[:-1]
    if suffix == ".md" or top == "docs":
        yield TESTS / "docs"
    if top == "tokend" and suffix == ".py" and len(parts) > 1:  # every test imports tokend itself
        yield from list(named(parts[-1])) or importers(".".join(parts))
    elif top == "tests" and suffix == ".py":
        if changed.name.startswith("test_"):
            yield from [PROJECT / changed] if parts[1] not in SLOW or str(changed) == MAN else []
        else:
            yield from importers(".".join(parts))
    if changed.name == "config.toml.example":
        yield from named("example")
    if changed.parts[:2] == ("docs", "man") or changed.name in ("manual.py", "config.toml.example"):
        yield PROJECT / MAN


def main() -> None:
    """Each test file once."""
    changed = [Path(line.strip()) for line in sys.stdin if line.strip()]
    found = {path for each in changed for path in tests_of(each) if path.exists()}
    sys.stdout.writelines(f"{path.relative_to(PROJECT)}\n" for path in sorted(found))


if __name__ == "__main__":
    main()
