"""A snapshot of a state directory: what the daemon saved, and nothing changed."""

from pathlib import Path

import pytest

from tests.expecting import present
from tokend.state.directory import StateDirectory
from tokend.state.snapshot import StateSnapshot
from tokend.values.errors import StoreError


def test_it_has_the_records_of_a_directory_that_a_daemon_holds(tmp_path: Path) -> None:
    """With the same fingerprints; saving, setting aside and closing change nothing."""
    held = StateDirectory(tmp_path / "state")
    held.save("a", b"{}")
    before = {path: path.stat().st_mtime_ns for path in sorted((tmp_path / "state").rglob("*"))}
    snapshot = StateSnapshot(tmp_path / "state")
    assert snapshot.error is None
    [(path, content)] = snapshot.files()
    assert (path.name, content) == ("a.json", b"{}")
    assert snapshot.fingerprint(b"x") == held.fingerprint(b"x")
    assert snapshot.boot_id == held.boot_id
    snapshot.save("a", b"changed")
    snapshot.save("b", b"new")
    snapshot.save_marks("a", b"marks")
    assert list(snapshot.marks()) == []
    snapshot.set_aside(path)
    snapshot.close()
    assert {path: path.stat().st_mtime_ns for path in sorted((tmp_path / "state").rglob("*"))} == before
    held.close()


def test_a_login_is_not_sent_where_its_answer_cannot_be_saved(tmp_path: Path) -> None:
    """The journal of an exchange asks for space for the answer: that fails, and nothing is sent."""
    StateDirectory(tmp_path / "state").close()
    with pytest.raises(StoreError, match="only read here"):
        StateSnapshot(tmp_path / "state").save("a", b"journal", reserve=100)


def test_without_a_directory_it_is_empty_and_says_why(tmp_path: Path) -> None:
    """Nothing is made."""
    snapshot = StateSnapshot(tmp_path / "state")
    assert list(snapshot.files()) == []
    assert present(snapshot.error).startswith(f"{tmp_path}/state/salt: No such file or directory")
    assert list(tmp_path.iterdir()) == []
