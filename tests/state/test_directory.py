"""The state directory: one holder, one salt, one file per name."""

import os
from pathlib import Path

import pytest

from tests.files.children import STRANGER, acting_as, in_own_mounts, needs_root, public_directory
from tokend.state.directory import StateDirectory
from tokend.values.errors import StateLockedError, StoreError


def test_one_holder_at_a_time_and_the_next_when_it_has_gone(tmp_path: Path) -> None:
    """docs/promises.md 76: the refusal names the process; the lock's file alone holds nobody up."""
    first = StateDirectory(tmp_path / "state")
    with pytest.raises(StateLockedError, match=f"process {os.getpid()}"):
        StateDirectory(tmp_path / "state")
    first.close()
    StateDirectory(tmp_path / "state").close()


def test_fingerprints_are_the_directorys_own_and_last(tmp_path: Path) -> None:
    """Salted: the same after a restart, another in another directory, and no plain hash."""
    first, other = StateDirectory(tmp_path / "a"), StateDirectory(tmp_path / "b")
    before = first.fingerprint(b"a-fake-token")
    assert len(before) == 12
    assert other.fingerprint(b"a-fake-token") != before
    first.close()
    again = StateDirectory(tmp_path / "a")
    assert again.fingerprint(b"a-fake-token") == before
    again.close()
    other.close()


def test_a_salt_that_cannot_be_read_is_not_replaced(tmp_path: Path) -> None:
    """A new one would make every stored token somebody else's; a torn one is of no use to anybody."""
    (tmp_path / "salt").mkdir()
    with pytest.raises(StoreError, match="salt cannot be read"):
        StateDirectory(tmp_path)
    (tmp_path / "salt").rmdir()
    (tmp_path / "salt").write_bytes(b"torn")
    state = StateDirectory(tmp_path)
    assert len((tmp_path / "salt").read_bytes()) == 32
    state.close()


def test_files_come_back_by_name_and_damaged_ones_are_set_aside(tmp_path: Path) -> None:
    """Whole files in order; a temporary of a crash is neither read nor kept."""
    state = StateDirectory(tmp_path)
    for name in ("b", "a"):
        state.save(name, name.encode())
    state.close()
    left = tmp_path / "tokens" / ".a.json.tokend-0123abcd"
    left.write_bytes(b"half")
    state = StateDirectory(tmp_path)
    assert [(path.stem, content) for path, content in state.files()] == [("a", b"a"), ("b", b"b")]
    assert not left.exists()
    state.set_aside(tmp_path / "tokens" / "a.json")
    assert [path.stem for path, _ in state.files()] == ["b"]
    assert (tmp_path / "tokens" / "a.damaged").read_bytes() == b"a"
    state.close()


def test_a_parent_that_only_lets_us_through_is_enough() -> None:
    """A directory made for us stands in one that we may not list, let alone sync: systemd's /var/lib/private."""
    with public_directory() as place:
        (place / "state").mkdir(mode=0o700)
        place.chmod(0o711)
        with acting_as(STRANGER), pytest.raises(StoreError, match="Permission denied"):
            StateDirectory(place / "state")
        os.chown(place / "state", STRANGER, STRANGER)
        with acting_as(STRANGER):
            StateDirectory(place / "state").close()


def test_a_record_that_cannot_be_read_now_stays_for_the_next_start() -> None:
    """P2: whatever keeps it from being read may pass; what is no file at all is set aside, and never waited for."""
    needs_root()
    with public_directory() as place:
        os.chown(place, STRANGER, STRANGER)
        with acting_as(STRANGER):
            state = StateDirectory(place)
            state.save("a", b"a")
            os.mkfifo(place / "tokens" / "c.json")
            (place / "tokens" / "d.json").symlink_to("/dev/zero")
        (place / "tokens" / "b.json").write_bytes(b"b")
        (place / "tokens" / "b.json").chmod(0o600)
        with acting_as(STRANGER):
            assert [content for _, content in state.files()] == [b"a"]
            state.close()
        left = {path.name for path in (place / "tokens").iterdir()}
        assert left == {"a.json", "b.json", "c.damaged", "d.damaged"}


