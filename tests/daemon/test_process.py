"""End of a run and start of the next one: kill -9, SIGTERM, a second instance."""

import http.client
import json
import os
import signal
import socket
import threading
import time
from pathlib import Path

from tests.daemon.harness import PATIENCE_SECONDS, Home, until
from tests.daemon.tables import ALL_KINDS, PARTNER, PX, TT

NAMES = ("px", "tt", "partner")
# The contract is two seconds; a machine that is busy with other tests is given more, but less than what hangs takes.
END_SECONDS = 15.0


def test_after_kill_9_the_tokens_are_the_same_without_a_request(home: Home) -> None:
    """docs/promises.md 55, 69: no login, the same generation and token at once, no torn or left-over file."""
    daemon = home.start(ALL_KINDS).settled()
    before = {name: daemon.lease(name) for name in NAMES}
    files = {path.name: path.read_bytes() for path in (home.path / "out").iterdir()}
    assert daemon.end(signal.SIGKILL) == -signal.SIGKILL
    assert home.socket.exists()  # the dead one's; the next takes its place

    again = home.start()
    assert {name: again.lease(name) for name in NAMES} == before  # at READY=1, not a moment later
    again.settled()
    assert {path.name: path.read_bytes() for path in (home.path / "out").iterdir()} == files
    assert (home.requests("projectx"), home.requests("tt")) == (1, 1)


def test_leftovers_of_a_crash_are_swept_at_the_next_start(home: Home) -> None:
    """docs/promises.md 55, 113: temporaries hold tokens; beside a target and in the state directory they go."""
    home.start(PARTNER).settled().end(signal.SIGKILL)
    left = [home.out(".partner.jwt.tokend-0123abcd"), home.path / "state/tokens/.partner.json.tokend-0123abcd"]
    for path in left:
        path.write_text("half a tok")
    home.start().settled()
    assert [path for path in left if path.exists()] == []


def test_a_lost_state_costs_one_login_and_no_generation(home: Home) -> None:
    """Generations only rise, also where the state was lost."""
    daemon = home.start(PX).settled()
    before = daemon.lease("px")
    daemon.end()
    for path in (home.path / "state" / "tokens").iterdir():
        path.unlink()
    until(lambda: time.time() >= before["generation"] + 1, "the next second, which is what is left to tell them apart")
    again = home.start().settled()
    assert again.lease("px")["generation"] > before["generation"]
    assert home.requests("projectx") == 2


def test_a_damaged_state_file_is_set_aside(home: Home) -> None:
    """docs/promises.md 64: quarantined, said, one login; never a crash loop."""
    home.start(PX).settled().end()
    state = home.path / "state" / "tokens" / "px.json"
    state.write_bytes(state.read_bytes()[:100])
    again = home.start().settled()
    assert len(again.log("state.damaged")) == 1
    assert state.with_suffix(".damaged").exists()
    assert home.requests("projectx") == 2


def test_sigterm_ends_at_once_and_cleanly(home: Home) -> None:
    """Exit code 0 within 2 s although readers wait; STOPPING=1; the socket's file is gone."""
    daemon = home.start(PARTNER).settled()
    etag = f'"{daemon.lease("partner")["generation"]}"'
    ended = threading.Event()

    def wait_for_news() -> None:
        try:
            daemon.get("/v1/tokens/partner", Prefer="wait=60", If_None_Match=etag)
        except (OSError, http.client.HTTPException):
            pass
        finally:
            ended.set()

    poll = threading.Thread(target=wait_for_news)
    poll.start()
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(PATIENCE_SECONDS)
        stream.connect(str(home.socket))
        stream.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert stream.recv(1024).startswith(b"HTTP/1.1 200")
        began = time.monotonic()
        assert daemon.end(signal.SIGTERM) == 0
        assert time.monotonic() - began < END_SECONDS
        assert ended.wait(PATIENCE_SECONDS)
    poll.join()
    assert not home.socket.exists()
    until(lambda: daemon.notes[-1] == "STOPPING=1", "STOPPING=1 as the last word")
    assert len(daemon.log("daemon.stopping")) == 1


def test_sigterm_does_not_wait_for_what_hangs(home: Home) -> None:
    """docs/promises.md 62: neither a hook after a write nor a secret's command holds the end up."""
    hang = (
        PARTNER
        + 'on_change = ["sleep", "30"]\n'
        + PX.replace('{{ file = "s/px-key" }}', '{{ command = ["sleep", "30"] }}')
    )
    daemon = home.start(hang)
    until(lambda: home.out("partner.jwt").exists(), "the file")
    began = time.monotonic()
    assert daemon.end(signal.SIGTERM) == 0
    assert time.monotonic() - began < END_SECONDS


