"""Kind ``file`` in a daemon: however the other program writes its file, the new token is published, and no half of one.

The old token is served meanwhile: it is the same account's.
"""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.daemon.harness import Daemon, Home, until
from tests.daemon.tables import PARTNER

# docs/promises.md 85 has five seconds; a file must be left alone for half a second, and machines of tests are busy.
NOTICED_SECONDS = 20.0
RENEWED = """
[providers.renewed]
kind = "file"
path = "in/token"

[[providers.renewed.sinks]]
kind = "raw"
path = "out/renewed"
"""
OAUTH = RENEWED.replace('"in/token"', '"in/token"\nformat = "oauth"')


@pytest.fixture
def token(home: Home) -> Path:
    """The file, with its first token."""
    (home.path / "in").mkdir()
    home.save(path := home.path / "in" / "token", "fake-token-0\n")
    return path


def trouble(daemon: Daemon) -> dict[str, str]:
    """The last error; AssertionError if there is none."""
    error = daemon.row("renewed")["last_error"]
    assert error is not None
    return dict(error)


def published(home: Home, daemon: Daemon, value: str) -> None:
    def is_there() -> bool:
        return daemon.lease("renewed")["access_token"] == value and home.out("renewed").read_text() == value

    until(is_there, value, seconds=NOTICED_SECONDS)


def rename_over(path: Path, text: str) -> None:
    Home.save(path, text)


def write_in_place(path: Path, text: str) -> None:
    path.write_text(text)


