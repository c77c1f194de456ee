"""A state directory that somebody else made, or put something into, is not used, and nothing in it is changed."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.files.children import STRANGER, acting_as, needs_root, public_directory
from tokend.state import event_ids
from tokend.state.directory import StateDirectory
from tokend.values.errors import StoreError


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory as /tmp: every user may make something in it."""
    with public_directory() as directory:
        directory.chmod(0o1777)
        yield directory


def victim(place: Path) -> Path:
    path = place / "victim"
    path.write_text("an important file of root's")
    path.chmod(0o640)
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("made", [0o777, 0o755, 0o700])
def test_a_directory_of_somebody_else_is_not_used(place: Path, made: int) -> None:
    """Its maker could read, replace and forge what is in it. It stays as it was."""
    needs_root()
    path = place / "state"
    with acting_as(STRANGER):
        path.mkdir()
        path.chmod(made)
    with pytest.raises(StoreError, match=rf"is not used: it belongs to uid {STRANGER}"):
        StateDirectory(path)
    assert (mode(path), list(path.iterdir())) == (made, [])


def test_a_link_of_somebody_else_leads_nowhere(place: Path) -> None:
    """It could lead to a directory of root's, whose files would be taken for the state."""
    needs_root()
    (place / "real").mkdir(mode=0o755)
    with acting_as(STRANGER):
        (place / "state").symlink_to(place / "real")
    with pytest.raises(StoreError, match="the link belongs to uid"):
        StateDirectory(place / "state")
    assert list((place / "real").iterdir()) == []


def test_a_link_of_root_s_or_ours_is_followed(place: Path) -> None:
    """systemd's /var/lib/tokend is one, with DynamicUser=."""
    (place / "real").mkdir(mode=0o700)
    (place / "state").symlink_to("real")
    StateDirectory(place / "state").close()
    assert (place / "real" / "salt").exists()


PLANTED: dict[str, Callable[[Path, Path], object]] = {
    "a lock that is a link": lambda path, target: (path / "lock").symlink_to(target),
    "a lock that is a dangling link": lambda path, target: (path / "lock").symlink_to(target.with_name("nothing")),
    "a lock that is a hard link": lambda path, target: os.link(target, path / "lock"),
    "tokens that is a link": lambda path, target: (path / "tokens").symlink_to(target.parent),
    "a salt that is a link": lambda path, target: (path / "salt").symlink_to(target),
}


@pytest.mark.parametrize("what", PLANTED)
def test_what_leads_out_of_the_directory_is_not_followed(place: Path, what: str) -> None:
    """Nothing there is truncated, written, made or given another mode. The message names what to remove."""
    target, path = victim(place), place / "state"
    path.mkdir(mode=0o700)
    PLANTED[what](path, target)
    before = target.read_text(), mode(target), mode(place), sorted(one.name for one in place.iterdir())
    name = what.removeprefix("a ").split()[0]
    with pytest.raises(StoreError, match=rf"/state/{name} "):
        StateDirectory(path)
    assert (target.read_text(), mode(target), mode(place), sorted(one.name for one in place.iterdir())) == before


@pytest.mark.parametrize("name", ["lock", "salt", "tokens"])
def test_what_belongs_to_somebody_else_is_not_used(place: Path, name: str) -> None:
    """A salt that he chose shows him which fingerprint is whose; records of his would be served as tokens."""
    needs_root()
    path = place / "state"
    path.mkdir()
    path.chmod(0o777)
    with acting_as(STRANGER):
        if name == "tokens":
            (path / name).mkdir()
        else:
            (path / name).write_bytes(bytes(32))
    before = mode(path / name)
    with pytest.raises(StoreError, match=rf"/state/{name} .*uid {STRANGER}"):
        StateDirectory(path)
    assert mode(path / name) == before
    assert name == "tokens" or (path / name).read_bytes() == bytes(32)


def test_a_record_of_somebody_else_is_set_aside(place: Path) -> None:
    """It is no token of ours. A record that others may write is none, either."""
    needs_root()
    state = StateDirectory(place / "state")
    for name in ("ours", "forged", "open"):
        state.save(name, name.encode())
    os.chown(place / "state/tokens/forged.json", STRANGER, STRANGER)
    (place / "state/tokens/open.json").chmod(0o606)
    assert [content for _, content in state.files()] == [b"ours"]
    assert {one.name for one in (place / "state/tokens").iterdir()} == {"ours.json", "forged.damaged", "open.damaged"}
    state.close()
    (place / "state/events").symlink_to(victim(place))
    from datetime import UTC, datetime

    assert event_ids.take(place / "state", datetime(2026, 1, 1, tzinfo=UTC)) > 0
    assert (place / "victim").read_text().startswith("an important file")


def test_our_own_directory_that_every_user_may_write_is_closed(place: Path) -> None:
    """A volume of a container is often made so. The bits of its group stay."""
    path = place / "state"
    path.mkdir()
    path.chmod(0o2777)
    StateDirectory(path).close()
    assert mode(path) == 0o2775


def test_a_directory_of_root_s_that_every_user_may_write_is_used(place: Path) -> None:
    """As a volume for a container's user is made. What is in it is his own."""
    needs_root()
    path = place / "volume"
    path.mkdir()
    path.chmod(0o777)
    with acting_as(STRANGER):
        state = StateDirectory(path)
        state.save("a", b"a")
        state.close()
        state = StateDirectory(path)
        assert [content for _, content in state.files()] == [b"a"]
        state.close()
    assert (mode(path), mode(path / "tokens")) == (0o777, 0o700)
