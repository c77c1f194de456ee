"""Kinds of file systems: those whose files other machines, or a host and its guests, may use at the same time.

A lock there is not seen by everybody, or not always. The table of mounts names the kind; statfs(2) has one number for
all of FUSE.
"""

import os
import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
SHARED = frozenset(
    {
        *("9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "drvfs", "gfs", "gfs2", "glusterfs", "gpfs"),
        *("kafs", "lustre", "mmfs", "ncp", "ncpfs", "nfs", "nfs3", "nfs4", "ocfs2", "orangefs", "panfs", "prl_fs"),
        *("pvfs2", "smb2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs", "webdav", "wekafs"),
    }
)
# By FUSE: the name of the program follows the dot.
SHARED_BY_FUSE = re.compile(
    r"fuse\.(.*(ssh|sftp|ftp|nfs|smb|cifs|dav|http|s3|gcs|blob|ceph|gluster|afs|cvmfs|ipfs|juicefs|seaweed|moose|lizard|mfs"
    r"|hdfs|alluxio|lustre|rclone|drive|dropbox|onedrive|hgfs|9p|virtio|weed).*)"
)
_OCTAL = re.compile(r"\\([0-7]{3})")


def shared_file_system(path: str | Path, mounts: str | None = None) -> str | None:
    """Return the kind of the file system at ``path`` if other machines may use it, too; else None.

    ``path`` need not exist: then its directory counts. ``mounts`` is the content of /proc/self/mountinfo; where that
    cannot be read, nothing is known, and the result is None. Blocks.
    """
    if mounts is None:
        try:
            mounts = MOUNTS.read_text("utf-8", "surrogateescape")
        except OSError:
            return None
    kind = _kind_at(os.path.realpath(path), mounts)
    return kind if kind in SHARED or SHARED_BY_FUSE.fullmatch(kind) else None


def _kind_at(real: str, mounts: str) -> str:
    """Return the kind of the mount with the longest way to ``real``; of several at one place, the last."""
    longest, kind = -1, ""
    for line in mounts.splitlines():
        fields, _, rest = line.partition(" - ")
        point = _OCTAL.sub(lambda code: chr(int(code[1], 8)), (fields.split(" ") + [""] * 5)[4])
        is_above = point == "/" or real == point or real.startswith(f"{point}/")
        if is_above and len(point) >= longest:
            longest, kind = len(point), rest.split(" ")[0]
    return kind
