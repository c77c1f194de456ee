"""Files of bytes: encodings, byte order marks, missing packages, several values."""

import subprocess
import sys

import pytest

from tokend.sinks.files.patching.patch_file import PACKAGES, Format, check_pointer, edit, missing_package
from tokend.sinks.files.patching.pointer import parse_pointer
from tokend.sinks.files.patching.problems import UneditableError, UnencodableError
from tokend.sinks.files.patching.value import Value

BOM = b"\xef\xbb\xbf"
FORMATS: tuple[Format, ...] = ("json", "yaml", "toml", "ini", "netrc")
POINTER = parse_pointer("/host/login")
FILES: dict[Format, bytes] = {
    "json": b'{"host": {"login": "old"}}',
    "yaml": b"host:\r\n  login: old\r\n",
    "toml": b'[host]\nlogin = "old"\n',
    "ini": b"[host]\r\nlogin = old",
    "netrc": b"machine host login old\n",
}


@pytest.mark.parametrize("form", FORMATS)
def test_a_byte_order_mark_stays(form: Format) -> None:
    """Editors on Windows write it; it is no part of the first key."""
    after = edit(BOM + FILES[form], form, {POINTER: Value("new")})
    assert after.startswith(BOM)
    assert after.count(BOM) == 1
    assert after == edit(BOM + edit(FILES[form], form, {POINTER: Value("new")}), form, {})


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_in_another_encoding_is_left_alone(form: Format) -> None:
    """Its place is named, its bytes are not."""
    with pytest.raises(UneditableError, match="it is UTF-16: save it as UTF-8"):
        edit("\ufeffx".encode("utf-16-le"), form, {POINTER: Value("new")})
    with pytest.raises(UneditableError, match="line 2: this is not UTF-8"):
        edit(b"a\nplanted\xe9\n", form, {POINTER: Value("new")})


@pytest.mark.parametrize("form", FORMATS)
def test_several_values_are_set_and_taken_away(form: Format) -> None:
    """One after another, in an empty file too."""
    second = parse_pointer("/host/password")
    after = edit(b"", form, {POINTER: Value("one"), second: Value("two")})
    assert after.count(b"host") == 1
    assert edit(after, form, {second: Value("two"), POINTER: Value("one")}) == after
    gone = edit(after, form, {POINTER: None, second: None})
    assert b"one" not in gone
    assert b"two" not in gone
    assert edit(gone, form, {POINTER: None, second: None}) == gone


@pytest.mark.parametrize("form", ["json", "yaml", "toml"])
def test_taking_from_a_file_of_another_shape_changes_nothing(form: Format) -> None:
    """There is no such key, and none can be made."""
    content = {"json": b'{"host": 1}', "yaml": b"host: 1\n", "toml": b"host = 1\n"}[form]
    assert edit(content, form, {POINTER: None}) == content
    with pytest.raises(UneditableError, match="/host is a value without keys"):
        edit(content, form, {POINTER: Value("new")})


def test_a_value_that_cannot_be_written_is_named_by_its_pointer() -> None:
    """And not quoted."""
    with pytest.raises(UnencodableError, match="/host/login: it holds a control character") as refused:
        edit(b"", "netrc", {POINTER: Value("planted\n")})
    assert "planted" not in str(refused.value)


def test_pointers_are_checked_where_the_format_limits_them() -> None:
    """INI and netrc have two levels."""
    deep = parse_pointer("/a/b/c")
    for form in FORMATS:
        if form in {"ini", "netrc"}:
            with pytest.raises(ValueError, match=r"a key of an? "):
                check_pointer(form, deep)
        else:
            check_pointer(form, deep)


@pytest.mark.parametrize("form", ["toml", "ini"])
def test_a_file_for_which_a_package_needs_long_is_left_alone(form: Format) -> None:
    """128 KiB take it a second."""
    content = FILES[form] + b"\n" + b"# c\n" * 32 * 1024
    with pytest.raises(UneditableError, match=f"larger than 131072 bytes, the most for {form}: not edited"):
        edit(content, form, {POINTER: Value("new")})
    assert b"new" in edit(content[: 100 * 1024], form, {POINTER: Value("new")})


def test_every_package_is_here_and_a_missing_one_is_named() -> None:
    """Without an import: a configuration is read in a process that writes nothing."""
    code = (
        "import sys\n"
        "from tokend.sinks.files.patching.patch_file import *\n"
        "print([missing_package(form) for form in ('json', 'yaml', 'toml', 'ini', 'netrc')])\n"
        "print([name for name in PACKAGES.values() if name in sys.modules])\n"
        "class Nowhere:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('ruamel', 'tomlkit', 'configupdater'): raise ModuleNotFoundError(name=name)\n"
        "sys.meta_path.insert(0, Nowhere())\n"
        "sys.modules.pop('ruamel', None)\n"
        "print([missing_package(form) for form in ('json', 'yaml', 'toml', 'ini', 'netrc')])\n"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.splitlines()
    assert told == ["[None, None, None, None, None]", "[]", "[None, 'ruamel.yaml', 'tomlkit', 'configupdater', None]"]
    assert missing_package("yaml") is None
    assert set(PACKAGES) == {"yaml", "toml", "ini"}
