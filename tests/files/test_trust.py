"""A path is trusted as far as nobody but root and this user could change what is there."""

import os
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.files.children import STRANGER, acting_as, environment, needs_root, public_directory
from tokend.files.acl import ACL
from tokend.files.trust import Level, UntrustedError, be_strict, judged_once, require_safe, trusted

OK, DOUBTFUL, UNSAFE = Level.OK, Level.DOUBTFUL, Level.UNSAFE
OTHER_GROUP = 54322


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that belongs to this process and that only its user may write."""
    with public_directory() as directory:
        yield directory


def file(path: Path, mode: int = 0o600, uid: int = -1, gid: int = -1) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"obviously fake")
    os.chown(path, uid, gid)
    path.chmod(mode)
    return path


def directory(path: Path, mode: int, uid: int = -1, gid: int = -1) -> Path:
    path.mkdir()
    os.chown(path, uid, gid)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o644, 0o660])
def test_a_file_that_only_its_owner_and_his_own_group_may_write_is_ok(place: Path, mode: int) -> None:
    """Who may read it is another question: it says nothing about who decides its content."""
    assert trusted(file(place / "key", mode)).level is OK


def test_a_file_that_every_user_may_write_is_unsafe(place: Path) -> None:
    """The reason names the file, its mode and what to do."""
    path = file(place / "key", 0o646)
    found = trusted(path)
    assert found.level is UNSAFE
    assert found.reason == f"every user may write to {path} (mode 0646): chmod o-w {path}"


def test_a_group_that_may_write_is_doubtful_unless_it_is_root_s_or_the_owner_s_own(place: Path) -> None:
    """The members of another group may put another content there."""
    needs_root()
    found = trusted(file(place / "key", 0o660, gid=OTHER_GROUP))
    assert (found.level, f"group gid {OTHER_GROUP} may write" in found.reason) == (DOUBTFUL, True)
    assert trusted(file(place / "rooted", 0o660, gid=0)).level is OK
    assert trusted(directory(place / "team", 0o775, gid=OTHER_GROUP) / "key").level is DOUBTFUL
    # A user without an entry in the database has the group that this process has.
    path = file(directory(place / "his", 0o770, STRANGER, STRANGER) / "key", 0o660, STRANGER, STRANGER)
    with acting_as(STRANGER):
        assert trusted(path).level is OK


def test_a_stranger_s_file_has_the_level_that_the_caller_gives_it(place: Path) -> None:
    """A secret of another user is doubtful; a configuration of another user is unsafe."""
    needs_root()
    path = file(place / "key", 0o600, uid=STRANGER)
    assert trusted(path).level is DOUBTFUL
    assert trusted(path, foreign=UNSAFE).level is UNSAFE
    assert trusted(path, foreign=OK).level is OK
    assert f"{path} belongs to uid {STRANGER}: it should belong to root" in trusted(path).reason
    with acting_as(STRANGER):
        assert trusted(path, foreign=UNSAFE).level is OK
        assert trusted("/etc/passwd", foreign=UNSAFE).level is OK


def test_the_owner_of_a_directory_on_the_way_counts_like_the_owner_of_the_file(place: Path) -> None:
    """He can rename the file and put his own in its place."""
    needs_root()
    home = directory(place / "home", 0o755, uid=STRANGER)
    assert trusted(file(home / "config.toml"), foreign=UNSAFE).level is UNSAFE
    assert trusted(home / "not there yet", foreign=UNSAFE).level is UNSAFE
    assert trusted(home, foreign=UNSAFE).level is UNSAFE


@pytest.mark.parametrize("depth", ["near/key", "near/far/key", "near/../near/key"])
def test_a_directory_on_the_way_that_every_user_may_write_is_unsafe(place: Path, depth: str) -> None:
    """Wherever it is on the way, also where the file is not there yet."""
    directory(place / "near", 0o777)
    path = place / depth
    path.parent.mkdir(exist_ok=True)
    assert trusted(path).level is UNSAFE
    assert trusted(file(path)).level is UNSAFE


def test_a_sticky_directory_is_ok_where_the_next_part_is_root_s_or_ours(place: Path) -> None:
    """There others can neither rename nor remove what belongs to us; /tmp is such a directory."""
    sticky = directory(place / "tmp", 0o1777)
    assert trusted(file(sticky / "key")).level is OK
    assert trusted(sticky).level is OK
    assert trusted(sticky / "not there yet").level is OK


def test_a_sticky_directory_is_unsafe_where_the_next_part_is_a_stranger_s(place: Path) -> None:
    """A file, a directory or a link: its owner may replace it, whatever a link leads to."""
    needs_root()
    sticky, ours = directory(place / "tmp", 0o1777), file(place / "key")
    assert trusted(file(sticky / "key", uid=STRANGER)).level is UNSAFE
    assert trusted(file(directory(sticky / "in", 0o755, uid=STRANGER) / "key")).level is UNSAFE
    (sticky / "link").symlink_to(ours)
    assert trusted(sticky / "link").level is OK
    os.lchown(sticky / "link", STRANGER, STRANGER)
    assert trusted(sticky / "link").level is UNSAFE


@pytest.mark.parametrize("relative", [True, False])
def test_a_link_is_judged_at_both_ends(place: Path, relative: bool) -> None:
    """Where the link is, and where it leads to."""
    open_place, ours = directory(place / "open", 0o777), directory(place / "ours", 0o755)
    file(open_place / "key")
    file(ours / "key")
    (ours / "out").symlink_to("../open/key" if relative else open_place / "key")
    (open_place / "in").symlink_to("../ours/key" if relative else ours / "key")
    (ours / "to nothing").symlink_to("../open/nothing")
    (ours / "directory").symlink_to("../open" if relative else open_place)
    for path in (ours / "out", open_place / "in", ours / "to nothing", ours / "directory/key"):
        assert trusted(path).level is UNSAFE, path
    (ours / "well").symlink_to("key")
    assert trusted(ours / "well").level is OK


def test_links_in_a_circle_are_an_error(place: Path) -> None:
    """As for the kernel: there is nothing to judge."""
    (place / "a").symlink_to("b")
    (place / "b").symlink_to("a")
    with pytest.raises(OSError, match="Too many levels"):
        trusted(place / "a")


def test_devices_are_not_judged_and_pipes_are(place: Path) -> None:
    """Everybody may write to /dev/null, which holds nothing; what is in a fifo comes from who may write it."""
    assert trusted("/dev/null").level is OK
    os.mkfifo(place / "fifo")
    assert trusted(place / "fifo").level is OK
    (place / "fifo").chmod(0o622)
    assert trusted(place / "fifo").level is UNSAFE


def test_a_file_passed_by_a_shell_is_ok(place: Path) -> None:
    """`tokend check <(…)` names a pipe below /proc; its link's text is no path."""
    reading, writing = os.pipe()
    try:
        assert trusted(f"/dev/fd/{reading}", foreign=UNSAFE).level is OK
    finally:
        os.close(reading)
        os.close(writing)


