"""KV version 2: a merge patch of our keys with compare-and-set, then the metadata of these keys."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokend.plugin.http_exchange import UpstreamReply
from tokend.plugin.store_writer import require_ours
from tokend.sinks.stores.vault_kv.calls import VaultCalls, can_be_written_back, is_conflict
from tokend.sinks.stores.vault_kv.metadata import SecretMetadata, cleared, listed, parsed, written
from tokend.values.errors import SinkError, SinkRejectedError

_ADVICE = '; or set update = "whole": the secret is then read and replaced'


@dataclass(frozen=True, slots=True)
class Found:
    """What a secret holds now. ``is_left``: a removal has not come to its end, for older versions are not destroyed."""

    members: Mapping[str, Any]
    version: int
    is_left: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """The current version after the operation, 0 for none, and what the status should say about the secret."""

    version: int
    remark: str | None = None


@dataclass(frozen=True, slots=True)
class Version2:
    """One operation on our keys of one secret. ``whole`` and ``exclusive`` are the sink's keys."""

    calls: VaultCalls
    keys: tuple[str, ...]
    whole: bool
    exclusive: bool

    async def put(self, values: Mapping[str, str], generation: int) -> Outcome:
        """Write our keys, then their metadata."""
        made, found = await self._write(values, generation)
        version = made or 0
        if found is None:
            calls = self.calls
            return Outcome(version, f"blind: the policy lacks read on {calls.mount}/metadata/{calls.path}")
        entries = written(self.calls.runtime.writer, generation, self.keys)
        return Outcome(version, await self._set_custom(found, entries))

    async def remove(self) -> Outcome:
        """Take our keys out of the current version; if the secret is ours alone, destroy the older versions."""
        foreign = self.exclusive and bool((await self._current()).members.keys() - set(self.keys))
        made, found = await self._write(dict.fromkeys(self.keys), None)
        if found is None:
            return Outcome(made or 0, "blind: older versions may still hold earlier values")
        older = [one for one in found.kept if one != made]
        remarks = [f"versions {listed(older)} still hold earlier values"] if older else []
        if older and foreign:
            remarks.append("none is destroyed, since the secret holds other keys")
        elif older and self.exclusive:
            reply = await self.calls.ask("POST", "destroy/", {"versions": older})
            if reply.status not in {200, 204}:
                await self.calls.refuse(reply, "destroy/", "update")
            remarks = []
        remarks.append(await self._set_custom(found, cleared(found, self.keys)) or "")
        return Outcome(made or found.version, "; ".join(filter(None, remarks)) or None)

    async def read(self) -> Found | None:
        """Read the current version; None if the policy does not allow it."""
        reply = await self.calls.ask("GET", "data/")
        if reply.status == 403:
            await self.calls.require_valid_credential()
            return None
        return await self._found_in(reply)

    async def _found_in(self, reply: UpstreamReply) -> Found:
        if reply.status not in {200, 404}:
            await self.calls.refuse(reply, "data/", "read")
        if reply.status == 404 and b'"metadata"' not in reply.body:
            self.calls.require_absent(reply)
            return Found({}, 0)
        # A deleted version is answered with 404, and with its metadata.
        data = self.calls.data_of(reply)
        members, metadata = data.get("data"), data.get("metadata")
        version = metadata.get("version") if isinstance(metadata, dict) else None
        if not isinstance(metadata, dict) or type(version) is not int or not isinstance(members, dict | None):
            raise SinkError(f"{self.calls.target}: the server answered without a version: is kv_version right?")
        custom = metadata.get("custom_metadata")
        is_left = self.exclusive and isinstance(custom, dict) and any(one.startswith("tokend-") for one in custom)
        return Found({} if reply.status == 404 or members is None else members, version, is_left)

    async def _current(self) -> Found:
        """Read the current version, to write it back or to see what else is in it."""
        reply = await self.calls.ask("GET", "data/")
        found = await self._found_in(reply)
        if not can_be_written_back(reply.body or b"{}"):
            raise SinkError(f"{self.calls.target}: the secret holds a number that cannot be written back as it is")
        return found

    async def _write(
        self, changes: Mapping[str, str | None], generation: int | None
    ) -> tuple[int | None, SecretMetadata | None]:
        """Change our keys; None removes one.

        Returns the version that was made, None if there was nothing to remove, and the metadata before, if readable.
        """
        for _ in range(2):
            found = await self._metadata()
            if found is not None:
                self._require_ours(found, generation)
            reply = await self._send(found, changes)
            if reply is None:
                return None, found
            if not is_conflict(reply):
                return await self._version_of(reply), found
        raise SinkError(f"{self.calls.target}: others changed the secret twice while it was being written")

    def _require_ours(self, found: SecretMetadata, generation: int | None) -> None:
        for key in self.keys:
            writer, there = found.writer_of(key), found.generation_of(key)
            require_ours(self.calls.runtime, self.calls.target, writer=writer, generation=there, ours=generation)

    async def _version_of(self, reply: UpstreamReply) -> int:
        if reply.status == 204:
            raise SinkError(
                f"{self.calls.target}: the server answered as KV version 1 does: set kv_version = 1, and delete "
                f"data/{self.calls.path}, which holds the values now"
            )
        if reply.status != 200:
            await self.calls.refuse(reply, "data/", "create or update")
        version = self.calls.data_of(reply).get("version")
        if type(version) is not int:
            raise SinkError(f"{self.calls.target}: the server answered without the version that it has made")
        return version

    async def _metadata(self) -> SecretMetadata | None:
        """Read the metadata; None if the policy does not allow it."""
        reply = await self.calls.ask("GET", "metadata/")
        if reply.status == 403:
            return None
        if reply.status == 404:
            self.calls.require_absent(reply)
            return SecretMetadata()
        if reply.status != 200:
            await self.calls.refuse(reply, "metadata/", "read")
        found = parsed(self.calls.data_of(reply))
        if found is None:
            raise SinkError(f"{self.calls.target}: the server answered without metadata: is kv_version right?")
        return found

    async def _send(self, found: SecretMetadata | None, changes: Mapping[str, str | None]) -> UpstreamReply | None:
        """Send the changes on top of the version that was found. None if there is nothing to remove."""
        removes = all(value is None for value in changes.values())
        if removes and found is not None and found.version == 0:
            return None
        options = {} if found is None else {"options": {"cas": found.version}}
        if self.whole and not self.exclusive:
            there = await self._current()
            if removes and not there.members.keys() & changes.keys():
                return None
            options = options or {"options": {"cas": there.version}}
            changes = {**there.members, **changes}
        elif not self.whole and (found is None or found.version > 0):
            reply = await self._patch(found, {**options, "data": changes})
            if reply.status != 404 or removes:
                return None if reply.status == 404 else reply
        left = {key: value for key, value in changes.items() if value is not None}
        return await self.calls.ask("POST", "data/", {**options, "data": left})

    async def _patch(self, found: SecretMetadata | None, body: Mapping[str, Any]) -> UpstreamReply:
        """Patch our keys. A 404 is returned only if it says that there is no current version."""
        reply = await self.calls.ask("PATCH", "data/", body)
        if reply.status == 403:
            await self.calls.refuse(reply, "data/", "patch", _ADVICE)
        if reply.status == 405:
            raise SinkRejectedError(f"{self.calls.target}: the server answered 405: it knows no patch{_ADVICE}")
        if reply.status == 404:
            self.calls.require_absent(reply)
            if found is not None and not found.ended:
                raise SinkError(f"{self.calls.target}: the server answered 404: the secret was deleted meanwhile")
        return reply

    async def _set_custom(self, found: SecretMetadata, entries: Mapping[str, str | None]) -> str | None:
        """Write entries of the metadata; None deletes one. Returns a remark if that is not possible there."""
        if all(found.custom.get(name) == text for name, text in entries.items()):
            return None
        calls = self.calls
        reply = await calls.ask("PATCH", "metadata/", {"custom_metadata": entries})
        if reply.status in {403, 405}:
            return f"no generation is kept: the policy lacks patch on {calls.mount}/metadata/{calls.path}"
        if reply.status == 404 and found.version == 0:
            # It was written a moment ago, and had no metadata before either.
            return "no generation is kept: the server knows no metadata"
        if reply.status not in {200, 204}:
            await calls.refuse(reply, "metadata/", "patch")
        return None
