"""Inspection of a secret and of its place, for ``tokend check``, the log and the status. Blocks.

Warnings say what is odd, who else may read the secret, and who may change it; never the secret itself.
"""

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from tokend.files import Level, trusted
from tokend.plugin.secret_oddities import oddities
from tokend.plugin.secret_reading import check_path, decoded, foreign_level, paths_of, read_content
from tokend.plugin.secret_source import SecretSource, shows_path
from tokend.values.errors import SecretError
from tokend.values.secret import Secret
from tokend.values.status import StatusWarning


@dataclass(frozen=True, slots=True)
class Inspected:
    """A secret, or the error why it cannot be read, and the warnings about it. Both are None for what a check does not
    read (`SecretSource.is_read_later`).

    ``is_literal`` says that the secret stands in the configuration itself.
    """

    secret: Secret | None
    error: SecretError | None
    warnings: tuple[StatusWarning, ...]
    is_literal: bool = False


def inspect_secret(
    key: str, source: SecretSource, environ: Mapping[str, str] = os.environ, *, confidential: bool = True
) -> Inspected:
    """Read and inspect the secret of one key. A command is not run: only its program's path is looked at. Keyring
    and vault are not asked, and another provider's token is not read: the running daemon has it.

    ``confidential`` is false for a value that everybody may read, as a user name.
    """
    if source.is_read_later and source.command is None:
        return Inspected(None, None, ())
    warnings = [*_doubts(key, source, environ)]
    if confidential and (exposed := exposure(source)) is not None:
        warnings.append(StatusWarning("secret_exposed", f"{key}: {exposed}"))
    if source.command is not None:
        try:
            check_path(source, environ)
        except SecretError as error:
            return Inspected(None, error, ())
        return Inspected(None, None, tuple(warnings))
    try:
        raw = read_content(source, environ)
        secret = decoded(source, raw)
    except SecretError as error:
        return Inspected(None, error, tuple(warnings), source.literal is not None)
    if source.encoding == "text" and (odd := oddities(raw)):
        message = f"{key}: {source} {', '.join(odd)}; it is used as it is: put the secret there alone, if that is wrong"
        warnings.append(StatusWarning("secret_format", message))
    return Inspected(secret, None, tuple(warnings), source.literal is not None)


def _doubts(key: str, source: SecretSource, environ: Mapping[str, str]) -> list[StatusWarning]:
    """Warn of a path that others may change. Unsafe paths are errors of the reading."""
    for path in paths_of(source, environ):
        with suppress(OSError):
            if (found := trusted(path, foreign=foreign_level(source))).level is Level.DOUBTFUL:
                reason = found.reason if shows_path(source) else "others may change what is there"
                return [StatusWarning("doubtful_path", f"{key}: {source} is at a doubtful path: {reason}")]
    return []


def exposure(source: SecretSource) -> str | None:
    """Return a warning if every user may read the secret's file, or the identity that opens it, else None. Blocks."""
    path = source.file or source.identity
    with suppress(OSError):
        if path is not None and stat.S_ISREG(mode := path.stat().st_mode) and mode & stat.S_IROTH:
            advice = f": chmod o-r {path}" if shows_path(source) else ""
            what = source if source.identity is None else f"the identity of {source}"
            return f"every user may read {what} (mode {stat.S_IMODE(mode):04o}){advice}"
    return None
