"""Inspection of a secret: what is odd, who may read it, who may change it; never what it is."""

import os
from pathlib import Path

import pytest

from tests.files.children import STRANGER, needs_root
from tokend.files import judged_once
from tokend.plugin.secret_inspection import Inspected, inspect_secret
from tokend.plugin.secret_source import SecretSource, UnshownPath
from tokend.values.errors import UnsafePathError
from tokend.values.secret import Secret

KEY = "obviously-fake-secret-of-32-bytes"


def in_file(directory: Path, content: str = KEY, mode: int = 0o600, **more: str) -> SecretSource:
    path = directory / "key"
    path.write_text(content)
    path.chmod(mode)
    return SecretSource(file=path, **more)  # type: ignore[arg-type]  # encoding


def codes(found: Inspected) -> list[str]:
    assert KEY not in str(found)
    return [one.code for one in found.warnings]


def test_a_secret_in_good_order_is_read_without_a_warning(tmp_path: Path) -> None:
    """One newline at the end is usual."""
    found = inspect_secret("api_key", in_file(tmp_path, KEY + "\n"))
    assert (found.secret, found.error, found.warnings) == (Secret(KEY), None, ())


def test_an_odd_secret_is_used_as_it_is(tmp_path: Path) -> None:
    """It may be meant. The warning names the key, the place and what is odd."""
    source = in_file(tmp_path, f'"{KEY}"')
    found = inspect_secret("api_key", source)
    assert (found.secret, codes(found)) == (Secret(f'"{KEY}"'), ["secret_format"])
    assert found.warnings[0].message.startswith(f"api_key: file {tmp_path}/key stands in quotes; it is used as it is")
    for source in (SecretSource(env="KEY"), SecretSource(literal=Secret(f" {KEY}"))):
        assert codes(inspect_secret("api_key", source, {"KEY": f" {KEY}"})) == ["secret_format"]


def test_what_a_decoder_skips_is_not_odd(tmp_path: Path) -> None:
    """White space around base64 and hex changes nothing."""
    assert inspect_secret("key", in_file(tmp_path, " MDA= \n\n", encoding="base64")).warnings == ()
    assert inspect_secret("key", in_file(tmp_path, " 30 31 \n", encoding="hex")).warnings == ()


@pytest.mark.parametrize("mode", [0o604, 0o644])
def test_a_secret_that_every_user_may_read_is_a_warning(tmp_path: Path, mode: int) -> None:
    """Unless it is none, as a user name."""
    source = in_file(tmp_path, mode=mode)
    found = inspect_secret("api_key", source)
    assert codes(found) == ["secret_exposed"]
    assert found.warnings[0].message == (
        f"api_key: every user may read file {tmp_path}/key (mode {mode:04o}): chmod o-r {tmp_path}/key"
    )
    assert inspect_secret("username", source, confidential=False).warnings == ()


def test_a_secret_that_every_user_may_write_is_not_read(tmp_path: Path) -> None:
    """Somebody else's secret could bring somebody else's token."""
    found = inspect_secret("api_key", in_file(tmp_path, mode=0o602))
    assert isinstance(found.error, UnsafePathError)
    assert found.secret is None
    assert f"file {tmp_path}/key is at an unsafe path: every user may write to" in found.error.detail


def test_a_stranger_s_secret_is_doubtful_and_his_program_unsafe(tmp_path: Path) -> None:
    """A file is only read; a program is run. With strict paths both are unsafe."""
    needs_root()
    source = in_file(tmp_path)
    os.chown(tmp_path / "key", STRANGER, STRANGER)
    found = inspect_secret("api_key", source)
    assert (found.secret, codes(found)) == (Secret(KEY), ["doubtful_path"])
    assert f"belongs to uid {STRANGER}" in found.warnings[0].message
    with judged_once(strict=True):
        assert isinstance(inspect_secret("api_key", source).error, UnsafePathError)
    (tmp_path / "key").chmod(0o700)
    found = inspect_secret("api_key", SecretSource(command=(str(tmp_path / "key"),)))
    assert isinstance(found.error, UnsafePathError)


def test_a_command_is_not_run(tmp_path: Path) -> None:
    """Its program's path is looked at: in $PATH, too. One that is not there has no path."""
    trace = tmp_path / "trace"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {trace}\n")
    program.chmod(0o755)
    for argv in ((str(program),), ("program",), ("obviously-not-there",)):
        found = inspect_secret("key", SecretSource(command=argv), {"PATH": str(tmp_path)})
        assert found == Inspected(None, None, ())
    assert not trace.exists()
    program.chmod(0o757)
    found = inspect_secret("key", SecretSource(command=("program",)), {"PATH": str(tmp_path)})
    assert isinstance(found.error, UnsafePathError)


def test_a_credential_is_judged_like_a_file(tmp_path: Path) -> None:
    """systemd's directory is root's or ours; another one may be anybody's."""
    (tmp_path / "partner").write_text(KEY)
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert inspect_secret("key", SecretSource(credential="partner"), environ).secret == Secret(KEY)
    tmp_path.chmod(0o777)
    error = inspect_secret("key", SecretSource(credential="partner"), environ).error
    assert isinstance(error, UnsafePathError)


def test_a_path_that_may_be_a_secret_is_not_shown(tmp_path: Path) -> None:
    """People write the secret itself where its path belongs: neither the path nor its directories are named."""
    source = in_file(tmp_path, mode=0o644)
    hidden = SecretSource(file=UnshownPath(source.file))
    [warning] = inspect_secret("key", hidden).warnings
    assert warning.message == "key: every user may read file (not shown) (mode 0644)"
    (tmp_path / "key").chmod(0o602)
    error = inspect_secret("key", hidden).error
    assert error is not None
    assert error.detail == "file (not shown) is at an unsafe path: others may change what is there"
