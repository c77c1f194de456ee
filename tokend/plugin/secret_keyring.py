"""A secret that is an item of the desktop's keyring: ``{ keyring = "service/user" }``. Blocks."""

import threading

from tokend.plugin.secret_reading import LARGEST_SECRET_BYTES
from tokend.plugin.secret_service import KeyringError, item_of, on_default_keyring
from tokend.plugin.secret_source import SecretSource, keyring_names
from tokend.values.errors import SecretError

# Calls that have not ended: a service that hangs must not take one thread after another.
MOST_CALLS = 16
_free = threading.Semaphore(MOST_CALLS)


def item_secret(source: SecretSource) -> bytes:
    """Read the item now. Raises `SecretError`. Nothing is unlocked."""
    service, user = keyring_names(source.keyring or "")
    if not _free.acquire(blocking=False):
        raise SecretError(f"{source}: {MOST_CALLS} earlier calls to the keyring still hang")
    try:
        found = on_default_keyring(
            lambda keyring: (
                None
                if (item := item_of(keyring, {"service": service, "username": user})) is None
                else item.get_secret()
            )
        )
    except KeyringError as error:
        raise SecretError(f"{source}: {error}") from None
    finally:
        _free.release()
    if found is None:
        raise SecretError(f"{source} is not there: the default keyring has no item of this service and username")
    if len(found) > LARGEST_SECRET_BYTES:
        raise SecretError(f"{source} is larger than {LARGEST_SECRET_BYTES} bytes: not a secret")
    return bytes(found)
