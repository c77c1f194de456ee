"""Names of users and groups, and of numbers without one."""

import grp
import os
import pwd

from tokend.files.account_names import group_name, group_with_gid, user_name, user_with_uid

NOBODYS = 4_000_000_000


def test_a_number_with_a_name_is_told_by_its_name() -> None:
    """The number stands beside it where a person must find the right one of two machines."""
    user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(0).gr_name
    assert user_name(os.geteuid()) == user
    assert user_with_uid(os.geteuid()) == f"{user} (uid {os.geteuid()})"
    assert group_name(0) == group
    assert group_with_gid(0) == f"{group} (gid 0)"


def test_a_number_without_a_name_is_told_as_a_number() -> None:
    """A container's files often belong to such a number."""
    assert (user_name(NOBODYS), user_with_uid(NOBODYS)) == (str(NOBODYS), f"uid {NOBODYS}")
    assert (group_name(NOBODYS), group_with_gid(NOBODYS)) == (str(NOBODYS), f"gid {NOBODYS}")
