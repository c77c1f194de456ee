"""The search through what the tests leave fails the very test that left it."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONFTEST = """
from tests.secrets.suite import Search

def pytest_configure(config):
    config.pluginmanager.register(Search())
"""
TESTS = """
import base64, os, shutil, tempfile
from pathlib import Path

SECRET = "obviously-" "fake-secret"

def test_prints():
    print("Authorization: Basic", base64.b64encode(f"user:{SECRET}".encode()).decode())

def test_logs(tmp_path):
    (tmp_path / "daemon.log").write_text("token=eyJhbGciOiJIUzI1NiJ9.e30.c2ln")

def test_logs_and_removes():
    directory = Path(tempfile.mkdtemp(prefix="tk-"))
    (directory / "log").write_text(SECRET)
    shutil.rmtree(directory)

def test_removes_by_the_standard_library():
    with tempfile.TemporaryDirectory(prefix="tk-") as directory:
        (Path(directory) / "log").write_text(SECRET.encode().hex())

def test_leaves_a_temporary(tmp_path):
    (tmp_path / ".x.tokend-0123").write_text(SECRET)
    (tmp_path / ".x.tokend-0123").chmod(0o640)

def test_leaves_state(tmp_path):
    (tmp_path / "tokens").mkdir()
    (tmp_path / "tokens" / "tt.json").write_text(SECRET)
    (tmp_path / "tokens" / "tt.json").chmod(0o604)

def test_dumps_core(tmp_path):
    (tmp_path / "core.17").write_bytes(b"\\x7fELF")

def test_is_good(tmp_path):
    print("fingerprint=0123456789ab")
    (tmp_path / "log").write_text("level=info event=token.refreshed token=tt")
    (tmp_path / "config.toml").write_text(SECRET)
    (tmp_path / ".x.tokend-0123").write_text(SECRET)
    (tmp_path / ".x.tokend-0123").chmod(0o600)
"""


def test_a_test_that_leaves_a_secret_fails(tmp_path: Path) -> None:
    """docs/promises.md P4: printed, logged, dumped, or for others to read; not what was written as a test's input."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rfE", "-c", os.devnull, "--rootdir", str(tmp_path),
         "--import-mode=importlib", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:xdist",
         f"--basetemp={tmp_path / 'base'}", str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "PYTEST_ADDOPTS": ""},
    )  # fmt: skip
    # Not by Python, which would announce it to the search of this run.
    subprocess.run(["rm", "-rf", tmp_path / "base"], check=True)
    found = set(re.findall(r"^(?:FAILED|ERROR) \S+::(\w+)", done.stdout, re.MULTILINE))
    assert found == set(re.findall(r"def (test_\w+)", TESTS)) - {"test_is_good"}, done.stdout + done.stderr
    assert "base64" in done.stdout
    assert "eyJhbGciOiJIUzI1NiJ9.e30" not in done.stdout
