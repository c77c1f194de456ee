"""An item of the desktop's keyring (`plugin.secret_service`).

Beside the attributes by which other programs find it stand writer and generation; attributes are not secret.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal, Self, TypeVar

from pydantic import Field, model_validator

from tokend.machine.thread_pool import ThreadPool
from tokend.plugin.extras import require_package
from tokend.plugin.remote_sink import RemoteSinkSettings
from tokend.plugin.secret_service import KeyringError, item_of, on_default_keyring
from tokend.plugin.sink import Content, Mark, SinkRuntime
from tokend.plugin.store_writer import require_ours
from tokend.values.errors import SinkError, SinkUnavailableError
from tokend.values.secret import Secret

if TYPE_CHECKING:
    from secretstorage.collection import Collection
    from secretstorage.item import Item

T = TypeVar("T")

WRITER, GENERATION = "tokend-writer", "tokend-generation"
# Targets whose thread has not ended: a service that hangs must not take one thread after another.
_busy: set[str] = set()


class KeyringSink(RemoteSinkSettings):
    """One item of the default keyring. The last writer wins: the service has no compare-and-set."""

    read_with: ClassVar[frozenset[str]] = frozenset({"secret-tool", "keyring"})

    kind: Literal["keyring"] = "keyring"
    service: str = Field(min_length=1, max_length=256)
    username: str = Field(min_length=1, max_length=256)

    @model_validator(mode="after")
    def _installed(self) -> Self:
        require_package("secretstorage", kind="keyring", extra="keyring")
        return self

    @property
    def target(self) -> str:
        """``keyring:SERVICE/USERNAME``."""
        return f"keyring:{self.service}/{self.username}"

    def names_in_store(self) -> tuple[str, ...]:
        """Both names, as in ``secret-tool lookup service SERVICE username USERNAME``."""
        return self.service, self.username

    async def put(self, runtime: SinkRuntime, content: Content, known: Mark | None) -> Mark:
        """Write the item, which is made if it is missing, unless it holds a newer token or another writer's."""
        assert isinstance(content.values, Secret)  # noqa: S101  (there is no key ``values``)
        value, generation, writer = content.values.reveal_bytes(), content.generation, runtime.writer

        def write(collection: "Collection") -> None:
            own = {**self._names, WRITER: writer, GENERATION: str(generation)}
            item = self._item(collection)
            if item is None:
                collection.create_item(f"{self.service} ({self.username})", own, value)
                return
            attributes = item.get_attributes()
            self._compare(attributes, runtime, generation)
            item.set_secret(value)
            if (after := {**attributes, **own}) != attributes:
                item.set_attributes(after)

        await self._run(write)
        return runtime.mark(content.values, version=str(generation))

    async def remove(self, runtime: SinkRuntime, known: Mark | None) -> Mark:
        """Delete the item, unless it holds another writer's token."""

        def delete(collection: "Collection") -> None:
            if (item := self._item(collection)) is not None:
                self._compare(item.get_attributes(), runtime, None)
                item.delete()

        await self._run(delete)
        return runtime.mark(None)

    async def inspect(self, runtime: SinkRuntime) -> Mark | None:
        """Read the item."""

        def read(collection: "Collection") -> tuple[bytes, str | None] | None:
            item = self._item(collection)
            return None if item is None else (item.get_secret(), item.get_attributes().get(GENERATION))

        found = await self._run(read)
        return runtime.mark(None) if found is None else runtime.mark(Secret(found[0]), version=found[1])

    @property
    def _names(self) -> dict[str, str]:
        return {"service": self.service, "username": self.username}

    def _item(self, collection: "Collection") -> "Item | None":
        return item_of(collection, self._names)

    def _compare(self, attributes: dict[str, str], runtime: SinkRuntime, generation: int | None) -> None:
        writer, there = attributes.get(WRITER), attributes.get(GENERATION)
        require_ours(runtime, self.target, writer=writer, generation=there, ours=generation)

    async def _run(self, call: "Callable[[Collection], T]") -> T:
        """Run a call on the default keyring, in a thread of its own. Raises `SinkError`."""
        if self.target in _busy:
            raise SinkError(f"{self.target}: an earlier call to the keyring still hangs")

        def whole() -> T:
            _busy.add(self.target)
            try:
                return self._on_keyring(call)
            finally:
                _busy.discard(self.target)

        seconds = self.timeout.total_seconds()
        try:
            return await ThreadPool(1).run(whole, seconds=seconds)
        except TimeoutError as error:
            why = str(error) or f"no answer within {seconds:g} s"
            raise SinkUnavailableError(f"{self.target}: the keyring: {why}") from None

    def _on_keyring(self, call: "Callable[[Collection], T]") -> T:
        """Run the call on the default keyring. Blocks. Raises `SinkError`."""
        try:
            return on_default_keyring(call)
        except KeyringError as error:
            kind = SinkUnavailableError if error.is_away else SinkError
            raise kind(f"{self.target}: {error}") from None
