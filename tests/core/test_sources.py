"""Where secrets come from, each really read."""

import base64
import os
import sys

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from tokend.errors import SecretError
from tokend.sources import SecretField, SecretSource, read_secret

PLANTED = "planted-fake-secret-2"


class Model(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)
    secret: SecretField


def source(table, directory="."):
    return Model.model_validate({"secret": table}, context={"directory": directory}).secret


def test_each_place_gives_its_secret(tmp_path):
    """env, file (relative to the configuration), credential, command, literal."""
    (tmp_path / "key").write_text(PLANTED + "\n")
    environ = {"KEY": PLANTED, "CREDENTIALS_DIRECTORY": f"{tmp_path}:/elsewhere"}
    for table in (
        {"env": "KEY"},
        {"file": "key"},
        {"credential": "key"},
        {"command": [sys.executable, "-c", f"print({PLANTED!r})"]},
        PLANTED,
    ):
        assert read_secret(source(table, str(tmp_path)), environ).reveal() == PLANTED


@pytest.mark.parametrize(("written", "read"), [("a\n", "a"), ("a\n\n", "a\n"), ("a\r\n", "a"), (" a ", " a ")])
def test_one_trailing_newline_is_stripped_and_nothing_else(tmp_path, written, read):
    """One, not all; inner and other white space may be part of a secret."""
    (tmp_path / "key").write_bytes(written.encode())
    assert read_secret(source({"file": "key"}, str(tmp_path))).reveal() == read


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("base64", base64.b64encode(b"\xff\xfe\x00k").decode()),
        ("base64", base64.urlsafe_b64encode(b"\xff\xfe\x00k").decode().rstrip("=")),
        ("hex", "fffe006b"),
    ],
)
def test_encoded_keys_become_bytes(encoding, text):
    """Both base64 alphabets, padding optional; hex."""
    assert read_secret(source({"env": "K", "encoding": encoding}), {"K": text}).reveal_bytes() == b"\xff\xfe\x00k"


@pytest.mark.parametrize(
    ("table", "environ", "expected"),
    [
        ({"env": "MISSING"}, {}, "environment variable MISSING is not set"),
        ({"env": "EMPTY"}, {"EMPTY": ""}, "environment variable EMPTY is empty"),
        ({"file": "/nonexistent/key"}, {}, "No such file"),
        ({"credential": "k"}, {}, r"\$CREDENTIALS_DIRECTORY is not set"),
        ({"credential": "../k"}, {"CREDENTIALS_DIRECTORY": "/tmp"}, "one file name"),
        ({"command": ["/nonexistent"]}, {}, "cannot be run"),
        ({"command": ["sh", "-c", f"echo {PLANTED} >&2; echo {PLANTED}; exit 3"]}, {}, "failed with exit status 3"),
        ({"env": "BAD", "encoding": "hex"}, {"BAD": PLANTED}, "not valid hex"),
        ({"env": "BAD", "encoding": "base64"}, {"BAD": PLANTED + "!"}, "not valid base64"),
        ({"env": "NEWLINE"}, {"NEWLINE": "\n"}, "is empty"),
    ],
)
def test_what_cannot_be_read_is_named_without_its_content(table, environ, expected):
    """SecretError: place and reason, never the value, nor what a command printed."""
    with pytest.raises(SecretError, match=expected) as refused:
        read_secret(source(table), environ)
    assert PLANTED not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_file_that_keeps_changing_is_not_believed(tmp_path):
    """A file is read until two reads agree: this one never does."""
    fifo = tmp_path / "endless"
    fifo.symlink_to("/proc/sys/kernel/random/uuid")
    with pytest.raises(SecretError, match="keeps changing"):
        read_secret(source({"file": "endless"}, str(tmp_path)))


@pytest.mark.parametrize("table", [{}, {"env": "A", "file": "b"}, {"enf": "A"}, 5, ["a"]])
def test_a_secret_is_exactly_one_place(table):
    """None, two, unknown or no place at all are refused; the input is not quoted."""
    with pytest.raises(ValidationError):
        source(table)


def test_equality_compares_places_and_repr_shows_no_literal():
    """A reload sees a change of place; a literal never shows."""
    assert source({"env": "A"}) == source({"env": "A"}) != source({"env": "B"})
    assert source(PLANTED) == source(PLANTED) != source("other")
    assert PLANTED not in repr(source(PLANTED)) + str(source(PLANTED))
    assert isinstance(source(PLANTED), SecretSource)


def test_a_command_gets_no_input_and_a_limit_of_output():
    """Standard input is closed; megabytes are no secret."""
    assert read_secret(source({"command": ["sh", "-c", "cat; echo end"]})).reveal() == "end"
    with pytest.raises(SecretError, match="not a secret"):
        read_secret(source({"command": ["head", "-c", "100000", "/dev/zero"]}))
    assert os.environ.get("TOKEND_TEST_NEVER_SET") is None
