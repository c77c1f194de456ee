"""The runtime of a kind with logins: that of any provider, and the public documents in the provider's record."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from tokend.engine.records.documents import Document, with_document
from tokend.engine.records.record import Record
from tokend.engine.records.store import TokenStore
from tokend.machine.clock import Clock
from tokend.machine.command import EndedCommand
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.login import Remembered
from tokend.plugin.provider import Runtime
from tokend.plugin.secret_source import SecretSource
from tokend.values.secret import Secret
from tokend.values.tokens import JSON

T = TypeVar("T")


class RecordRuntime:
    """Implement `plugin.login.RememberingRuntime` with a record."""

    __slots__ = ("_name", "_runtime", "_store")

    def __init__(self, runtime: Runtime, name: str, store: TokenStore) -> None:
        self._runtime = runtime
        self._name = name
        self._store = store

    @property
    def clock(self) -> Clock:
        """The clock of this machine."""
        return self._runtime.clock

    @property
    def requests(self) -> int:
        """The number of requests sent so far."""
        return self._runtime.requests

    def upstream_now(self) -> datetime:
        """Return the upstream's time."""
        return self._runtime.upstream_now()

    async def reveal(self, source: SecretSource) -> Secret:
        """Read a secret now."""
        return await self._runtime.reveal(source)

    async def exchange(self, request: UpstreamRequest) -> UpstreamReply:
        """Send one request."""
        return await self._runtime.exchange(request)

    async def run_in_thread(self, call: Callable[[], T], *, seconds: float) -> T:
        """Run a short blocking call in a thread."""
        return await self._runtime.run_in_thread(call, seconds=seconds)

    async def run_command(
        self, argv: Sequence[str], added: Mapping[str, Secret], *, seconds: float, output_limit: int
    ) -> EndedCommand:
        """Run a program."""
        return await self._runtime.run_command(argv, added, seconds=seconds, output_limit=output_limit)

    def recall(self, key: str) -> Remembered | None:
        """Return the document that was kept under ``key``."""
        found = [one for one in self._store.get(self._name).documents if one.key == key]
        return Remembered(found[0].content, found[0].at) if found else None

    async def remember(self, key: str, document: JSON) -> None:
        """Keep a document under ``key``."""
        new = Document(key, document, self.clock.instant())
        await self._store.update(
            self._name, lambda record: replace(record, documents=with_document(record.documents, new))
        )

    async def commit(self, key: str, change: Callable[[JSON], JSON]) -> JSON:
        """Replace the document under ``key``, if that is saved."""
        documents: list[Document] = []

        def changed(record: Record) -> Record:
            kept = next((one.content for one in record.documents if one.key == key), None)
            documents[:] = [Document(key, change(kept), self.clock.instant())]
            return replace(record, documents=with_document(record.documents, documents[0]))

        await self._store.commit(self._name, changed)
        return documents[0].content
