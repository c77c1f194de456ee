"""Protection of the daemon's memory and files. `tests/secrets` searches its output."""

import os
import re
import resource
import stat
import subprocess
from pathlib import Path

import pytest

from tests.daemon.harness import Home, until
from tests.daemon.tables import PARTNER


def test_the_state_is_for_the_owner_alone(home: Home) -> None:
    """0700 and 0600, whatever the umask."""
    old = os.umask(0)
    try:
        daemon = home.start(PARTNER).settled()
    finally:
        os.umask(old)
    state = home.path / "state"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (state, *state.rglob("*"))}
    owned = dict.fromkeys(("lock", "salt", "events", "partner.json"), 0o600)
    assert modes == {"state": 0o700, "tokens": 0o700, **owned}
    # Somebody opened it: the next start closes what is inside. The directory itself may be the operator's (/srv …).
    daemon.end()
    state.chmod(0o755)
    (state / "tokens").chmod(0o755)
    home.start()
    assert stat.S_IMODE((state / "tokens").stat().st_mode) == 0o700


def test_the_process_is_closed_to_others_and_has_room(home: Home) -> None:
    """docs/promises.md 71, 108, 109: not dumpable, no core, as many descriptors as the hard limit allows."""
    wrap = ("prlimit", "--nofile=256:4096")
    home.write(PARTNER)
    daemon = home.start(wrap=wrap).settled()
    proc = Path(f"/proc/{daemon.process.pid}")
    soft, hard = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
    assert (soft, hard) == (4096, 4096)
    assert resource.prlimit(daemon.process.pid, resource.RLIMIT_CORE) == (0, 0)
    status = proc.joinpath("status").read_text()
    assert re.search(r"^Umask:\t0077$", status, re.MULTILINE)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run it in another group")
def test_nobody_of_the_same_uid_can_look_into_it(home: Home) -> None:
    """docs/promises.md 109: the kernel gives /proc/PID of an undumpable process to root and its group (proc(5))."""
    wrap = ("setpriv", "--regid=54321", "--clear-groups")
    with subprocess.Popen([*wrap, "sleep", "60"]) as ordinary:
        until(lambda: Path(f"/proc/{ordinary.pid}/environ").stat().st_gid == 54321, "an ordinary process")
        ordinary.kill()
    home.write(PARTNER)
    daemon = home.start(wrap=wrap).settled()
    assert Path(f"/proc/{daemon.process.pid}/environ").stat().st_gid == 0
