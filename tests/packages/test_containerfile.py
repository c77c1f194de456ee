"""The Containerfile's entry point: tini is PID 1, and reaps what other programs leave behind."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import environment, eventually, short_directory, write_config

ROOT = Path(__file__).resolve().parents[2]
CONTAINERFILE = (ROOT / "docs/Containerfile").read_text(encoding="utf-8")

CONFIG = """
[daemon]
socket = "tokend.sock"
state_directory = "state"

[providers.partner]
kind = "jwt"
secret = {{ command = ["/bin/sh", "-c", "setsid sleep 0.2 >/dev/null 2>&1 & echo fake-secret-of-thirty-two-bytes!"] }}
claims = {{ clientId = "sandbox-client" }}
ttl = "15m"

[[providers.partner.sinks]]
kind = "raw"
path = "token"
"""


def test_the_entry_point_is_tini_and_the_image_has_it() -> None:
    """As PID 1 tokend itself would collect a zombie for each orphan."""
    assert re.search(r'^ENTRYPOINT \["tini", "--", "tokend"\]$', CONTAINERFILE, re.MULTILINE)
    assert re.search(r"apt-get install .*\btini\b", CONTAINERFILE)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a PID namespace")
@pytest.mark.skipif(shutil.which("tini") is None, reason="there is no tini")
def test_no_zombie_stays_when_a_secrets_command_leaves_a_process_behind() -> None:
    """In a PID namespace, as in a container. Without tini the process would stay as a zombie."""
    with short_directory() as directory:
        config = write_config(directory, CONFIG)
        argv = ["unshare", "--pid", "--fork", "--mount-proc", "tini", "--"]
        argv += [sys.executable, "-m", "tokend", "run", "--config", str(config)]
        with (directory / "log").open("wb") as log:
            container = subprocess.Popen(argv, env=environment(), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            assert eventually((directory / "token").exists), (directory / "log").read_text()
            (init,) = children(container.pid)
            assert Path(f"/proc/{init}/comm").read_text() == "tini\n"
            assert eventually(lambda: len(children(init)) == 1), children(init)
        finally:
            for pid in children(container.pid):
                os.kill(pid, 15)
            container.wait(20)


def children(parent: int) -> list[int]:
    """Return the children of a process, zombies included."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(entry.name))
    return found
