"""Record of one on-demand provider, as long as the provider has its name.

A reload may give the name to another provider while a call is under way. The call must not touch the record of that
provider, which may hold a token.
"""

from collections.abc import Callable

from tokend.engine.records.record import Record
from tokend.engine.records.store import TokenStore

Change = Callable[[Record], Record]


class OwnRecord:
    """The record under ``name``. After `leave` it is a copy, which nobody else sees."""

    __slots__ = ("_left", "_name", "_store")

    def __init__(self, name: str, store: TokenStore) -> None:
        self._name = name
        self._store = store
        self._left: Record | None = None

    @property
    def now(self) -> Record:
        """The present record. It holds no token."""
        return self._store.get(self._name) if self._left is None else self._left

    def show(self, change: Change) -> None:
        """Change the record without saving it."""
        if self._left is None:
            self._store.show(self._name, change(self._store.get(self._name)))
        else:
            self._left = change(self._left)

    async def update(self, change: Change) -> Record:
        """Change the record and save it. Returns the new record."""
        if self._left is None:
            await self._store.update(self._name, lambda record: self._changed(record, change))
        else:
            self._left = change(self._left)
        return self.now

    def leave(self) -> None:
        """Go on with a copy: the name may be another provider's from now on."""
        self._left = self.now

    def _changed(self, record: Record, change: Change) -> Record:
        """Return the record to save. An earlier update of the name may have been waited for."""
        if self._left is None:
            return change(record)
        self._left = change(self._left)
        return record
