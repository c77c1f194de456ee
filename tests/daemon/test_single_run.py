"""A single run: it ends when nothing but a person changes the result, at a signal, or after its time."""

import signal
import subprocess
import time

from tests.daemon.harness import Home, until
from tests.daemon.tables import PARTNER, PX
from tokend.sandbox.faults import Behaviour


def test_a_signal_ends_a_single_run_with_what_is_so_far(home: Home) -> None:
    """7: the token had not come; the other one is in its file."""
    home.write(PX, PARTNER)
    home.sandbox.stage.faults.set("projectx", Behaviour("error", code=503))
    command = home.command("run", "--once", "--config", str(home.config))
    with subprocess.Popen(command, cwd=home.path, stderr=subprocess.DEVNULL) as process:
        until(home.out("partner.jwt").exists, "the other token")
        until(lambda: home.requests("projectx"), "the first request")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 7


def test_a_single_run_tries_a_sink_again(home: Home) -> None:
    """Its directory is made two seconds after the start."""
    home.write(PARTNER.replace("out/partner.jwt", "late/partner.jwt"))
    command = home.command("run", "--once", "--config", str(home.config))
    with subprocess.Popen(command, cwd=home.path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        until(lambda: "late" in process.stderr.readline(), "the first failure")  # type: ignore[union-attr]
        (home.path / "late").mkdir()
        begun = time.monotonic()
        process.stderr.close()
        assert process.wait(60) == 0
    assert (home.path / "late" / "partner.jwt").exists()
    assert time.monotonic() - begun < 55