def test_a_hook_ends_with_the_daemon_and_all_that_it_started(home: Home) -> None:
    """Status says that it runs; neither the end of the daemon nor the next token waits for it."""
    pids = home.path / "pids"
    script = f"trap '' TERM; sleep 300 & echo $! $$ >{pids}.new; mv {pids}.new {pids}; wait; wait; sleep 300"
    daemon = home.start(PARTNER + f"on_change = {json.dumps(['sh', '-c', script])}\n")
    until(pids.exists, "the hook")
    (sink,) = daemon.row("partner")["sinks"]
    assert (sink["state"], sink["hook"]["state"]) == ("ok", "running")
    assert "hook: running" in home.run("status", "partner").stdout
    before = home.out("partner.jwt").read_text()

    def has_changed() -> bool:
        # A token that is signed within the same second is the same token.
        assert daemon.ask("POST", "/v1/tokens/partner/refresh").status == 200
        return home.out("partner.jwt").read_text() != before

    until(has_changed, "the next token")
    began = time.monotonic()
    assert daemon.end(signal.SIGTERM) == 0
    assert time.monotonic() - began < END_SECONDS
    for pid in pids.read_text().split():
        until(lambda pid=pid: not _lives(pid), "the end of the hook")  # type: ignore[misc]


def _lives(pid: str) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def test_signals_that_mean_nothing_end_nothing(home: Home) -> None:
    """SIGUSR1 and SIGUSR2 end a process that has no handler for them."""
    daemon = home.start(PARTNER).settled()
    daemon.send(signal.SIGUSR1)
    daemon.send(signal.SIGUSR2)
    daemon.send(signal.SIGHUP)
    assert daemon.get("/livez").status == 200
    assert daemon.end(signal.SIGTERM) == 0


def test_a_second_sigterm_ends_whatever_happens(home: Home) -> None:
    """docs/promises.md 67: the first has closed nothing yet, as somebody reads very slowly; the second ends at once."""
    daemon = home.start(PARTNER).settled()
    with socket.socket(socket.AF_UNIX) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        slow.connect(str(home.socket))
        slow.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200)
        until(lambda: _waiting_to_be_read(slow), "an answer")
        daemon.send(signal.SIGTERM)
        until(lambda: daemon.log("daemon.stopping"), "the first one's effect")
        assert daemon.end(signal.SIGTERM) == 128 + signal.SIGTERM


def _waiting_to_be_read(connection: socket.socket) -> bool:
    return len(connection.recv(1, socket.MSG_PEEK)) == 1


def test_signals_at_any_moment_of_the_start_lead_to_an_end_or_a_reload(home: Home) -> None:
    """A SIGHUP from the first moment of READY=1 on is a reload; a SIGTERM then is a clean end."""
    daemon = home.start(PARTNER)
    daemon.send(signal.SIGHUP)
    assert daemon.end(signal.SIGTERM) == 0
    assert not home.socket.exists()


def test_a_second_instance_names_the_first_and_leaves(home: Home) -> None:
    """docs/promises.md 76: exit code 75, the holder's number, and the first one is not disturbed."""
    daemon = home.start(PARTNER).settled()
    second = home.run("run", "--config", str(home.config))
    assert second.returncode == 75
    assert f"process {daemon.process.pid}" in second.stderr
    assert len(second.stderr.splitlines()) == 1
    assert daemon.lease("partner")
    assert daemon.end() == 0
    assert home.run("run", "--once", "--config", str(home.config)).returncode == 0  # the lock went with its holder


def test_a_wrong_configuration_starts_nothing(home: Home) -> None:
    """Every error at once, exit code 2, and 78 under systemd."""
    home.write(PX.replace("username", "usrname") + TT.replace('"uat"', '"utah"'))
    done = home.run("run", "--config", str(home.config))
    assert done.returncode == 2
    assert "usrname" in done.stderr
    assert "environment" in done.stderr
    under_systemd = home.run("run", "--config", str(home.config), NOTIFY_SOCKET=str(home.path / "nobody"))
    assert under_systemd.returncode == 78
    assert sum(vendor.stat().st_size for vendor in (home.path / "out").iterdir()) == 0
    assert not (home.path / "state").exists()
    assert not os.path.lexists(home.socket)


def test_variables_that_openssl_obeys_are_logged_at_a_start(home: Home) -> None:
    """One line; none without them."""
    authorities = home.path / "ca.pem"
    authorities.write_text("")
    daemon = home.start(PARTNER, SSL_CERT_FILE=str(authorities)).settled()
    [line] = daemon.log("tls.environment")
    assert f"OpenSSL obeys these variables: SSL_CERT_FILE={authorities}" in line
    daemon.end()
    home.log.unlink()
    assert home.start(SSL_CERT_FILE="").settled().log("tls.environment") == []
