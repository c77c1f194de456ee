"""A function in a process of another user: what it returns, and which rights it has."""

import os
from pathlib import Path

import pytest

from tests.cli.running import SOMEBODY, as_root, short_directory
from tokend.cli.as_user import Identity, identity_of, run_as

OTHER = Identity("somebody", SOMEBODY, SOMEBODY + 1, (SOMEBODY + 1, SOMEBODY + 2))


@as_root
def test_it_has_the_user_s_rights_and_groups_and_its_result_comes_back() -> None:
    """The files of root stay closed to it; this process keeps its own identity."""
    with short_directory() as directory:
        (directory / "closed").write_text("x")
        (directory / "closed").chmod(0o600)

        def look() -> tuple[int, int, set[int], bool]:
            return os.geteuid(), os.getegid(), set(os.getgroups()), os.access(directory / "closed", os.R_OK)

        assert run_as(OTHER, look) == (SOMEBODY, SOMEBODY + 1, {SOMEBODY + 1, SOMEBODY + 2}, False)
    assert os.geteuid() == 0


@as_root
def test_a_process_without_a_result_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    """An exception in it, or its end."""

    def fail() -> None:
        raise ZeroDivisionError

    for call in (fail, lambda: os._exit(0)):
        with pytest.raises(ChildProcessError, match="the check as somebody ended without a result"):
            run_as(OTHER, call)


def test_users_are_looked_up_by_name_and_number() -> None:
    """Groups replace the primary one, and are added to the user's own."""
    root = identity_of("root")
    assert (root.name, root.uid, root.gid) == ("root", 0, 0)
    assert identity_of("0") == root
    assert root.is_ours == (os.geteuid() == 0)
    other = identity_of("root", "12345", ["54321"])
    assert other.gid == 12345
    assert {12345, 54321} <= set(other.groups)
    for user, group in (("no-such-user", ""), ("root", "no-such-group")):
        with pytest.raises(KeyError):
            identity_of(user, group)


def test_the_path_of_a_picklable_result_survives(tmp_path: Path) -> None:
    """Any user may run it as himself."""
    me = Identity("me", os.getuid(), os.getgid(), tuple(os.getgroups()))
    if os.geteuid() == 0:
        assert run_as(me, lambda: tmp_path) == tmp_path
