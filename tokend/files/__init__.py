"""Writing and reading of files. Only this folder writes files: a file appears whole, with its owner and mode, or not.

`writing` writes and `reading` reads. `ownership` sets owner, mode and ACL; `symlinks` decides which links are followed;
`trust` decides whether somebody else could change what is at a path. `reserved` keeps space for a write to come;
`temporaries` names temporary files; `descriptors` keeps a reserve of descriptors; `real_paths` resolves paths;
`file_systems` knows which ones several machines share.
"""

from tokend.files.file_systems import shared_file_system
from tokend.files.observing import Stamp, observe, read_own_file, stamp
from tokend.files.ownership import Ownership, OwnershipError
from tokend.files.reading import LARGEST_EDITED_BYTES, ChangedError, Version, read_private, read_version, read_whole
from tokend.files.real_paths import directories_resolved_once, real_path
from tokend.files.reserved import replace_from_reserve, reserve_space
from tokend.files.sets import remove_set, replace_set, set_difference, set_stamp
from tokend.files.symlinks import RefusedError, Symlink
from tokend.files.trust import Level, Trust, UntrustedError, be_strict, judged_once, require_safe, trusted
from tokend.files.writing import (
    make_directory,
    probe,
    remove_file,
    replace_file,
    replace_private,
    sweep_directory,
    write_in_place,
)

__all__ = [
    "LARGEST_EDITED_BYTES",
    "ChangedError",
    "Level",
    "Ownership",
    "OwnershipError",
    "RefusedError",
    "Stamp",
    "Symlink",
    "Trust",
    "UntrustedError",
    "Version",
    "be_strict",
    "directories_resolved_once",
    "judged_once",
    "make_directory",
    "observe",
    "probe",
    "read_own_file",
    "read_private",
    "read_version",
    "read_whole",
    "real_path",
    "remove_file",
    "remove_set",
    "replace_file",
    "replace_from_reserve",
    "replace_private",
    "replace_set",
    "require_safe",
    "reserve_space",
    "set_difference",
    "set_stamp",
    "shared_file_system",
    "stamp",
    "sweep_directory",
    "trusted",
    "write_in_place",
]
