"""Requests to the KV engines of Vault and OpenBao, and the meaning of their statuses. One attempt each."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn
from urllib.parse import quote

from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.sink import SinkRuntime
from tokend.plugin.store_status import refuse_write
from tokend.plugin.strict_json import try_object
from tokend.plugin.vault_answers import CONFLICT, LOOKUP, STANDBY, WORDS, word_of
from tokend.values.errors import SinkError, SinkFinalError, SinkRejectedError, SinkUnavailableError
from tokend.values.secret import Secret


@dataclass(frozen=True, slots=True)
class VaultCalls:
    """The requests of one operation on one secret."""

    runtime: SinkRuntime
    target: str
    address: str
    mount: str
    path: str
    namespace: str | None
    auth: SecretSource | None

    async def ask(self, method: str, part: str, body: Mapping[str, Any] | None = None) -> UpstreamReply:
        """Send one request about the secret; ``part`` is ``data/``, ``metadata/``, ``destroy/`` or empty.

        Where the credential is another provider's token that has ended, the request is sent once more with a newer one.
        """
        path = f"{quote(self.mount)}/{part}{quote(self.path)}"
        reply = await self._send(method, path, body)
        if reply.status == 403 and self.auth is not None and self.auth.token is not None:
            known = await self._send("GET", LOOKUP)
            if known.status in {401, 403} and await self.runtime.renewed(self.auth):
                return await self._send(method, path, body)
        return reply

    async def _send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> UpstreamReply:
        headers: dict[str, str | Secret] = {"X-Vault-Request": "true"}
        if self.namespace is not None:
            headers["X-Vault-Namespace"] = self.namespace
        if body is not None:
            headers["Content-Type"] = "application/merge-patch+json" if method == "PATCH" else "application/json"
        sent = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        request = UpstreamRequest(method, f"{self.address}/v1/{path}", headers, sent)
        return await self.runtime.exchange(request, auth=self.auth)

    async def refuse(self, reply: UpstreamReply, part: str, capability: str, advice: str = "") -> NoReturn:
        """Raise the `SinkError` for a reply that is no success; ``capability`` is what its request needs."""
        status = reply.status
        said = f"{self.target}: the server answered {status}"
        if status == 403:
            await self.require_valid_credential()
            where = f"{self.mount}/{part}{self.path}"
            raise SinkRejectedError(f"{said}: the policy lacks the capability {capability} on {where}{advice}")
        if status in STANDBY:
            raise SinkUnavailableError(f"{said}: it is a standby and takes no writes")
        if status == 413:
            raise SinkFinalError(f"{said}: the values are too large for it")
        refuse_write(reply, self.target, word=word_of(reply))

    async def require_valid_credential(self) -> None:
        """Return if the server knows the credential: what it has refused is then a matter of the policy."""
        reply = await self._send("GET", LOOKUP)
        if reply.status in {401, 403}:
            if self.auth is not None:
                # Another provider's token: the next attempt has a newer one.
                await self.runtime.renewed(self.auth)
            raise SinkRejectedError(
                f"{self.target}: the server answered {reply.status}: the credential has expired, was revoked, or "
                "is not known there"
            )
        if reply.status != 200:
            await self.refuse(reply, "", "")

    def data_of(self, reply: UpstreamReply) -> dict[str, Any]:
        """Return the object ``data`` of a reply. Raises `SinkError` if there is none."""
        found = (try_object(reply.body) or {}).get("data")
        if not isinstance(found, dict):
            raise SinkError(f"{self.target}: the server answered {reply.status} without data: is it Vault or OpenBao?")
        return found

    def require_absent(self, reply: UpstreamReply) -> None:
        """Return if a 404 says that there is no secret, or no current version. Raises `SinkError` if it does not."""
        body = try_object(reply.body) if reply.body else {}
        # An engine of version 2 warns about a path of version 1.
        if body is None or body.get("errors") or body.get("warnings"):
            said = f" ({word})" if (word := word_of(reply)) else ""
            raise SinkError(
                f"{self.target}: the server answered 404{said}: is a KV engine of that kv_version at {self.mount}/?"
            )


def is_conflict(reply: UpstreamReply) -> bool:
    """Return whether a write was refused because the secret has changed since it was read."""
    return reply.status == 400 and word_of(reply) == WORDS[CONFLICT]


def can_be_written_back(body: bytes) -> bool:
    """Return whether all numbers of a JSON document stay as they are when it is parsed and written again."""
    again = json.dumps(json.loads(body))
    try:
        return bool(json.loads(body, parse_float=Decimal) == json.loads(again, parse_float=Decimal))
    except ArithmeticError:  # an exponent that is too large for `Decimal`
        return False
