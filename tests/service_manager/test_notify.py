"""Messages to systemd, over a real datagram socket."""

import os
import socket
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tokend.daemon.status_line import sentence, trouble
from tokend.values.status import Failure, ProviderStatus, SinkStatus, State

SCRIPT = """
from tokend.service_manager.notify import Notifier
n = Notifier()
n.reloading(); n.ready(); n.status("5 tokens, 1 failing: tt (grün)\\nsecond line"); n.alive(); n.stopping()
print(n.watchdog_seconds())
"""


def heard(path: Path, **environ: str) -> tuple[list[str], str]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))
        server.settimeout(5)
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            capture_output=True, text=True, check=True, timeout=30,
            env={"PATH": os.environ["PATH"], "NOTIFY_SOCKET": str(path), **environ},
        )  # fmt: skip
        return [server.recv(4096).decode() for _ in range(5)], done.stdout.strip()


def test_the_messages_are_those_of_sd_notify(tmp_path: Path) -> None:
    """RELOADING with MONOTONIC_USEC, then READY; STATUS in one ASCII line; WATCHDOG; STOPPING."""
    messages, interval = heard(tmp_path / "notify", WATCHDOG_USEC="3000000")
    assert messages[0].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert messages[1:] == ["READY=1", "STATUS=5 tokens, 1 failing: tt (gr?n) second line", "WATCHDOG=1", "STOPPING=1"]
    assert interval == "1.5"


def test_a_watchdog_meant_for_another_process_is_not_fed(tmp_path: Path) -> None:
    """WATCHDOG_PID."""
    assert heard(tmp_path / "notify", WATCHDOG_USEC="3000000", WATCHDOG_PID="1")[1] == "None"


def status(
    name: str, state: State, *, error: Failure | None = None, sinks: tuple[SinkStatus, ...] = ()
) -> ProviderStatus:
    return ProviderStatus(
        name=name, kind="k", state=state, valid=state is State.VALID, expires_at=None, refresh_at=None,
        generation=None, fingerprint=None, required=True, seconds_left=None, failures=0, last_error=error,
        next_attempt_at=None, sinks=sinks,
    )  # fmt: skip


def words(statuses: list[ProviderStatus], *, config_refused: bool = False) -> str:
    reasons = {one.name: trouble(one) for one in statuses}
    wrong = {name: reason for name, reason in reasons.items() if reason is not None}
    return sentence(len(statuses), wrong, config_refused=config_refused)


def test_an_expired_token_that_a_pause_of_its_host_holds_back_says_so() -> None:
    """It has no error of its own: another provider met the rate limit."""
    until = datetime(2026, 1, 1, 6, 21, 10, tzinfo=UTC)
    held_back = [
        replace(status(state, state), paused_until=until, paused_by="api.example:443", paused_token="topstepx")
        for state in (State.EXPIRED, State.PENDING, State.VALID)
    ]
    assert words(held_back) == (
        "3 tokens, 1 failing: expired (expired: paused until 06:21:10 UTC: api.example:443 asked topstepx for a pause)"
    )


def test_the_words_name_what_is_not_well_and_why() -> None:
    """Failing tokens and sinks with their reasons; what was not yet tried is no failure; a refused file is said."""
    down = Failure("transient", "the upstream answered 503", datetime(2026, 1, 1, tzinfo=UTC))
    full = SinkStatus("raw", "raw-1", "/x", "/x", "failing", True, None, "/x: the disk is full")
    assert words([]) == "0 tokens"
    assert words([status("a", State.VALID)]) == "1 token, all well"
    fresh = [status("a", State.PENDING), status("b", State.ON_DEMAND)]
    assert words(fresh) == "2 tokens, all well"
    every = [
        status("a", State.PENDING, error=down),
        status("b", State.VALID, sinks=(full,)),
        status("c", State.EXPIRED),
        status("d", State.FAILING, error=down, sinks=(full,)),
    ]
    text = words(every, config_refused=True)
    assert text == (
        "4 tokens, 4 failing: a (pending: the upstream answered 503), b (sink raw-1: /x: the disk is full), "
        "c (expired), d (failing: the upstream answered 503; sink raw-1: /x: the disk is full); "
        "the configuration on disk was refused, the former one goes on"
    )


def test_nothing_is_ready_any_more_once_the_end_began(tmp_path: Path) -> None:
    """A reload that the end interrupts must not report to systemd that all is well."""
    script = (
        "from tokend.service_manager.notify import Notifier\n"
        "n = Notifier()\nn.stopping(); n.ready(); n.reloading(); n.alive()"
    )
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))
        server.settimeout(5)
        environ = {"PATH": os.environ["PATH"], "NOTIFY_SOCKET": str(path)}
        subprocess.run([sys.executable, "-c", script], check=True, timeout=30, env=environ)
        assert [server.recv(4096).decode() for _ in range(2)] == ["STOPPING=1", "WATCHDOG=1"]
