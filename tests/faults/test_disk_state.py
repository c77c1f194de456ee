"""State files damaged in every way: the daemon starts, sets aside what can be no record, and touches nobody else's."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.daemon.harness import Home, until
from tests.daemon.tables import PARTNER, PX
from tests.faults.needs import when_asked_for


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def change(path: Path, key: str, value: object) -> None:
    record = json.loads(path.read_bytes())
    assert key in record, sorted(record)
    path.write_text(json.dumps({**record, key: value}))


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(8 << 30)  # without a block on the disk


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").touch()


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated": cut,
    "zeros": lambda path: path.write_bytes(bytes(4096)),
    "no JSON": lambda path: path.write_text("{,}"),
    "other JSON": lambda path: path.write_text('{"a": 1}'),
    "a list": lambda path: path.write_text("[1, 2]"),
    "a number": lambda path: path.write_text("7"),
    "deep": lambda path: path.write_text("[" * 200_000),
    "not UTF-8": lambda path: path.write_bytes(b'{"name": "\xff\xfe"}'),
    "a version to come": lambda path: change(path, "version", 99),
    "a generation of text": lambda path: change(path, "generation", "many"),
    "a generation beyond all": lambda path: path.write_bytes(
        path.read_bytes().replace(b'"generation":', b'"generation":' + b"9" * 400, 1)
    ),
    "a name of none": lambda path: change(path, "name", None),
    "huge": huge,
    "a directory": directory,
    "a fifo": fifo,
    "a link to a device": link_to_nothing,
}


@pytest.mark.parametrize("how", [pytest.param(how, marks=when_asked_for) for how in DAMAGES])
def test_a_damaged_record_is_set_aside_and_made_again(home: Home, how: str) -> None:
    """docs/promises.md 64: never a crash loop, never a wait; the other provider's token is served without a request."""
    first = home.start(PX, PARTNER).settled()
    other = first.lease("px")
    first.end()
    path = home.path / "state" / "tokens" / "partner.json"
    DAMAGES[how](path)
    daemon = home.start().settled()
    assert daemon.lease("px") == other
    assert daemon.lease("partner")["access_token"]
    assert home.requests("projectx") == 1
    (line,) = daemon.log("state.damaged")
    assert str(path) in line
    assert os.path.lexists(path.with_suffix(".damaged"))
    until(lambda: path.is_file() and not path.is_symlink() and path.stat().st_size < 100_000, "a record again")
    found = daemon.lease("partner")
    daemon.end(signal.SIGKILL)
    assert home.start().settled().lease("partner") == found


@when_asked_for
def test_a_directory_is_set_aside_again_although_one_stands_there(home: Home) -> None:
    """docs/promises.md 64: a second time, too; else nothing could be saved under its name any more."""
    first = home.start(PARTNER).settled()
    first.end()
    path = home.path / "state" / "tokens" / "partner.json"
    for _ in range(2):
        directory(path)
        daemon = home.start().settled()
        until(path.is_file, "a record again")
        daemon.end()
    assert len([found for found in path.parent.iterdir() if ".damaged" in found.name]) == 2


@when_asked_for
def test_records_that_are_no_providers_are_left_alone(home: Home) -> None:
    """A file of another name is nobody's: it stays, and so does what does not look like a record."""
    first = home.start(PARTNER).settled()
    first.end()
    tokens = home.path / "state" / "tokens"
    (tokens / "README").write_text("mine\n")
    (tokens / "gone.json").write_bytes((tokens / "partner.json").read_bytes().replace(b'"partner"', b'"gone"'))
    home.start().settled().end()
    assert (tokens / "README").read_text() == "mine\n"
    assert (tokens / "gone.json").exists()