def make_again(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


def make_directory_again(path: Path, text: str) -> None:
    shutil.rmtree(path.parent)
    path.parent.mkdir()
    path.write_text(text)


def swap_directories(path: Path, text: str) -> None:
    new = path.parent.with_name("in.new")
    new.mkdir()
    (new / path.name).write_text(text)
    path.parent.rename(path.parent.with_name(f"in.{time.monotonic_ns()}"))
    new.rename(path.parent)


def swap_data(path: Path, text: str) -> None:
    """As the kubelet does: token → ..data/token, ..data → a directory, and ..data is replaced."""
    version = path.parent / f"..{time.monotonic_ns()}"
    version.mkdir()
    (version / path.name).write_text(text)
    (path.parent / "..data_tmp").symlink_to(version.name)
    os.replace(path.parent / "..data_tmp", path.parent / "..data")  # noqa: PTH105
    if not path.is_symlink():
        path.unlink()
        path.symlink_to(f"..data/{path.name}")


def write_behind_a_link(path: Path, text: str) -> None:
    elsewhere = path.parent.with_name("elsewhere")
    elsewhere.mkdir(exist_ok=True)
    Home.save(elsewhere / "token", text)
    if not path.is_symlink():
        path.unlink()
        path.symlink_to(elsewhere / "token")


@pytest.mark.parametrize(
    "renew",
    [rename_over, write_in_place, make_again, make_directory_again, swap_directories, swap_data, write_behind_a_link],
)
def test_a_renewed_token_is_published_whatever_way_it_comes(
    home: Home, token: Path, renew: Callable[[Path, str], None]
) -> None:
    """At once, three times in a row, and nobody sees a gap: the account is the same."""
    daemon = home.start(RENEWED).settled()
    published(home, daemon, "fake-token-0")
    for number in (1, 2):
        renew(token, f"fake-token-{number}\n")
        published(home, daemon, f"fake-token-{number}")
    assert not daemon.log("token.withdrawn")
    assert len(daemon.log("token.refreshed")) == 3


def test_what_is_half_written_is_not_published_and_told(home: Home, token: Path) -> None:
    """The old token is served until the rest is there."""
    token.write_text('{"access_token": "fake-token-0", "expires_in": 3600}')
    daemon = home.start(OAUTH).settled()
    whole = '{"access_token": "fake-token-1", "expires_in": 3600}'
    with token.open("w") as file:
        until(lambda: daemon.row("renewed")["state"] == "failing", "the empty file", seconds=NOTICED_SECONDS)
        file.write(whole[:30])
        file.flush()
        until(
            lambda: "not acceptable JSON" in trouble(daemon)["detail"],
            "the half",
            seconds=NOTICED_SECONDS,
        )
        assert daemon.lease("renewed")["access_token"] == "fake-token-0"
        file.write(whole[30:])
    published(home, daemon, "fake-token-1")
    assert daemon.row("renewed")["state"] == "valid"
    assert "fake-token" not in home.log.read_text()


def test_a_file_that_goes_is_missed_and_its_token_stays(home: Home, token: Path) -> None:
    """Its program may be about to write it again."""
    daemon = home.start(RENEWED).settled()
    token.unlink()
    until(lambda: daemon.row("renewed")["state"] == "failing", "the loss", seconds=NOTICED_SECONDS)
    assert trouble(daemon)["class"] == "transient"
    assert trouble(daemon)["detail"] == f"file {token} cannot be read: No such file or directory"
    assert home.out("renewed").read_text() == daemon.lease("renewed")["access_token"] == "fake-token-0"
    token.write_text("fake-token-1")
    published(home, daemon, "fake-token-1")


def test_a_file_comes_later_than_the_daemon(home: Home) -> None:
    """A missing file is no error of the configuration: the other program starts when it starts."""
    home.write(RENEWED)
    checked = home.run("check", str(home.config))
    assert checked.returncode == 0, checked.stderr
    assert "in/token cannot be read: No such file or directory" in checked.stdout + checked.stderr
    daemon = home.start()
    assert daemon.get("/readyz").status == 503
    (home.path / "in").mkdir()
    home.save(home.path / "in" / "token", "fake-token-0")
    published(home, daemon, "fake-token-0")


def test_another_path_is_another_account_without_a_gap(home: Home, token: Path) -> None:
    """What was read is there at once. Where nothing can be read, the old account's token goes."""
    daemon = home.start(RENEWED).settled()
    home.save(home.path / "in" / "other", "fake-other")
    home.write(RENEWED.replace("in/token", "in/other"))
    assert daemon.ask("POST", "/v1/reload").status == 200
    published(home, daemon, "fake-other")
    home.write(RENEWED.replace("in/token", "in/nothing"))
    assert daemon.ask("POST", "/v1/reload").status == 200
    until(lambda: daemon.get("/v1/tokens/renewed").status == 503, "the withdrawal")
    until(lambda: not home.out("renewed").exists(), "the removal")


def test_a_restart_serves_the_token_of_the_state_and_reads_the_file(home: Home, token: Path) -> None:
    """The file may have changed meanwhile."""
    daemon = home.start(RENEWED).settled()
    before = daemon.lease("renewed")
    daemon.end()
    token.write_text("fake-token-1")
    daemon = home.start()
    published(home, daemon, "fake-token-1")
    assert daemon.lease("renewed")["generation"] > before["generation"]


def test_a_forgotten_token_is_not_read_again(home: Home, token: Path) -> None:
    """Only another token ends that."""
    daemon = home.start(RENEWED).settled()
    assert daemon.ask("POST", "/v1/tokens/renewed/forget").status == 200
    until(lambda: trouble(daemon)["class"] == "same_as_forgotten", "the refusal")
    assert daemon.get("/v1/tokens/renewed").status == 503
    token.write_text("fake-token-1")
    published(home, daemon, "fake-token-1")


def test_a_single_run_and_a_trial_read_the_file(home: Home, token: Path) -> None:
    """`run --once` writes the sinks, `check --try` nothing."""
    home.write(RENEWED)
    tried = home.run("check", str(home.config), "--try", "renewed")
    assert (tried.returncode, home.out("renewed").exists()) == (0, False), tried.stderr
    once = home.run("run", "--once", "--config", str(home.config))
    assert (once.returncode, home.out("renewed").read_text()) == (0, "fake-token-0"), once.stderr
    token.unlink()
    shutil.rmtree(home.path / "state")
    assert home.run("check", str(home.config), "--try", "renewed").returncode == 7


def test_another_token_of_the_file_is_a_secret_of_others(home: Home, token: Path) -> None:
    """A change of the file reaches the token that is made of it."""
    home.save(token, "fake-key-of-32-bytes-fake-key-of-32\n")
    table = PARTNER.replace('{{ file = "s/partner" }}', '{{ token = "renewed" }}')
    daemon = home.start(RENEWED, table).settled()
    first = daemon.lease("partner")["access_token"]
    home.save(token, "another-key-of-32-bytes-another-key\n")
    until(lambda: daemon.lease("partner")["access_token"] != first, "the next", seconds=NOTICED_SECONDS)


def test_everybody_may_change_it(home: Home, token: Path) -> None:
    """The path is judged as that of a secret: the check and the reload refuse it, and nothing is read."""
    daemon = home.start(RENEWED).settled()
    token.chmod(0o666)
    checked = home.run("check", str(home.config))
    assert checked.returncode == 2
    assert "is at an unsafe path" in checked.stderr
    until(lambda: trouble(daemon)["class"] == "unsafe_path", "the refusal")
    assert daemon.lease("renewed")["access_token"] == "fake-token-0"
    token.chmod(0o600)
    until(lambda: daemon.row("renewed")["state"] == "valid", "the end of that", seconds=NOTICED_SECONDS)


def test_the_file_says_when_its_token_ends(home: Home, token: Path) -> None:
    """Seconds count from its writing. The token's end is not moved by another reading."""
    token.write_text(json.dumps({"access_token": "fake-token-0", "expires_in": 3600}))
    written = token.stat().st_mtime
    daemon = home.start(OAUTH).settled()
    assert abs(daemon.lease("renewed")["expires_at_unix"] - written - 3600) <= 1
    before = daemon.lease("renewed")
    assert daemon.ask("POST", "/v1/tokens/renewed/refresh").status == 200
    after = daemon.lease("renewed")
    assert {**after, "refresh_at": before["refresh_at"]} == before
    later = int(written) + 7200
    token.write_text(json.dumps({"access_token": "fake-token-0", "expires_at": later}))
    until(lambda: daemon.lease("renewed")["expires_at_unix"] == later, "the later end", seconds=NOTICED_SECONDS)
    assert daemon.lease("renewed")["generation"] == before["generation"]
