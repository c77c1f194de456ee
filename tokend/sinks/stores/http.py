"""Kind ``http``: any store with an HTTP API, whose requests and answers the configuration declares."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Literal

from anyio import CancelScope, current_effective_deadline

from tokend.plugin.declared.answer import Answer
from tokend.plugin.declared.placeholders import Value
from tokend.plugin.declared.request import RequestSettings
from tokend.plugin.declared.store_answers import GONE, Finding, WriteAnswer, read_answer
from tokend.plugin.declared.store_settings import DeclaredStoreSettings, names_of
from tokend.plugin.http_exchange import UpstreamReply
from tokend.plugin.sink import Content, Mark, SinkRuntime, Values
from tokend.values.errors import SinkConflictError, SinkError, SinkFinalError, TransientError
from tokend.values.secret import Secret
from tokend.values.tokens import unix, utc

# The version of a target that does not exist, as Consul and etcd call it.
NO_VERSION = "0"
# What must be left of the time limit for the second request: the write itself has succeeded.
SPARE_SECONDS = 0.5
# The store's words for a write that names an old version.
CHANGED = frozenset({409, 412})
# A version of so many characters that is part of one of our values may be taken from it.
SECRET_CHARACTERS = 8


class HttpSink(DeclaredStoreSettings):
    """One target of a store, written by one request.

    ``{version}`` is the store's version of the state that a request replaces, ``{old_version}`` that before the
    write. A write with ``{version}`` compares; the version is read first unless the last answer had it.
    """

    kind: Literal["http"] = "http"

    async def put(self, runtime: SinkRuntime, content: Content, known: Mark | None) -> Mark:
        """Send the request; first read the version if it is needed, afterwards clean up the old one."""
        wanted = runtime.mark(content.values)
        before = known
        if self._must_read_first(runtime, known):
            before = await self._state(runtime)
            if before.digest == wanted.digest:
                return before
            if self.compares and not runtime.may_take_over and _is_foreign(before, known):
                raise SinkConflictError(f"{self.target}: another writer has changed it since the last write")
        old = None if before is None else before.version
        values = self._filled_in(runtime, content, version=old)
        reply = await self._send(runtime, self.request, values)
        found = await self._read(runtime, reply, self.answer, conflict=CHANGED if self.compares else ())
        version = None if found is None else _without(found.version, content.values)
        mark = runtime.mark(content.values, version=version)
        if self.cleanup is None or old is None or version in {old, None}:
            return mark
        remark = await self._clean_up(runtime, {**values, "version": version, "old_version": old})
        return replace(mark, remark=remark)

    async def remove(self, runtime: SinkRuntime, known: Mark | None) -> Mark:
        """Send the request of ``remove``. A target that is not there is removed already."""
        request = self.remove_request
        if request is None:
            raise SinkFinalError(f"{self.target}: the sink has no table remove: delete the value there by hand")
        version = None if known is None else known.version
        if "version" in names_of(request) and version is None:
            if self.inspect_request is None:
                raise SinkError(f"{self.target}: remove needs {{version}}, which is not known, and there is no inspect")
            found = await self._state(runtime)
            if found.digest is None:
                return found
            version = found.version
        reply = await self._send(runtime, request, self._filled_in(runtime, None, version=version))
        await self._read(runtime, reply, request.answer, absent=GONE)
        return runtime.mark(None)

    async def inspect(self, runtime: SinkRuntime) -> Mark | None:
        """Send the request of ``inspect``; None without one."""
        return None if self.inspect_request is None else await self._state(runtime)

    def _must_read_first(self, runtime: SinkRuntime, known: Mark | None) -> bool:
        """Return whether a write must know the store's state: to compare, or to make no second version of one value."""
        if self.inspect_request is None or not (self.compares or self.cleanup is not None):
            return False
        has_no_version = known is None or (known.digest is not None and known.version is None)
        return known is None or (self.compares and (runtime.may_take_over or has_no_version))

    async def _state(self, runtime: SinkRuntime) -> Mark:
        """Read our values and the version."""
        request = self.inspect_request
        assert request is not None  # noqa: S101  (the callers have looked)
        reply = await self._send(runtime, request, self._filled_in(runtime, None))
        found = await self._read(runtime, reply, request.answer, absent=GONE)
        if found is None:
            return runtime.mark(None)
        values: Values | None = dict(found.values) if self.values else found.values.get("")
        if not values:
            return runtime.mark(None, version=found.version)
        return runtime.mark(values, version=_without(found.version, values))

    async def _clean_up(self, runtime: SinkRuntime, values: Mapping[str, Value]) -> str | None:
        """Send the second request. Its failure is a remark: the value itself is there."""
        assert self.cleanup is not None  # noqa: S101  (the caller has looked)
        why = "its request was not answered in time"
        with CancelScope(deadline=current_effective_deadline() - SPARE_SECONDS):
            try:
                reply = await self._send(runtime, self.cleanup, values)
                await self._read(runtime, reply, self.cleanup.answer, absent=GONE)
            except SinkError as error:
                why = error.detail.removeprefix(f"{self.target}: ")
            else:
                return None
        return f"version {values['old_version']} was not cleaned up: {why}"

    async def _send(self, runtime: SinkRuntime, request: RequestSettings, values: Mapping[str, Value]) -> UpstreamReply:
        try:
            made = request.make(values)
        except TransientError as error:
            raise SinkFinalError(f"{self.target}: {error.detail}") from None
        return await runtime.exchange(made, auth=self.auth)

    async def _read(
        self,
        runtime: SinkRuntime,
        reply: UpstreamReply,
        answer: WriteAnswer,
        *,
        absent: Collection[int] = (),
        conflict: Collection[int] = (),
    ) -> Finding | None:
        # In a thread: an expression may take some tenths of a second.
        return await runtime.run_in_thread(
            lambda: read_answer(
                Answer(reply, "the store"), answer, self.errors, self.target, absent=absent, conflict=conflict
            )
        )

    def _filled_in(
        self, runtime: SinkRuntime, content: Content | None, *, version: str | None = None
    ) -> dict[str, Value]:
        values: dict[str, Value] = {
            "name": runtime.name, "key": self.key, "null": None, "version": version or NO_VERSION
        }  # fmt: skip
        if content is None:
            return values
        if isinstance(content.values, Secret):
            values["value"] = content.values
        else:
            values |= {f"values.{key}": value for key, value in content.values.items()}
        end = None if content.expires_at is None else content.expires_at.wall
        return values | {
            "generation": content.generation,
            "expires_at": None if end is None else utc(end),
            "expires_at_unix": None if end is None else unix(end),
        }


def _is_foreign(found: Mark, known: Mark | None) -> bool:
    """Return whether another writer's values are there."""
    return known is not None and known.digest is not None and found.digest not in {known.digest, None}


def _without(version: str | None, values: Values) -> str | None:
    """Return the version; None if the store calls it by one of our values, because a version is shown."""
    texts = [values.reveal()] if isinstance(values, Secret) else [one.reveal() for one in values.values()]
    return None if version is None or any(text in version or _is_much_of(version, text) for text in texts) else version


def _is_much_of(version: str, text: str) -> bool:
    return len(version) >= SECRET_CHARACTERS and version in text
