"""Files are kept true: what others do to them is noticed within 15 s, and undone without a request."""

import os
import shutil
import signal
from collections.abc import Callable

import pytest

from tests.daemon.harness import Daemon, Home, metric, until
from tests.daemon.tables import PARTNER, PX
from tests.files.children import STRANGER, needs_root

NOTICED_SECONDS = 15.0
EVERY_KIND = (
    PX
    + """
[[providers.px.sinks]]
kind = "raw"
path = "out/raw"

[[providers.px.sinks]]
kind = "json"
path = "out/json"

[[providers.px.sinks]]
kind = "template"
path = "out/template"
template = "token={{{{ access_token }}}}"
"""
)
NAMES = ("bot.env", "raw", "json", "template")


def contents(home: Home) -> dict[str, bytes]:
    return {name: home.out(name).read_bytes() for name in NAMES}


def delete(home: Home) -> None:
    for name in NAMES:
        home.out(name).unlink()


def empty(home: Home) -> None:
    for name in NAMES:
        home.out(name).write_bytes(b"")


def replace(home: Home) -> None:
    for name in NAMES:
        home.save(home.out(name), "another-client's-own-fake-token")


def open_up(home: Home) -> None:
    for name in NAMES:
        home.out(name).chmod(0o666)


def repairs(daemon: Daemon) -> list[int]:
    return [sink["repairs"] for sink in daemon.row("px")["sinks"]]


@pytest.mark.parametrize("change", [delete, empty, replace, open_up])
def test_each_kind_of_file_is_written_again(home: Home, change: Callable[[Home], None]) -> None:
    """Counted, logged, and no upstream is asked."""
    daemon = home.start(EVERY_KIND).settled()
    before = contents(home)
    change(home)

    def undone() -> bool:
        assert all(home.out(name).stat().st_mode & 0o777 == 0o600 for name in NAMES)
        # Others' lines stay in a .env file.
        assert all(now.endswith(before[name]) for name, now in contents(home).items())
        return repairs(daemon) == [1] * 4

    until(undone, "the repair", seconds=NOTICED_SECONDS)
    until(lambda: daemon.get("/readyz").status == 200, "readyz")
    assert {**contents(home), "bot.env": b""} == {**before, "bot.env": b""}
    assert metric(daemon, 'tokend_sink_repairs_total{sink="raw-2",token="px"}') == 1
    assert len(daemon.log("sink.repaired")) == 4
    assert home.requests("projectx") == 1
    assert "repaired once" in home.run("status", "px").stdout


def test_a_directory_that_is_gone_is_not_made_again(home: Home) -> None:
    """Until it is back the daemon is not ready and says why; then the files are there at once."""
    daemon = home.start(EVERY_KIND).settled()
    shutil.rmtree(home.path / "out")
    until(lambda: daemon.get("/readyz").status == 503, "readyz", seconds=NOTICED_SECONDS)
    assert until(lambda: "does not exist" in str(daemon.row("px")["sinks"][1]["error"]), "the reason")
    assert not (home.path / "out").exists()
    (home.path / "out").mkdir()
    until(lambda: set(NAMES) == {path.name for path in (home.path / "out").iterdir()}, "the files")
    until(lambda: daemon.get("/readyz").status == 200, "readyz")
    assert home.requests("projectx") == 1


@pytest.mark.parametrize("how", ["signal", "command"])
def test_a_reload_repairs_at_once(home: Home, how: str) -> None:
    """SIGHUP, and `tokend reload`: also what is not tried again for a minute."""
    daemon = home.start(EVERY_KIND).settled()
    for _ in range(3):
        before = sum(repairs(daemon))
        home.out("raw").unlink()
        until(lambda before=before: sum(repairs(daemon)) > before, "the repair", seconds=NOTICED_SECONDS)  # type: ignore[misc]
    home.out("raw").unlink()
    row = until(lambda: (row := daemon.row("px")["sinks"][1])["state"] == "conflict" and row, "the conflict")
    assert "another program keeps changing it" in row["error"]
    assert daemon.get("/readyz").status == 503
    if how == "signal":
        daemon.send(signal.SIGHUP)
    else:
        assert home.run("reload").returncode == 0
    until(lambda: home.out("raw").exists(), "the file", seconds=5)


def test_a_file_that_somebody_else_took_over_is_left_alone(home: Home) -> None:
    """Where anybody may write. Status says whose it is."""
    needs_root()
    (home.path / "out").chmod(0o1777)
    daemon = home.start(EVERY_KIND).settled()
    home.out("raw").write_text("theirs")
    os.chown(home.out("raw"), STRANGER, STRANGER)
    row = until(lambda: (row := daemon.row("px")["sinks"][1])["state"] == "conflict" and row, "the conflict")
    assert row["found_uid"] == STRANGER
    assert daemon.get("/readyz").status == 503
    assert home.run("refresh", "px").returncode == 0
    until(lambda: daemon.row("px")["sinks"][2]["state"] == "ok", "the other files")
    assert home.out("raw").read_text() == "theirs"
    home.out("raw").unlink()
    until(lambda: home.out("raw").read_text() == daemon.lease("px")["access_token"], "the file")
    until(lambda: daemon.get("/readyz").status == 200, "readyz")


def test_a_forgotten_token_is_not_written_again(home: Home) -> None:
    """The file is gone, and status says so."""
    daemon = home.start(PARTNER, PX).settled()
    home.secret("px-key", "a-wrong-fake-key")
    assert home.run("forget", "px").returncode == 0
    until(lambda: daemon.row("px")["sinks"][0]["state"] == "removed", "the removal")
    assert home.out("bot.env").read_text() == "JWT_TOKEN=\n"
    home.out("bot.env").unlink()
    home.out("partner.jwt").unlink()
    until(lambda: home.out("partner.jwt").exists(), "the repair of the other", seconds=NOTICED_SECONDS)
    assert not home.out("bot.env").exists()
    assert "removed" in home.run("status", "px").stdout


def test_a_set_of_files_is_kept_true(home: Home) -> None:
    """One file of it, its link, or the whole directory."""
    table = """
[[providers.px.sinks]]
kind = "directory"
path = "out/set"
files = {{ token = "{{{{ access_token }}}}", expires = "{{{{ expires_at_unix }}}}" }}
"""
    daemon = home.start(PX + table).settled()
    token = daemon.lease("px")["access_token"]
    path = home.out("set")
    for change in (
        lambda: (path / "token").write_text("theirs"),
        lambda: (path / "..data").unlink(),
        # The daemon may still be removing the set before this one. A directory that is moved away is gone in one step.
        lambda: path.rename(home.path / "moved-away"),
    ):
        change()
        until(lambda: (path / "token").read_text() == token, "the repair", seconds=NOTICED_SECONDS)
    assert home.requests("projectx") == 1
    assert home.run("forget", "px").returncode == 0
    until(lambda: (path / "token").read_text() == daemon.lease("px")["access_token"] != token, "the next token")
