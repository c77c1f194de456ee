"""The import contracts hold for kinds that do not exist yet: a new kind that imports another fails CI."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINT = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"


@pytest.mark.parametrize(
    ("file", "imported", "contract"),
    [
        ("providers/weather.py", "tokend.providers.tt", "Kinds of providers do not know each other"),
        ("sinks/files/yaml.py", "tokend.sinks.files.raw", "Kinds of file sinks do not know each other"),
        ("providers/weather.py", "tokend.engine.supervisor", "Rooms import only what stands below them"),
    ],
)
def test_a_new_kind_that_imports_another_breaks_a_contract(
    tmp_path: Path, file: str, imported: str, contract: str
) -> None:
    """Without a line for it in pyproject.toml."""
    shutil.copytree(ROOT / "tokend", tmp_path / "tokend", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "tokend" / file).write_text(f'"""A new kind."""\n\nimport {imported}\n')
    run = subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache"],
        cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode != 0
    assert f"{contract} BROKEN" in run.stdout, run.stdout + run.stderr


def test_a_new_kind_that_stands_alone_needs_no_line(tmp_path: Path) -> None:
    """One file, and one line in the table of `tokend.kinds`."""
    shutil.copytree(ROOT / "tokend", tmp_path / "tokend", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for file in ("providers/weather.py", "sinks/files/yaml.py"):
        (tmp_path / "tokend" / file).write_text('"""A new kind."""\n\nimport tokend.plugin.authoring\n')
    run = subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache"],
        cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    for contract in ("Kinds of providers", "Kinds of file sinks"):
        assert f"{contract} do not know each other KEPT" in run.stdout, run.stdout + run.stderr
