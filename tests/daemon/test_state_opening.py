"""The state as a start opens it."""

from pathlib import Path

import pytest

from tests.config.written import written
from tokend.config import Config, load
from tokend.daemon.state_opening import UnreadableKeyError, open_directory, open_state, sealer_of
from tokend.kinds import PROVIDERS, SINKS
from tokend.service_manager.activation import Inherited
from tokend.service_manager.notify import Notifier
from tokend.values.errors import ConfigError

KEY = b"a-planted-fake-key-of-32-bytes-1"


def config(directory: Path, *lines: str) -> Config:
    (directory / "key").write_bytes(KEY)
    (directory / "key").chmod(0o600)
    daemon = ["[daemon]", f'socket = "{directory}/run/t.sock"', f'state_directory = "{directory}/state"', *lines]
    path = written(directory, "\n".join(daemon) + "\n")
    return load(path, providers=PROVIDERS, sinks=SINKS, environ={}, starting=True)


SEALED = 'state_key = { file = "./key" }'


def test_the_highest_number_is_beside_the_socket_or_in_the_runtime_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nowhere without a key."""
    (tmp_path / "run").mkdir()
    (tmp_path / "runtime").mkdir()
    for number, (lines, runtime) in enumerate([((), ""), ((SEALED,), ""), ((SEALED,), f"{tmp_path}/runtime:/other")]):
        monkeypatch.setenv("RUNTIME_DIRECTORY", runtime)
        state = open_state(config(tmp_path, *lines), Inherited(), Notifier())
        assert state.is_sealed == bool(lines)
        list(state.files())
        list(state.marks())
        state.save("px", b"px")
        state.close()
        found = [len(list((tmp_path / where).glob("writes-*"))) for where in ("run", "runtime")]
        assert found == [[0, 0], [1, 0], [1, 1]][number]


def test_a_key_that_cannot_be_read_opens_nothing(tmp_path: Path) -> None:
    """Not even the directory is made."""
    wanted = config(tmp_path, SEALED, 'previous_state_key = { file = "./none" }')
    with pytest.raises(UnreadableKeyError, match=r"previous_state_key: file .* cannot be read"):
        open_state(wanted, Inherited(), Notifier())
    assert not (tmp_path / "state").exists()
    assert sealer_of(config(tmp_path, SEALED).daemon).seals
    assert not sealer_of(config(tmp_path, 'previous_state_key = { file = "./key" }').daemon).seals


def test_the_state_in_memory_needs_systemd(tmp_path: Path) -> None:
    """Descriptors of other names are closed whatever the state is."""
    with pytest.raises(ConfigError, match="needs systemd"):
        open_state(config(tmp_path, 'state = "fdstore"'), Inherited(), Notifier())
    wanted = config(tmp_path)
    open_directory(wanted.daemon, sealer_of(wanted.daemon)).close()
    assert len((tmp_path / "state/salt").read_bytes()) == 32
