"""Edits of a file's bytes: encoding, byte order mark, and the module of the format."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Literal, Protocol

from tokend.machine.late_imports import import_alone
from tokend.sinks.files.patching.pointer import Pointer
from tokend.sinks.files.patching.problems import NotThereError, UneditableError, UnencodableError
from tokend.sinks.files.patching.value import Value

Format = Literal["json", "yaml", "toml", "ini", "netrc"]

# The package of each format that needs one: they are those of the extra ``patch``.
PACKAGES = {"yaml": "ruamel.yaml", "toml": "tomlkit", "ini": "configupdater"}

# Their packages take a second for that much. For the others the limit of every edited file is enough.
LARGEST_BYTES = {"toml": 128 * 1024, "ini": 128 * 1024}

_BOM = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class FormatModule(Protocol):
    """The interface of a format's module."""

    def edit(self, text: str, pointer: Pointer, value: Value | None) -> str:
        """Return the text with this value at the pointer; without its key for None, if it is there.

        Raises `UneditableError` and `UnencodableError`.
        """


def missing_package(form: Format) -> str | None:
    """Return the package that a format needs and that is not installed; None if nothing is missing. Imports none."""
    package = PACKAGES.get(form)
    try:
        return package if package is not None and find_spec(package) is None else None
    except ModuleNotFoundError:  # not even the package that it is in
        return package


def check_pointer(form: Format, pointer: Pointer) -> None:
    """Raise ValueError, which does not quote it, for a pointer that can lead to nothing in this format."""
    check = getattr(_module(form), "check_pointer", None)
    if check is not None:
        check(pointer)


def edit(content: bytes, form: Format, values: Mapping[Pointer, Value | None]) -> bytes:
    """Set the values of a file; None takes a key away. Everything else stays byte for byte.

    Raises `UneditableError`, or `UnencodableError` with the pointer. Messages quote neither the file nor a value.
    """
    if len(content) > (largest := LARGEST_BYTES.get(form, len(content))):
        raise UneditableError(f"larger than {largest} bytes, the most for {form}: not edited")
    if content.startswith(_UTF_16):
        raise UneditableError("it is UTF-16: save it as UTF-8")
    bom = _BOM if content.startswith(_BOM) else b""
    try:
        text = content.removeprefix(bom).decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start + len(bom)) + 1
        raise UneditableError(f"line {line}: this is not UTF-8") from None
    module = _module(form)
    for pointer, value in values.items():
        try:
            text = module.edit(text, pointer, value)
        except NotThereError:
            if value is not None:
                raise
        except UnencodableError as error:
            raise UnencodableError(f"{pointer.text}: {error}") from None
    return bom + text.encode()


def _module(form: Format) -> FormatModule:
    module: FormatModule = import_alone(f"tokend.sinks.files.patching.{form}")
    return module
