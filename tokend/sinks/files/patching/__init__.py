"""Edits of single values in files of other programs: JSON, YAML, TOML, INI and netrc. Pure.

Each format is a module with one function ``edit(text, pointer, value)``. It finds the value's place in the text and
replaces only that; every other character stays. It reads the result again and compares it with what was there.
`patch_file` begins here; `problems` has the errors, `pointer` the paths, `entries` what the formats with braces share.
"""

from tokend.sinks.files.patching.patch_file import Format, check_pointer, edit, missing_package
from tokend.sinks.files.patching.pointer import Pointer, parse_pointer
from tokend.sinks.files.patching.problems import UneditableError, UnencodableError
from tokend.sinks.files.patching.value import NUMBER, Value

__all__ = [
    "NUMBER",
    "Format",
    "Pointer",
    "UneditableError",
    "UnencodableError",
    "Value",
    "check_pointer",
    "edit",
    "missing_package",
    "parse_pointer",
]
