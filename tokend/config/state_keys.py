"""Keys that seal the state, ``state_key`` and ``previous_state_key``: read at a start, and checked. Blocks."""

import os
from collections.abc import Mapping

from tokend.config.config_files import PlacedSettings
from tokend.config.fields import Visibility
from tokend.config.findings import Findings
from tokend.config.model import DaemonSettings
from tokend.config.secret_checks import inspect_all, of_secrets
from tokend.config.secret_problems import report, report_literals
from tokend.plugin.secret_reading import decoded, read_raw
from tokend.plugin.secret_source import SecretSource
from tokend.values.errors import SecretError

KEY_BYTES = 32
KEYS = ("state_key", "previous_state_key")


class KeyLengthError(SecretError):
    """A state key has another length. Reading it again does not help: it is an error of the configuration."""


def read_state_key(source: SecretSource, environ: Mapping[str, str] = os.environ) -> bytes:
    """Read a state key now. Raises `SecretError`; `KeyLengthError` for a key of another length.

    32 bytes are a key as they are, also where the last one is a newline: they may be random.
    """
    raw = read_raw(source, environ)
    if source.encoding == "text" and len(raw) == KEY_BYTES:
        return raw
    key = decoded(source, raw).reveal_bytes()
    if len(key) != KEY_BYTES:
        raise KeyLengthError(
            f"{source} has {len(key)} bytes, and a key has {KEY_BYTES}: head -c 32 /dev/urandom makes one; "
            '64 hex digits need encoding = "hex"'
        )
    return key


def state_keys(daemon: DaemonSettings) -> dict[str, SecretSource]:
    """Return the places of the keys that are configured."""
    found = {key: getattr(daemon, key) for key in KEYS}
    return {key: source for key, source in found.items() if source is not None}


def check_state_keys(daemon: PlacedSettings, environ: Mapping[str, str], findings: Findings) -> None:
    """Report an error for a key that cannot be read, or has another length. A command is not run.

    At a start, a key that cannot be read is a warning here: the start reads it again, and ends with its own exit code.
    """
    for key, source in state_keys(daemon.settings).items():
        for finding in of_secrets(inspect_all({key: source}, environ), frozenset({key})):
            if finding.warning.code != "secret_format":  # a key of random bytes looks odd
                report(daemon, finding, findings)
        report_literals(daemon, {key: source}, frozenset(), findings)
        if source.command is None and source.token is None:
            try:
                read_state_key(source, environ)
            except KeyLengthError as error:
                problem = daemon.document.problem(
                    (*daemon.path, key), f"{key}: {error.detail}", visibility=Visibility.PLACES
                )
                findings.errors.append(problem)
            except SecretError:
                continue  # reported above
