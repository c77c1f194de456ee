"""The desktop's keyring, by the Secret Service of freedesktop.org (gnome-keyring, KWallet, KeePassXC). Blocks.

An item has the attributes by which `secret-tool` and Python's keyring find it: ``service`` and ``username``. Nothing
here unlocks a keyring: that would ask the user.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from tokend.machine.late_imports import import_alone

if TYPE_CHECKING:
    from jeepney.io.blocking import DBusConnection
    from secretstorage.collection import Collection
    from secretstorage.item import Item

T = TypeVar("T")


class KeyringError(Exception):
    """The keyring cannot be used now. The message has no words of the service. ``is_away``: there is no service."""

    def __init__(self, message: str, *, is_away: bool = False) -> None:
        super().__init__(message)
        self.is_away = is_away


def on_default_keyring(call: "Callable[[Collection], T]") -> T:
    """Open the default keyring and run the call. Raises `KeyringError`, and what the call raises."""
    import_alone("secretstorage")
    import secretstorage
    from jeepney.wrappers import DBusErrorResponse
    from secretstorage.exceptions import (
        ItemNotFoundException,
        LockedException,
        SecretServiceNotAvailableException,
        SecretStorageException,
    )

    locked = "waits for the keyring to be unlocked"
    try:
        connection = _connected()
        try:
            collection = secretstorage.get_collection_by_alias(connection, "default")
            if collection.is_locked():
                raise KeyringError(locked)
            return call(collection)
        finally:
            connection.close()
    except SecretServiceNotAvailableException:
        raise KeyringError("the Secret Service is not on the bus (any more)", is_away=True) from None
    except LockedException:
        raise KeyringError(locked) from None
    except ItemNotFoundException:
        raise KeyringError("there is no default keyring, or the item was deleted meanwhile") from None
    except (SecretStorageException, DBusErrorResponse) as error:
        raise KeyringError(f"the keyring refused ({type(error).__name__})") from None
    except (OSError, EOFError, ValueError) as error:
        what = type(error).__name__
        raise KeyringError(f"the connection to the keyring broke off ({what})", is_away=True) from None


def item_of(collection: "Collection", names: Mapping[str, str]) -> "Item | None":
    """Return the item; None if there is none. Raises `KeyringError` if there are several, or if it is locked."""
    items = list(collection.search_items(dict(names)))
    if len(items) > 1:
        raise KeyringError(f"the keyring has {len(items)} such items: delete all but one")
    if items and items[0].is_locked():
        raise KeyringError("waits for the item to be unlocked")
    return items[0] if items else None


def _connected() -> "DBusConnection":
    """Connect to the bus of the session."""
    import secretstorage
    from secretstorage.exceptions import SecretServiceNotAvailableException

    try:
        return secretstorage.dbus_init()
    except (SecretServiceNotAvailableException, OSError, EOFError, ValueError):
        advice = "is this a desktop session, with DBUS_SESSION_BUS_ADDRESS and a keyring?"
        raise KeyringError(f"there is no Secret Service: {advice}", is_away=True) from None
