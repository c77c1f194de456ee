"""A function that runs as another user, in a process of its own: what it can read and write is what the user can."""

import os
import pickle
import pwd
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Identity:
    """A user with the groups that a process of his has. ``name`` is for messages."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]

    @property
    def is_ours(self) -> bool:
        """Whether this process is this user's already."""
        return self.uid == os.geteuid()


def identity_of(user: str, group: str = "", more: Iterable[str] = ()) -> Identity:
    """Look up a user by name or number. ``group`` replaces the primary group, ``more`` are added to the user's groups.

    Raises KeyError if there is no such user or group.
    """
    import grp  # not needed for the common check

    def number(name: str) -> int:
        return int(name) if name.isascii() and name.isdigit() else grp.getgrnam(name).gr_gid

    found = pwd.getpwuid(int(user)) if user.isascii() and user.isdigit() else pwd.getpwnam(user)
    gid = number(group) if group else found.pw_gid
    groups = {*os.getgrouplist(found.pw_name, gid), *map(number, more)}
    return Identity(found.pw_name, found.pw_uid, gid, tuple(sorted(groups)))


def run_as(identity: Identity, call: Callable[[], T]) -> T:
    """Run ``call`` as another user and return its result, which must be picklable. Blocks.

    Only root may become another user. What ``call`` imports should have been imported before: the user may not be able
    to read this program. Raises ChildProcessError if the process ended without a result.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reading)
            os.setgroups(identity.groups)
            os.setresgid(identity.gid, identity.gid, identity.gid)
            os.setresuid(identity.uid, identity.uid, identity.uid)
            with os.fdopen(writing, "wb") as pipe:
                pickle.dump(call(), pipe)
            code = 0
        finally:
            os._exit(code)  # no handler of the parent's runs twice
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        raw = pipe.read()
    _, status = os.waitpid(child, 0)
    if status != 0 or not raw:
        raise ChildProcessError(f"the check as {identity.name} ended without a result")
    result: T = pickle.loads(raw)  # noqa: S301  (our own child's)
    return result
