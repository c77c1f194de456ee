"""Opening of the state at a start: the keys that seal it, its back end, and the layer that seals."""

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tokend.config import Config, DaemonSettings
from tokend.config.state_keys import read_state_key, state_keys
from tokend.service_manager.activation import Inherited
from tokend.service_manager.notify import Notifier
from tokend.state import fdstore
from tokend.state.directory import StateDirectory, boot_id
from tokend.state.fdstore import DescriptorStore
from tokend.state.sealed import SealedState
from tokend.state.sealing import Sealer, StateKey
from tokend.state.write_numbers import WriteNumbers
from tokend.values.errors import ConfigError, SecretError


class UnreadableKeyError(ConfigError):
    """A state key is configured and cannot be read. Nothing was opened: what is sealed would count as lost."""


def sealer_of(settings: DaemonSettings, environ: Mapping[str, str] = os.environ) -> Sealer:
    """Read the keys of the state. Blocks. Raises `UnreadableKeyError`."""
    keys = {}
    for key, source in state_keys(settings).items():
        try:
            keys[key] = StateKey(read_state_key(source, environ))
        except SecretError as error:
            raise UnreadableKeyError(f"{key}: {error.detail}: nothing is opened without it") from None
    previous = keys.get("previous_state_key")
    return Sealer(keys.get("state_key"), () if previous is None else (previous,))


def open_state(config: Config, inherited: Inherited, notifier: Notifier) -> SealedState:
    """Open the configured back end. Blocks. Descriptors that systemd stored under other names are closed and dropped.

    Raises `UnreadableKeyError`, `StoreError`, and `ConfigError` for ``state = "fdstore"`` without systemd.
    """
    stored = inherited.stored.pop(fdstore.NAME, []) if config.daemon.state == "fdstore" else []
    for name, descriptors in inherited.stored.items():
        notifier.drop(name)
        for one in descriptors:
            os.close(one)
    path, sealer = config.daemon.state_directory, sealer_of(config.daemon)
    if config.daemon.state == "directory":
        return open_directory(config.daemon, sealer)
    if not notifier.connected:
        raise ConfigError(
            f'{config.files[0]}: state = "fdstore" needs systemd ($NOTIFY_SOCKET): start tokend as a service whose '
            'unit has FileDescriptorStoreMax=1, or use state = "directory"'
        )
    backend = DescriptorStore(path, notifier=notifier, stored=stored, sealer=sealer)
    return SealedState(backend, sealer, _numbers(config.daemon, sealer))


def open_directory(settings: DaemonSettings, sealer: Sealer) -> SealedState:
    """Open the state directory. Blocks. Raises `StoreError`."""
    return SealedState(StateDirectory(settings.state_directory, sealer), sealer, _numbers(settings, sealer))


def _numbers(settings: DaemonSettings, sealer: Sealer) -> WriteNumbers:
    """Return the counter of sealed writes. Its file is where a reboot leaves nothing, and has the directory's hash."""
    runtime = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    directory = Path(runtime) if runtime else settings.socket.parent
    whose = hashlib.sha256(os.fsencode(os.path.realpath(settings.state_directory))).hexdigest()[:12]
    path = directory / f"writes-{whose}"
    if sealer.seals:
        return WriteNumbers(path, boot_id())
    if settings.previous_state_key is not None:
        # The way back: what is written in clear has no numbers, and a later key begins again.
        with suppress(OSError):
            path.unlink()
    return WriteNumbers()
