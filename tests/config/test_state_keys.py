"""The keys of the state in a configuration."""

from pathlib import Path

import pytest

from tests.config.written import only, refused, written
from tokend.config import Config, load
from tokend.config.state_keys import KeyLengthError, read_state_key, state_keys
from tokend.kinds import PROVIDERS, SINKS
from tokend.plugin.secret_source import SecretSource
from tokend.values.errors import SecretError

KEY = b"a-planted-fake-key-of-32-bytes-1"


def with_keys(directory: Path, **keys: str) -> Path:
    return written(directory, "[daemon]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items()))


def loaded(path: Path, *, starting: bool = False) -> Config:
    return load(path, providers=PROVIDERS, sinks=SINKS, environ={}, starting=starting)


@pytest.mark.parametrize(
    "raw", [KEY, KEY[:31] + b"\n", bytes(range(32)), b"\r\n" * 16, b"\0" * 32, KEY + b"\n", KEY + b"\r\n"]
)
def test_32_bytes_are_a_key_as_they_are(tmp_path: Path, raw: bytes) -> None:
    """Random bytes end with a newline once in 256 keys; a text file ends with one as well."""
    (tmp_path / "key").write_bytes(raw)
    (tmp_path / "key").chmod(0o600)
    assert read_state_key(SecretSource(file=tmp_path / "key")) == raw[:32]
    assert loaded(with_keys(tmp_path, state_key='{ file = "./key" }')).warnings == ()


def test_keys_in_hex_and_base64(tmp_path: Path) -> None:
    """As a secret of any other key of the configuration."""
    environ = {"HEX": KEY.hex(), "BASE64": "YS1wbGFudGVkLWZha2Uta2V5LW9mLTMyLWJ5dGVzLTE="}
    assert read_state_key(SecretSource(env="HEX", encoding="hex"), environ) == KEY
    assert read_state_key(SecretSource(env="BASE64", encoding="base64"), environ) == KEY
    with pytest.raises(KeyLengthError, match="has 64 bytes"):
        read_state_key(SecretSource(env="HEX"), environ)


@pytest.mark.parametrize("key", ["state_key", "previous_state_key"])
@pytest.mark.parametrize("raw", [b"short", KEY[:-1], KEY + b"x", KEY + b"\n\n"])
def test_another_length_is_an_error_of_the_configuration_at_a_start_too(tmp_path: Path, key: str, raw: bytes) -> None:
    """With its place and its length; nothing of the key is shown."""
    (tmp_path / "key").write_bytes(raw)
    path = with_keys(tmp_path, **{key: '{ file = "./key" }'})
    problem = only(refused(path))
    assert problem.message.startswith(f"{key}: file {tmp_path}/key has ")
    assert (problem.line, raw.decode() in str(problem)) == (2, False)
    with pytest.raises(Exception, match="a key has 32"):
        loaded(path, starting=True)


def test_a_key_that_cannot_be_read_is_an_error_of_a_check(tmp_path: Path) -> None:
    """The start itself reads it again (`daemon.state_opening`): there it is a warning here."""
    path = with_keys(tmp_path, state_key='{ file = "./none" }')
    assert "cannot be read" in only(refused(path)).message
    [warning] = loaded(path, starting=True).warnings
    assert warning.code == "secret_unreadable"
    with pytest.raises(SecretError):
        read_state_key(SecretSource(file=tmp_path / "none"))


def test_a_check_in_a_shell_cannot_read_a_credential_of_the_unit(tmp_path: Path) -> None:
    """A note, as for the other secrets."""
    path = with_keys(tmp_path, state_key='{ credential = "tokend-state-key" }')
    config = load(path, providers=PROVIDERS, sinks=SINKS, environ={}, in_shell=True)
    [note] = config.notes
    assert "tokend check --unit" in note.message
    assert list(state_keys(config.daemon)) == ["state_key"]


def test_a_token_is_no_key_and_a_literal_is_warned_of(tmp_path: Path) -> None:
    """A token is in the state itself."""
    problem = only(refused(with_keys(tmp_path, state_key='{ token = "px" }')))
    assert "tokens are kept in the state" in problem.message
    [warning] = loaded(with_keys(tmp_path, state_key=f'"{KEY.decode()}"')).warnings
    assert warning.code == "literal_secret"
    assert KEY.decode() not in str(warning)


def test_a_command_is_not_run_by_a_check(tmp_path: Path) -> None:
    """Only a start runs it."""
    config = loaded(with_keys(tmp_path, state_key='{ command = ["/bin/echo", "short"] }'))
    assert config.warnings == ()
    with pytest.raises(KeyLengthError, match="has 5 bytes"):
        read_state_key(state_keys(config.daemon)["state_key"])
