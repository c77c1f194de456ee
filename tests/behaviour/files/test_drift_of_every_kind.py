"""Every kind of file sink knows what others have changed in its file, and puts it right."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.files.children import STRANGER, acl, names, needs_root, public_directory, supports_acl
from tests.sinks.leases import PLANTED, InlineRuntime, ended, lease, sink
from tests.sinks.test_sink_contract import KINDS
from tokend.plugin.sink import Difference, WatchedSink
from tokend.sinks.files.base import FileSink
from tokend.values.errors import SinkError
from tokend.values.tokens import Lease

# What another program writes, where that must be of the sink's format.
THEIRS = {"json": b"{}\n", "yaml": b"A: 1\n", "ini": b"[A]\n", "netrc": b"machine A login b\n"}


def theirs(made: FileSink) -> bytes:
    return THEIRS.get(getattr(made, "format", ""), b"A=1\n")


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Make a sink of each kind with further keys."""
    kind, keys = KINDS[request.param]
    return lambda path, **more: sink(kind, path, **{**keys, **more}).model


def write(made: FileSink) -> bool:
    return ended(made.write(InlineRuntime(), lease()))


def repair(made: FileSink, good: object = None) -> bool:
    return ended(made.repair(InlineRuntime(), lease(), {}, good))


def difference(made: FileSink, good: object = None) -> Difference | None:
    return made.difference(lease(), {}, good)


def test_each_kind_can_be_watched(make: Callable[..., Any], tmp_path: Path) -> None:
    """The engine asks for the interface."""
    made = make(tmp_path / "file")
    assert isinstance(made, WatchedSink)
    assert made.drift == "repair"
    assert make(tmp_path / "file", drift="report").drift == "report"


@pytest.mark.parametrize("way", ["replace", "in-place"])
def test_what_was_written_is_right_and_what_was_changed_is_not(
    make: Callable[..., Any], tmp_path: Path, way: str
) -> None:
    """Deleted, emptied, overwritten, another mode: found, and put right."""
    path = tmp_path / "file"
    made = make(path, write=way)
    write(made)
    content = path.read_bytes()
    assert difference(made) is None
    changes: list[tuple[Callable[[], object], str]] = [
        (path.unlink, "it was deleted"),
        (lambda: path.write_bytes(b""), "it was emptied"),
        (lambda: path.write_bytes(theirs(made)), "it was overwritten"),
        (lambda: path.chmod(0o644), "its mode is 0644 instead of 0600"),
    ]
    for change, what in changes:
        stamp = made.stamp()
        change()
        assert made.stamp() != stamp
        found = difference(made)
        assert found is not None
        assert found.what == what
        assert found.content == ("mode" not in what)
        assert not found.is_foreign
        assert repair(made) is True
        assert difference(made) is None
        assert PLANTED.encode() in path.read_bytes()
        assert path.stat().st_mode & 0o777 == 0o600
        assert repair(made) is False
    if "overwritten" not in str(content):
        assert names(tmp_path) == {"file"}


def test_owner_and_group_count_too(make: Callable[..., Any]) -> None:
    """As they are configured, or the daemon's own."""
    needs_root()
    with public_directory() as directory:
        path = directory / "file"
        for keys, owner, group in (({}, 0, 0), ({"owner": str(STRANGER), "group": "daemon"}, STRANGER, 1)):
            made = make(path, **keys)
            write(made)
            good = made.stamp()
            os.chown(path, 4321, 4322)
            found = difference(made, good)
            assert found is not None
            assert found.found_uid == 4321
            assert "it belongs to uid 4321 instead of" in found.what
            assert not found.is_foreign  # only root can write to the directory
            assert repair(made, good) is True
            assert (path.stat().st_uid, path.stat().st_gid) in {(owner, group), (owner, 4322)}
            assert path.stat().st_uid == owner
            assert difference(made, good) is None


def test_a_file_that_others_may_have_put_there_is_foreign(make: Callable[..., Any]) -> None:
    """It belongs to somebody else, in a directory where anybody may write."""
    needs_root()
    with public_directory() as directory:
        path = directory / "file"
        made = make(path)
        write(made)
        good = made.stamp()
        directory.chmod(0o1777)
        path.write_bytes(theirs(made))
        os.chown(path, STRANGER, STRANGER)
        found = difference(made, good)
        assert found is not None
        assert (found.is_foreign, found.found_uid) == (True, STRANGER)


