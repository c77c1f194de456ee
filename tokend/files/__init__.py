"""The one place where files are written: whole or not at all, with the right owner and mode before the first byte.

`writing` does it; whose a file is (`ownership`), which links are followed (`symlinks`), what temporaries are called
(`temporaries`) and what is left when descriptors run out (`descriptors`) stand beside it.
"""

from tokend.files.ownership import NotKeptError, Ownership
from tokend.files.symlinks import RefusedError, Symlink
from tokend.files.writing import (
    ChangedError,
    Version,
    probe,
    read_version,
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
    "probe",
    "read_version",
    "remove_file",
    "replace_file",
    "replace_private",
    "sweep_directory",
    "write_in_place",
]
