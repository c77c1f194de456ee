"""Sealed form of the files of the state: AES-256-GCM under a sub-key of ``[daemon] state_key``. Pure.

A sealed file is a header (format, id of the key, write number, nonce) and the ciphertext. The nonce is 12 random
bytes, new for every write: a counter could repeat after a restored copy. The ciphertext is bound to the header, to what
kind of file it is and to the name of its provider: under another name it does not open.

`cryptography` is imported where there is a key, and nowhere else.
"""

import secrets
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tokend.signing.hkdf import sub_key
from tokend.values.errors import StoreError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
Purpose = Literal["record", "marks", "salt", "index", "login file"]

MAGIC = b"tokend sealed 1\n"
_NONCE_BYTES = 12
# Format, id of the key, write number; the nonce follows.
_HEADER = struct.Struct(">16s8sQ")
_LENGTH = struct.Struct(">I")
_BEGINNING = b"tokend state 1 "  # of each purpose, for HKDF


class UnopenedError(StoreError):
    """A sealed file cannot be opened, or must not be. It stays where it is."""


@dataclass(frozen=True, slots=True, repr=False)
class Opened:
    """The content of a file. ``number`` is its write number, None for a file in clear.

    ``is_current`` is whether a write of now would have the same form: sealed with the present key, or in clear.
    """

    content: bytes
    number: int | None
    is_current: bool


class StateKey:
    """A key of 32 bytes, and its sub-keys by purpose. Raises ValueError for a key of another length."""

    __slots__ = ("_ciphers", "_key", "id")

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a state key has {KEY_BYTES} bytes")
        self._key = key
        self.id = sub_key(key, _BEGINNING + b"id")[:8]
        self._ciphers: dict[str, AESGCM] = {}

    def cipher(self, purpose: Purpose) -> "AESGCM":
        """Return the cipher under the sub-key of ``purpose``."""
        if (found := self._ciphers.get(purpose)) is None:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            found = self._ciphers[purpose] = AESGCM(sub_key(self._key, _BEGINNING + purpose.encode()))
        return found


class Sealer:
    """Seal with ``key`` and open with it or with one of ``previous``. Without ``key``, write in clear."""

    __slots__ = ("_key", "_known")

    def __init__(self, key: StateKey | None = None, previous: Sequence[StateKey] = ()) -> None:
        self._key = key
        self._known = {one.id: one for one in (*previous, *(() if key is None else (key,)))}

    @property
    def seals(self) -> bool:
        """Whether what is written is sealed."""
        return self._key is not None

    def seal(self, purpose: Purpose, name: str, number: int, content: bytes) -> bytes:
        """Return the form in which ``content`` is written. ``number`` is above that of the last write of ``name``."""
        if self._key is None:
            return content
        header = _HEADER.pack(MAGIC, self._key.id, number)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._key.cipher(purpose).encrypt(nonce, content, _associated(header, purpose, name))
        return b"".join((header, nonce, sealed))

    def open(self, purpose: Purpose, name: str, content: bytes) -> Opened:
        """Open what `seal` returned, or take over content in clear. Raises `UnopenedError`."""
        if not is_sealed(content):
            return Opened(content, None, is_current=not self.seals)
        header, nonce = content[: _HEADER.size], content[_HEADER.size : _HEADER.size + _NONCE_BYTES]
        if len(nonce) < _NONCE_BYTES:
            raise UnopenedError("it is sealed, and cut off: put a copy of it back")
        _, key_id, number = _HEADER.unpack(header)
        if (key := self._known.get(key_id)) is None:
            raise UnopenedError(_without_key(purpose, seals=self.seals))
        from cryptography.exceptions import InvalidTag

        try:
            plain = key.cipher(purpose).decrypt(
                nonce, content[_HEADER.size + _NONCE_BYTES :], _associated(header, purpose, name)
            )
        except InvalidTag:
            raise UnopenedError("it was changed, or was sealed under another name: put a copy of it back") from None
        return Opened(plain, number, is_current=key is self._key)


def _without_key(purpose: Purpose, *, seals: bool) -> str:
    if purpose == "login file":
        return "it is sealed with another key: login_file_key must be that key"
    if seals:
        return "it is sealed with another key than state_key: set previous_state_key to that key"
    return "it is sealed, and no key that opens it is configured: set state_key"


def is_sealed(content: bytes) -> bool:
    """Return whether ``content`` has the header of a sealed file."""
    return content.startswith(MAGIC)


def _associated(header: bytes, purpose: str, name: str) -> bytes:
    """Return the associated data: the parts with their lengths, so that no two lists of parts are alike."""
    parts = (header, purpose.encode(), name.encode())
    return b"".join(_LENGTH.pack(len(part)) + part for part in parts)
