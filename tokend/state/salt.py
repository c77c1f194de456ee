"""The salt of all digests: found among the files that may hold it, sealed where there is a key. Pure.

The salt outlives every key: a digest of an account or of a token stays the same under a first, a new or no key. A
sealed salt that no key opens is never overwritten; another salt is used beside it, under a name of its own.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from tokend.machine.logs import get_logger
from tokend.state.sealing import Sealer, UnopenedError

SALT_BYTES = 32
NAME = "salt"

log = get_logger()


@dataclass(frozen=True, slots=True, repr=False)
class Salt:
    """A salt, and the name of its file. ``is_saved`` is whether the file has it in the form of now."""

    value: bytes
    name: str
    is_saved: bool
    is_new: bool = False

    def file(self, sealer: Sealer) -> bytes:
        """Return the content of its file."""
        return sealer.seal("salt", NAME, 1, self.value)


def find_salt(candidates: Iterable[tuple[str, bytes]], sealer: Sealer) -> Salt:
    """Return the first salt that opens, by name and content of the files; else a new one.

    A file of another length that is not sealed is torn: a new salt replaces it.
    """
    taken = False
    for name, content in candidates:
        try:
            opened = sealer.open("salt", NAME, content)
        except UnopenedError as error:
            log.warning("state.unopened", file=name, detail=error.detail)
            taken = taken or name == NAME
            continue
        if len(opened.content) == SALT_BYTES:
            return Salt(opened.content, name, opened.is_current)
    name = f"{NAME}.{secrets.token_hex(4)}" if taken else NAME
    return Salt(secrets.token_bytes(SALT_BYTES), name, is_saved=False, is_new=True)
