"""KV version 1: the whole secret is read and replaced. The last writer wins."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokend.plugin.http_exchange import UpstreamReply
from tokend.sinks.stores.vault_kv.calls import VaultCalls, can_be_written_back
from tokend.values.errors import SinkError

# The key by which the server says to readers how long the values are good (``lease_duration``).
TTL = "ttl"


@dataclass(frozen=True, slots=True)
class Version1:
    """One operation on our keys of one secret, `TTL` included. ``exclusive``: there are no others, so none are read."""

    calls: VaultCalls
    keys: tuple[str, ...]
    exclusive: bool

    async def put(self, values: Mapping[str, str], seconds_left: float | None) -> None:
        """Replace the secret by what it holds, with our keys changed."""
        life = {} if seconds_left is None else {TTL: f"{max(1, int(seconds_left))}s"}
        await self._replace({**await self._others(), **values, **life})

    async def remove(self) -> None:
        """Take our keys out; a secret without other keys is deleted."""
        others = await self._others()
        if others:
            await self._replace(others)
            return
        reply = await self.calls.ask("DELETE", "")
        if reply.status not in {200, 204, 404}:
            await self.calls.refuse(reply, "", "delete")

    async def read(self) -> Mapping[str, Any] | None:
        """Read the secret; None if the policy does not allow it."""
        reply = await self.calls.ask("GET", "")
        if reply.status == 403:
            await self.calls.require_valid_credential()
            return None
        return await self._members_in(reply)

    async def _members_in(self, reply: UpstreamReply) -> Mapping[str, Any]:
        if reply.status == 404:
            self.calls.require_absent(reply)
            return {}
        if reply.status != 200:
            await self.calls.refuse(reply, "", "read")
        return self.calls.data_of(reply)

    async def _others(self) -> dict[str, Any]:
        if self.exclusive:
            return {}
        reply = await self.calls.ask("GET", "")
        members = await self._members_in(reply)
        if not can_be_written_back(reply.body or b"{}"):
            raise SinkError(f"{self.calls.target}: the secret holds a number that cannot be written back as it is")
        return {key: value for key, value in members.items() if key not in {*self.keys, TTL}}

    async def _replace(self, members: Mapping[str, Any]) -> None:
        reply = await self.calls.ask("POST", "", members)
        if reply.status not in {200, 204}:
            await self.calls.refuse(reply, "", "create or update")
