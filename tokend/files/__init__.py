"""The one place where files are written: whole or not at all, with the right owner and mode before the first byte.

`writing` does it, and `reading` looks first; whose a file is (`ownership`), which links are followed (`symlinks`), what
temporaries are called (`temporaries`) and what is left when descriptors run out (`descriptors`) stand beside them.
"""

from tokend.files.ownership import NotKeptError, Ownership
from tokend.files.reading import ChangedError, Version, read_version, read_whole
from tokend.files.real_paths import directories_resolved_once, real_path
from tokend.files.symlinks import RefusedError, Symlink
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
    "ChangedError",
    "NotKeptError",
    "Ownership",
    "RefusedError",
    "Symlink",
    "Version",
    "directories_resolved_once",
    "make_directory",
    "probe",
    "read_version",
    "read_whole",
    "real_path",
    "remove_file",
    "replace_file",
    "replace_private",
    "sweep_directory",
    "write_in_place",
]
