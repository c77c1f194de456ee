"""Configurations that real programs save, in all their ways; what `tests/daemon/test_saves.py` does by hand."""

import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.daemon.harness import Daemon, Home, until
from tests.daemon.tables import DAEMON, PARTNER, PX
from tests.faults.needs import lack, need, when_asked_for

pytestmark = when_asked_for
# docs/promises.md 85, and what a busy machine may add.
NOTICED_SECONDS = 5.0 + 5.0
OTHER = PARTNER.replace("providers.partner", "providers.other").replace("out/partner.jwt", "out/other.jwt")
# How vim saves: over the old file, by renaming it away, with a backup that stays and a swap file. (In /tmp it makes no
# backup unless an option asks for one.)
VIM = {
    "in-place": "set backupskip= backupcopy=yes nobackup writebackup noswapfile",
    "renaming": "set backupskip= backupcopy=no nobackup writebackup noswapfile",
    "backup-stays": "set backupskip= backupcopy=auto backup backupext=~ backupdir=. swapfile directory=.",
}
# ``$1`` is the configuration, ``$2`` a file with all that is to stand in it, ``$3`` one with what is to be added.
SHELL = {
    "cat": 'cat "$2" > "$1"',
    "append": 'cat "$3" >> "$1"',
    "cp": 'cp "$2" "$1"',
    "mv": 'cp "$2" "$1.new" && mv "$1.new" "$1"',
    "mv-backup": 'cp "$2" "$1.new" && mv -b "$1.new" "$1"',
    "install": 'install -m 600 "$2" "$1"',
    "ln": 'ln -f "$2" "$1"',
    "unlinked": 'rm "$1" && cp "$2" "$1"',
    "sed": 'sed -i -e "\\$r $3" "$1"',
    "sed-backup": 'sed -i.bak -e "\\$r $3" "$1"',
    "dd": 'dd if="$2" of="$1" bs=64 status=none',
}


def noticed(daemon: Daemon) -> None:
    """The new provider is there, the old one is none the worse, and nothing is refused."""
    began = time.monotonic()
    until(lambda: daemon.lease("other"), "the saved file")
    assert time.monotonic() - began < NOTICED_SECONDS
    assert daemon.lease("partner")
    until(lambda: daemon.status()["config"]["error"] is None, "the end of every doubt", seconds=NOTICED_SECONDS)


def saved_by_vim(path: Path, more: Path, how: str) -> None:
    """Have a real vim append a file to another, and save."""
    vim = shutil.which("vim") or shutil.which("vim.tiny")
    if vim is None:
        lack("not here: vim")
    command = [
        vim,
        "-es",
        "-u",
        "NONE",
        "-i",
        "NONE",
        "-N",
        "--cmd",
        VIM[how],
        "-c",
        f"$r {more}",
        "-c",
        "wq",
        str(path),
    ]
    subprocess.run(command, check=True, cwd=path.parent, timeout=30, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("how", VIM)
def test_what_vim_saves_is_noticed(home: Home, how: str) -> None:
    """docs/promises.md 85: by each of its ways, backup and swap files beside it."""
    daemon = home.start(PARTNER).settled()
    (home.path / "more").write_text(home.text(OTHER, daemon=""))
    saved_by_vim(home.config, home.path / "more", how)
    noticed(daemon)


def test_what_vim_leaves_beside_an_included_file_is_no_configuration(home: Home) -> None:
    """docs/promises.md 87: swap files, backups and probes in an include directory are never read, nor an error."""
    parts = home.path / "conf.d"
    parts.mkdir()
    home.write(PARTNER, daemon='include = ["conf.d/*.toml"]\n' + DAEMON)
    included = OTHER.replace('"s/', '"../s/').replace('"out/', '"../out/')
    (home.path / "more").write_text(home.text(included, daemon=""))
    daemon = home.start().settled()
    (parts / "other.toml").write_text("# soon\n")
    saved_by_vim(parts / "other.toml", home.path / "more", "backup-stays")
    (parts / ".third.toml.swp").write_bytes(b"b0VIM 9.0\0")
    (parts / "#other.toml#").write_text("[[[")
    (parts / "other.toml.bak").write_text("[[[")
    noticed(daemon)
    assert (parts / "other.toml~").exists()
    assert daemon.log("config.refused") == []


@pytest.mark.parametrize("how", SHELL)
def test_what_programs_save_is_noticed(home: Home, how: str) -> None:
    """docs/promises.md 85: whatever they do to the file and its name."""
    daemon = home.start(PARTNER).settled()
    whole, more = home.path / "whole", home.path / "more"
    whole.write_text(home.text(PARTNER, OTHER))
    more.write_text(home.text(OTHER, daemon=""))
    subprocess.run(["sh", "-c", SHELL[how], "sh", home.config, whole, more], check=True, timeout=30)
    noticed(daemon)


def test_of_saves_that_follow_each_other_the_last_counts(home: Home) -> None:
    """docs/promises.md 83: a hundred in two seconds, each with another provider: a few reloads, the last one's result,
    and no login that nobody asked for."""
    need("mv")
    daemon = home.start(PX, PARTNER).settled()
    for number in range(100):
        extra = OTHER.replace("providers.other", f"providers.n{number}").replace("other.jwt", f"n{number}.jwt")
        save = home.config.write_text if number % 2 else lambda text: home.save(home.config, text)
        save(home.text(PX, PARTNER, extra))
        threading.Event().wait(0.02)
    until(lambda: daemon.lease("n99"), "the last one's provider", seconds=NOTICED_SECONDS)
    until(lambda: {row["name"] for row in daemon.status()["tokens"]} == {"px", "partner", "n99"}, "no other")
    assert len(daemon.log("config.loaded")) < 20
    assert home.requests("projectx") == 1


def test_a_file_that_is_written_line_by_line_costs_no_login(home: Home) -> None:
    """docs/promises.md 79, 84: a pause of a slow writer looks like its end. A prefix that is whole TOML may
    be believed; what that costs is nothing: files and tokens are kept, and everything is back with the last line."""
    daemon = home.start(PARTNER, PX).settled()
    token, file = daemon.lease("px")["access_token"], home.out("bot.env").read_text()
    with home.config.open("w") as config:
        for line in home.text(PARTNER, PX, OTHER).splitlines(keepends=True):
            config.write(line)
            config.flush()
            threading.Event().wait(0.1)
            assert home.out("bot.env").read_text() == file
    noticed(daemon)
    until(lambda: daemon.lease("px"), "the login's provider", seconds=NOTICED_SECONDS)
    assert daemon.lease("px")["access_token"] == token
    assert home.out("bot.env").read_text() == file
    assert home.requests("projectx") == 1
