"""A keyring in this process, with the interface of the library: tests/counterparts has a real gnome-keyring.

The library is all that the sink talks to; a Secret Service of our own on a bus would be a second gnome-keyring.
"""

from types import SimpleNamespace
from typing import Any

import secretstorage

from tests.sinks.played_server import Answer, Asked
from tests.sinks.played_store import Held, PlayedStore

NAMES = {"service": "app", "username": "token"}


class PlayedItem:
    """One item."""

    def __init__(self, keyring: "PlayedKeyring", label: str, attributes: dict[str, str], secret: bytes) -> None:
        self.keyring, self.label, self.attributes, self.secret = keyring, label, attributes, secret
        self.locked = False

    def is_locked(self) -> bool:
        return self.locked

    def get_attributes(self) -> dict[str, str]:
        return dict(self.attributes)

    def set_attributes(self, attributes: dict[str, str]) -> None:
        self.attributes = dict(attributes)

    def get_secret(self) -> bytes:
        return self.secret

    def set_secret(self, secret: bytes) -> None:
        self.secret = secret
        self.keyring.written += 1

    def delete(self) -> None:
        self.keyring.items.remove(self)


class PlayedKeyring(PlayedStore):
    """The default keyring. ``trouble`` is raised by the next look for it."""

    def __init__(self) -> None:
        self.refusing = False
        self.items: list[PlayedItem] = []
        self.written = self.opened = 0
        self.trouble: BaseException | None = None
        self.create_item("somebody else's", {"service": "other", "username": "token"}, b"somebody else's")
        self.written = 0
        # They stay in place to the end of the process, so that no test reaches the keyring of the user.
        secretstorage.dbus_init = self._dbus_init
        secretstorage.get_collection_by_alias = lambda connection, alias: self  # type: ignore[assignment, return-value]

    @property
    def asked(self) -> int:
        return self.opened

    def close(self) -> None:
        self.trouble = secretstorage.SecretServiceNotAvailableException("no bus")

    def keys(self) -> dict[str, Any]:
        return dict(NAMES)

    def answer(self, asked: Asked) -> Answer:
        raise AssertionError("it speaks no HTTP")

    def _dbus_init(self) -> Any:
        self.opened += 1
        if self.trouble is not None:
            raise self.trouble
        return SimpleNamespace(close=lambda: None)

    def is_locked(self) -> bool:
        return self.refusing

    def search_items(self, attributes: dict[str, str]) -> list[PlayedItem]:
        return [item for item in self.items if attributes.items() <= item.attributes.items()]

    def create_item(self, label: str, attributes: dict[str, str], secret: bytes) -> None:
        self.items.append(PlayedItem(self, label, dict(attributes), secret))
        self.written += 1

    def item(self) -> PlayedItem | None:
        """Our item."""
        return next(iter(self.search_items(NAMES)), None)

    def held(self) -> Held:
        found = self.item()
        return None if found is None else found.secret.decode()

    def others(self) -> object:
        return [(item.attributes, item.secret) for item in self.items if item is not self.item()]

    def overwrite(self, value: str) -> None:
        if (found := self.item()) is not None:
            found.secret = value.encode()

    def delete(self) -> None:
        if (found := self.item()) is not None:
            self.items.remove(found)

    def writes(self) -> int:
        return self.written
