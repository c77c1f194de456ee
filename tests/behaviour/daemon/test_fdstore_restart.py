"""`state = "fdstore"`: tokens in memory that systemd keeps, over a restart and over a crash."""

import signal

import pytest

from tests.daemon.harness import Home, until
from tests.daemon.tables import DAEMON, PARTNER, PX

FDSTORE = DAEMON + 'state = "fdstore"\n'


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_next_daemon_gets_the_tokens_back_and_logs_in_nowhere(home: Home, number: int) -> None:
    """A restart and a crash: the same generation and fingerprint, no request, nothing of a token on the disk."""
    home.write(PX, PARTNER, daemon=FDSTORE)
    first = home.start().settled()
    before = {name: first.lease(name) for name in ("px", "partner")}
    first.end(number)
    (kept,) = first.stored
    assert kept[0] == "tokend-state"
    second = home.start(passing=first.stored)
    assert {name: second.lease(name) for name in ("px", "partner")} == before
    assert home.requests("projectx") == 1
    assert second.stored == []
    assert {path.name for path in (home.path / "state").rglob("*")} == {"lock", "events"}
    # And a third, after what the second one saved.
    second.ask("POST", "/v1/tokens/partner/forget")
    until(lambda: second.lease("partner")["generation"] > before["partner"]["generation"], "a new one")
    after = second.lease("partner")
    second.end(signal.SIGKILL)
    assert home.start(passing=first.stored).lease("partner") == after


def test_without_systemd_it_is_refused(home: Home) -> None:
    """The words say what is missing and what to do; `check`, which anybody may run, has nothing against it."""
    home.write(PX, daemon=FDSTORE)
    done = home.run("run", "--config", str(home.config))
    assert done.returncode == 2
    assert 'state = "fdstore" needs systemd' in done.stderr
    assert "FileDescriptorStoreMax=" in done.stderr
    assert home.run("check", str(home.config)).returncode == 0


def test_back_to_the_directory_what_systemd_kept_is_dropped(home: Home) -> None:
    """Tokens do not stay behind in memory that nobody reads any more; those on a disk are named in the log."""
    home.write(PX, daemon=FDSTORE)
    first = home.start().settled()
    first.end()
    home.write(PX)
    second = home.start(passing=first.stored).settled()
    assert second.noted("FDSTOREREMOVE=1\nFDNAME=tokend-state") == 1
    assert home.requests("projectx") == 2
    second.end()
    home.write(PX, daemon=FDSTORE)
    third = home.start().settled()
    assert len(third.log("state.left_on_disk")) == 1


def test_another_state_needs_a_restart(home: Home) -> None:
    """A reload says so and changes nothing of it."""
    daemon = home.start(PX).settled()
    home.write(PX, daemon=FDSTORE)
    plan = until(lambda: home.run("reload"), "the reload").stdout
    assert "restart needed for state" in plan + "".join(daemon.log("config.restart_needed"))
