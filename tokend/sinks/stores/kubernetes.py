"""Kind ``kubernetes``: keys of a Secret, by server-side apply. Keys of other managers stay."""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar
from urllib.parse import quote

from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.sink import Content, Mark, SinkRuntime, Values
from tokend.plugin.store_writer import require_ours
from tokend.sinks.stores.kube.secret import LARGEST_BYTES, FoundSecret, annotation, applied, found_in
from tokend.sinks.stores.kube.settings import KubernetesSettings
from tokend.sinks.stores.kube.statuses import is_absent, reason_of, refuse, refuse_other_manager, secret_in
from tokend.values.errors import SinkConflictError, SinkError, SinkFinalError
from tokend.values.secret import Secret

BLIND = "blind: the role lacks the verb get, so that neither the generation nor drift is seen"


class KubernetesSink(KubernetesSettings):
    """One key of a Secret, or several by ``values``. A Secret that is missing is made; the namespace is not."""

    compares: ClassVar[bool] = True

    async def put(self, runtime: SinkRuntime, content: Content, known: Mark | None) -> Mark:
        """Apply our keys on top of what is there."""
        given = content.values
        values = {self.own_keys[0]: given} if isinstance(given, Secret) else given
        if (size := sum(len(one.reveal_bytes()) for one in values.values())) > LARGEST_BYTES:
            raise SinkFinalError(f"{self.target}: the values have {size} bytes, a Secret takes {LARGEST_BYTES}")
        notes = {annotation("writer", key): runtime.writer for key in values}
        notes |= {annotation("generation", key): str(content.generation) for key in values}
        for _ in range(2):
            found, may_read = await self._read(runtime)
            self._require_ours(runtime, found, content.generation)
            version = None if found is None else found.version
            body = applied(self.secret_name, self.namespace or "", version=version, values=values, annotations=notes)
            reply = await self._apply(runtime, body)
            if reply.status in {200, 201}:
                made = found_in(secret_in(reply, self.target), self.own_keys)
                return replace(runtime.mark(given, version=made.version), remark=None if may_read else BLIND)
            if not self._has_changed(reply):
                refuse(reply, self.target, "create" if may_read and found is None else "patch")
        raise SinkError(f"{self.target}: others changed the Secret twice while it was being written")

    async def remove(self, runtime: SinkRuntime, known: Mark | None) -> Mark:
        """Apply nothing: the server takes away what this manager alone owns."""
        for _ in range(2):
            found, may_read = await self._read(runtime)
            if found is None and may_read:
                return runtime.mark(None)
            self._require_ours(runtime, found, None)
            version = None if found is None else found.version
            reply = await self._apply(runtime, applied(self.secret_name, self.namespace or "", version=version))
            if reply.status in {200, 201}:
                left = found_in(secret_in(reply, self.target), self.own_keys)
                if left.values:
                    raise SinkConflictError(f"{self.target}: another manager owns the value as well: it stays")
                return replace(runtime.mark(None, version=left.version), remark=None if may_read else BLIND)
            if not self._has_changed(reply):
                refuse(reply, self.target, "patch")
        raise SinkError(f"{self.target}: others changed the Secret twice while it was being written")

    async def inspect(self, runtime: SinkRuntime) -> Mark | None:
        """Read the Secret, if the role allows it."""
        found, may_read = await self._read(runtime)
        if not may_read:
            return None
        if found is None:
            return runtime.mark(None)
        values: Values | None = found.values or None
        if found.values and not self.values:
            values = found.values[self.own_keys[0]]
        return runtime.mark(values, version=found.version)

    # ------------------------------------------------------------------ requests

    async def _read(self, runtime: SinkRuntime) -> tuple[FoundSecret | None, bool]:
        """Read the Secret; None if there is none. False if the role does not allow it."""
        reply = await self.send(runtime, UpstreamRequest("GET", self._url))
        if reply.status == 403:
            return None, False
        if is_absent(reply):
            return None, True
        if reply.status != 200:
            refuse(reply, self.target, "get")
        return found_in(secret_in(reply, self.target), self.own_keys), True

    async def _apply(self, runtime: SinkRuntime, body: bytes) -> UpstreamReply:
        force = "&force=true" if self.take_over or runtime.may_take_over else ""
        url = f"{self._url}?fieldManager={quote(self.manager, safe='')}{force}"
        headers = {"Content-Type": "application/apply-patch+yaml"}
        return await self.send(runtime, UpstreamRequest("PATCH", url, headers, body))

    @property
    def _url(self) -> str:
        return f"{self.server}/api/v1/namespaces/{self.namespace}/secrets/{self.secret_name}"

    def _has_changed(self, reply: UpstreamReply) -> bool:
        """Return whether the Secret has changed since it was read. Raises `SinkConflictError` for another manager."""
        if reply.status == 409:
            refuse_other_manager(reply, self.target)
        return reply.status == 409 and reason_of(reply) == "Conflict"

    def _require_ours(self, runtime: SinkRuntime, found: FoundSecret | None, generation: int | None) -> None:
        notes: Mapping[str, str] = {} if found is None else found.annotations
        for key in self.own_keys:
            writer, there = notes.get(annotation("writer", key)), notes.get(annotation("generation", key))
            # A value that is gone belongs to nobody, whatever is left in the annotations.
            if found is not None and key in found.values:
                require_ours(runtime, self.target, writer=writer, generation=there, ours=generation)
