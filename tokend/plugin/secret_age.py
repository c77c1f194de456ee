"""A secret in a file that is encrypted for age (https://age-encryption.org): ``{ age = , identity = }``. Blocks."""

from typing import Any

from tokend.machine.late_imports import import_alone
from tokend.plugin.secret_reading import LARGEST_SECRET_BYTES, read_file
from tokend.plugin.secret_source import SecretSource
from tokend.values.errors import SecretError

# A file with armor has a third more bytes than the secret, and a header with a line or two for each recipient.
LARGEST_FILE_BYTES = 2 * LARGEST_SECRET_BYTES


def decrypted(source: SecretSource) -> bytes:
    """Read both files and decrypt. Raises `SecretError`, which names the places, never a content."""
    assert source.age is not None  # noqa: S101  # the caller has looked
    assert source.identity is not None  # noqa: S101
    sealed = read_file(source.age, str(source), LARGEST_FILE_BYTES)
    raw = read_file(source.identity, f"the identity of {source}")
    import_alone("pyrage")
    import pyrage

    identities = _identities(raw, f"the identity of {source}")
    try:
        opened: bytes = pyrage.decrypt(sealed, identities)
    except pyrage.DecryptError:
        # Without the library's words: they may quote a header.
        raise SecretError(
            f"{source} cannot be decrypted: its identity is none of the recipients, or this is no whole file of age"
        ) from None
    if len(opened) > LARGEST_SECRET_BYTES:
        raise SecretError(f"{source} holds more than {LARGEST_SECRET_BYTES} bytes: not a secret")
    return opened


def _identities(raw: bytes, what: str) -> list[Any]:
    """Parse a file of identities: of age-keygen, or a private key of SSH. Raises `SecretError`."""
    import pyrage

    try:
        if raw.lstrip().startswith(b"-----BEGIN "):
            return [pyrage.ssh.Identity.from_buffer(raw)]
        lines = [line.strip() for line in raw.decode("ascii").splitlines()]
        found = [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except (pyrage.IdentityError, UnicodeDecodeError):
        raise SecretError(
            f"{what} is none that can be used: lines AGE-SECRET-KEY-1… of age-keygen, or a private key of SSH "
            "without a passphrase"
        ) from None
    if not found:
        raise SecretError(f"{what} is empty")
    return found