def entry(tag: int, allowed: int, number: int = 2**32 - 1) -> bytes:
    return struct.pack("<HHI", tag, allowed, number)


@pytest.mark.parametrize(
    ("more", "mask", "level"),
    [
        ([(0x02, 6, STRANGER)], 6, DOUBTFUL),  # a user who may write
        ([(0x02, 6, STRANGER)], 4, OK),  # not beyond the mask
        ([(0x02, 4, STRANGER)], 6, OK),  # a user who may read
        ([(0x02, 6, 0)], 6, OK),  # root may anyway
        ([(0x08, 6, OTHER_GROUP)], 6, DOUBTFUL),  # a group
        ([(0x08, 4, OTHER_GROUP)], 6, OK),
    ],
)
def test_an_acl_counts_as_far_as_its_mask_goes(
    place: Path, more: list[tuple[int, int, int]], mask: int, level: Level
) -> None:
    """The mode shows the mask in the place of the group: named users and groups are in the ACL alone."""
    needs_root()
    path = file(place / "key", 0o600, gid=0)
    users = b"".join(entry(*one) for one in more if one[0] == 0x02)
    groups = b"".join(entry(*one) for one in more if one[0] == 0x08)
    raw = struct.pack("<I", 2) + entry(0x01, 6) + users + entry(0x04, 4) + groups + entry(0x10, mask) + entry(0x20, 0)
    try:
        os.setxattr(path, ACL, raw)
    except OSError:
        pytest.skip("this filesystem has no ACLs")
    assert stat.S_IMODE(path.stat().st_mode) & 0o070 == mask << 3
    assert trusted(path).level is level


def test_strict_paths_take_doubtful_for_unsafe(place: Path) -> None:
    """For the whole process, or for one block."""
    needs_root()
    path = file(place / "key", 0o660, gid=OTHER_GROUP)
    require_safe(path)
    with judged_once(strict=True):
        assert trusted(path).level is UNSAFE
        assert trusted(file(place / "fine")).level is OK
    be_strict(True)
    try:
        with pytest.raises(UntrustedError, match="group gid"):
            require_safe(path)
        with judged_once(strict=False):
            require_safe(path)
        with judged_once(), pytest.raises(UntrustedError):
            require_safe(path)
    finally:
        be_strict(False)


def test_a_block_looks_at_each_directory_once(place: Path) -> None:
    """Ten thousand secrets lie in one directory: a change in the meantime is seen by the next block."""
    near = directory(place / "near", 0o755)
    with judged_once():
        assert trusted(file(near / "a")).level is OK
        near.chmod(0o777)
        assert trusted(file(near / "b")).level is OK
    with judged_once():
        assert trusted(near / "b").level is UNSAFE


def test_what_cannot_be_looked_at_is_an_error(place: Path) -> None:
    """Neither trusted nor distrusted: the caller's own open says why."""
    needs_root()
    path = file(directory(place / "closed", 0o700) / "key")
    with acting_as(STRANGER), pytest.raises(PermissionError):
        trusted(path)


def test_a_level_is_written_as_a_word() -> None:
    """As in messages: ok, doubtful, unsafe."""
    assert [str(level) for level in (OK, DOUBTFUL, UNSAFE)] == ["ok", "doubtful", "unsafe"]


def test_root_without_a_number_in_a_user_namespace_is_still_root(place: Path) -> None:
    """In a user unit's sandbox /, /etc and /home belong to nobody (65534): they are trusted."""
    code = "from tokend.files.trust import trusted; print(trusted('/etc/passwd').level)"
    argv = ["unshare", "--user", "--map-user=12345", sys.executable, "-c", code]
    with suppress(FileNotFoundError):
        done = subprocess.run(argv, env=environment(), capture_output=True, text=True, check=False, timeout=60)
        if done.returncode == 0:
            assert done.stdout.strip() == "ok"
            return
    pytest.skip("no user namespaces here")
