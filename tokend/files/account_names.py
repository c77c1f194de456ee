"""Names of users and groups for messages, by uid and gid. Blocks: a directory service may need seconds."""

import grp
import pwd


def user_name(uid: int) -> str:
    """Return the user's name, or the number as text if there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    """Return the group's name, or the number as text if there is none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def user_with_uid(uid: int) -> str:
    """Return "NAME (uid N)", or "uid N" if there is no name."""
    name = user_name(uid)
    return f"uid {uid}" if name == str(uid) else f"{name} (uid {uid})"


def group_with_gid(gid: int) -> str:
    """Return "NAME (gid N)", or "gid N" if there is no name."""
    name = group_name(gid)
    return f"gid {gid}" if name == str(gid) else f"{name} (gid {gid})"
