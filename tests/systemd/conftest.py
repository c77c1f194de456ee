"""Scripts inside a booted systemd. They take a minute and need root, so they run only when asked for.

``TOKEND_SYSTEMD_TESTS=1`` runs them, and skips where systemd cannot be booted; ``TOKEND_REQUIRE_SYSTEMD=1`` runs them
and fails there.
"""

import fcntl
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# Of `boot` and of the scripts: this machine lacks something.
CANNOT_RUN = 77
# BOOT_SECONDS of `boot`, for one script; the slowest takes about 10 s alone.
SCRIPT_SECONDS = 120
# What a service user can reach: the interpreter of the tests may be below /root.
SYSTEM_PYTHON = "/usr/bin/python3"

REQUIRED = os.environ.get("TOKEND_REQUIRE_SYSTEMD") == "1"
WANTED = REQUIRED or os.environ.get("TOKEND_SYSTEMD_TESTS") == "1"

# Runs ``inside/NAME.sh`` as root in a systemd of its own, with tokend in /opt/tokend; gives its output.
Inside = Callable[[str], str]


@pytest.fixture(scope="session")
def opt_tokend(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This project in a virtual environment of the system's Python, made to be seen at /opt/tokend."""
    if not WANTED:
        pytest.skip("boots a systemd: set TOKEND_SYSTEMD_TESTS=1 (or TOKEND_REQUIRE_SYSTEMD=1)")
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    made = shared / "opt-tokend"
    with (shared / "opt-tokend.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (made / "whole").exists():
            _install(made)
    return made


def _install(made: Path) -> None:
    subprocess.run([SYSTEM_PYTHON, "-m", "venv", "--clear", made], check=True)
    subprocess.run([made / "bin/pip", "install", "--quiet", "--disable-pip-version-check", ROOT], check=True)
    for script in (made / "bin").iterdir():
        # The only thing in it that knows the place it was made at.
        if script.is_file() and not script.is_symlink():
            script.write_bytes(script.read_bytes().replace(os.fsencode(made), b"/opt/tokend"))
    (made / "whole").touch()


@pytest.fixture
def inside(opt_tokend: Path) -> Inside:
    """What runs a script inside."""

    def run(name: str) -> str:
        command = [HERE / "boot", *(["--require"] if REQUIRED else []), "--bind", f"{opt_tokend}:/opt/tokend"]
        environ = os.environ | {"BOOT_SECONDS": str(SCRIPT_SECONDS)}
        done = subprocess.run(
            [*map(str, command), str(HERE / "inside" / f"{name}.sh")],
            env=environ,
            capture_output=True,
            text=True,
            errors="replace",
        )
        if done.returncode == CANNOT_RUN and not REQUIRED:
            pytest.skip(done.stderr.strip())
        assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run