def test_what_stands_in_its_place_is_said(make: Callable[..., Any], tmp_path: Path) -> None:
    """A directory or a link: the words are those of a write."""
    made = make(tmp_path / "file")
    (tmp_path / "file").mkdir()
    with pytest.raises(SinkError, match="it is a directory, not a regular file"):
        difference(made)
    (tmp_path / "file").rmdir()
    (tmp_path / "file").symlink_to("elsewhere")
    with pytest.raises(SinkError, match="symbolic link"):
        difference(made)


def test_of_a_dotenv_file_only_its_own_keys_count(tmp_path: Path) -> None:
    """What stands beside them is the business of others."""
    path = tmp_path / ".env"
    path.write_text("A=1\n")
    made = sink("dotenv", path, key="JWT_TOKEN", expires_key="JWT_EXPIRES").model
    write(made)
    path.write_text("B=2\n" + path.read_text().replace("A=1\n", "") + "# c\n")
    assert difference(made) is None
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if "EXPIRES" not in line))
    assert difference(made) == Difference("it was overwritten", found_uid=os.geteuid())
    repair(made)
    assert path.read_text() == f"B=2\nJWT_TOKEN={PLANTED}\n# c\nJWT_EXPIRES=2026-03-02T12:00:00Z\n"


def test_a_dotenv_file_keeps_owner_group_mode_and_acl_that_it_had(tmp_path: Path) -> None:
    """The sink sets none of them: they are what they were when it was last right."""
    needs_root()
    path = tmp_path / ".env"
    path.write_text("A=1\n")
    path.chmod(0o640)
    os.chown(path, STRANGER, STRANGER)
    made = sink("dotenv", path, key="JWT_TOKEN").model
    write(made)
    assert difference(made, None) is None
    good = made.stamp()
    path.unlink()
    path.write_text("A=2\n")
    path.chmod(0o604)
    found = difference(made, good)
    assert found is not None
    assert found.what == (
        f"it was overwritten, it belongs to root (uid 0) instead of uid {STRANGER}, "
        f"its group is root (gid 0) instead of gid {STRANGER}, its mode is 0604 instead of 0640"
    )
    repair(made, good)
    status = path.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (STRANGER, STRANGER, 0o640)
    assert path.read_text() == f"A=2\nJWT_TOKEN={PLANTED}\n"
    if supports_acl(tmp_path):
        os.setxattr(path, "system.posix_acl_access", acl())
        good = made.stamp()
        path.write_text("A=2\n")
        repair(made, good)
        assert os.getxattr(path, "system.posix_acl_access") == acl()


def test_a_template_of_several_tokens_is_compared_with_all_of_them(tmp_path: Path) -> None:
    """A change of either is one."""
    path = tmp_path / "file"
    made = sink("template", path, tokens=["b"], template="{{ access_token }} {{ tokens.b.access_token }}").model
    others = {"b": lease("planted-fake-other", name="b")}
    ended(made.repair(InlineRuntime(), lease(), others, None))
    assert made.difference(lease(), others, None) is None
    assert made.difference(lease(), {"b": lease("planted-fake-third", name="b")}, None) is not None


class Editing(FileSink):
    """A kind of another package that edits its file, and cannot say what it must hold."""

    kind: str = "editing"

    def write_blocking(self, lease: Lease) -> bool:
        with self.operator_errors():
            return self.put(b"edited")


def test_a_kind_that_edits_its_file_repairs_by_its_edit(tmp_path: Path) -> None:
    """The edit says whether it changed something. Only a file that is gone can be reported."""
    made = Editing.model_validate({"path": str(tmp_path / "file")})
    reporting = Editing.model_validate({"path": str(tmp_path / "file"), "drift": "report"})
    assert difference(reporting) == Difference("it was deleted")
    write(made)
    assert difference(made) is not None
    assert repair(made) is False
    assert difference(reporting) is None
    (tmp_path / "file").write_text("else")
    assert repair(made) is True