# What a first start finds on a disk without blocks, without inodes, or read-only; and what puts it right.
FULL = {
    "blocks": ("-o size=16k", "dd if=/dev/zero of=disk/filler bs=1k || true", "rm disk/filler"),
    "inodes": ("-o nr_inodes=12", "i=0; while touch disk/f$i; do i=$((i+1)); done", "rm disk/f*"),
    "read-only": ("", "mount -o remount,ro none disk", "mount -o remount,rw none disk"),
}


@pytest.mark.parametrize("what", FULL)
@pytest.mark.parametrize("there", [False, True])
def test_on_a_disk_that_cannot_be_written_the_state_is_in_memory_until_it_can(
    tmp_path: Path, what: str, there: bool
) -> None:
    """The first start on a full disk: tokens are served, a save says why it failed, and a later one succeeds."""
    option, fill, fix = FULL[what]
    code = f"""
import subprocess
from pathlib import Path
from tokend.state.directory import StateDirectory
from tokend.values.errors import StateLockedError, StoreError
path = Path("disk/state")
state = StateDirectory(path)
before = state.fingerprint(b"fake")
print(list(state.files()))
try:
    state.save("a", b"one")
except StoreError as error:
    print(error.detail.partition(": ")[2])
subprocess.run({fix!r}, shell=True, check=True)
state.save("a", b"one")
assert state.fingerprint(b"fake") == before
try:
    StateDirectory(path)
except StateLockedError:
    print("locked")
state.close()
state = StateDirectory(path)
assert state.fingerprint(b"fake") == before
print([content for _, content in state.files()])
"""
    made = "mkdir -m 0700 disk/state;" if there else ""
    mounts = f"mkdir disk; mount -t tmpfs {option} none disk; {made} ({fill}) 2>/dev/null"
    said = in_own_mounts(mounts, code, tmp_path).splitlines()
    assert any("state.in_memory" in line for line in said)
    told = [line for line in said if "state.in_memory" not in line]
    reason = "Read-only file system" if what == "read-only" else "No space left on device"
    assert told[0] == "[]"
    assert told[1].startswith(reason)
    assert told[2:] == ["locked", "[b'one']"]


def test_a_state_on_a_read_only_disk_is_read(tmp_path: Path) -> None:
    """The tokens of before are served."""
    code = """
import subprocess
from pathlib import Path
from tokend.state.directory import StateDirectory
path = Path("disk/state")
state = StateDirectory(path)
state.save("a", b"one")
state.close()
subprocess.run("mount -o remount,ro none disk", shell=True, check=True)
state = StateDirectory(path)
print([content for _, content in state.files()])
"""
    assert in_own_mounts("mkdir disk; mount -t tmpfs none disk", code, tmp_path).splitlines()[-1] == "[b'one']"


def test_marks_of_sinks_are_private_files_of_their_own(tmp_path: Path) -> None:
    """One per provider, mode 0600, in a directory that the first of them makes; None removes it."""
    state = StateDirectory(tmp_path)
    assert list(state.marks()) == []
    assert not (tmp_path / "sinks").exists()
    state.save_marks("a.b", b"one")
    state.save_marks("c", b"two")
    assert (tmp_path / "sinks").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "sinks" / "a.b.json").stat().st_mode & 0o777 == 0o600
    assert [(path.stem, content) for path, content in state.marks()] == [("a.b", b"one"), ("c", b"two")]
    assert list(state.files()) == []
    state.save_marks("c", None)
    state.save_marks("never", None)
    state.set_aside(tmp_path / "sinks" / "a.b.json")
    assert list(state.marks()) == []
    state.close()


def test_marks_that_cannot_be_read_or_written_are_no_reason_to_fail(tmp_path: Path) -> None:
    """A file stands where their directory should: a start goes on, and a save says why not."""
    state = StateDirectory(tmp_path)
    (tmp_path / "sinks").write_text("somebody else's")
    assert list(state.marks()) == []
    with pytest.raises(StoreError, match=r"sinks/a\.json cannot be written"):
        state.save_marks("a", b"one")
    state.close()
    StateDirectory(tmp_path).close()
