"""The KV engine of Vault, version 2, at ``secret/``: values in versions, with compare-and-set, and their metadata.

Values and ``custom_metadata`` are written as a whole, or patched (``application/merge-patch+json``).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tokend.sandbox.messages import Reply, Request, json_reply

_PATH = re.compile(r"/v1/secret/(data|metadata)/(.+)")
_MADE = {"created_time": "2026-01-01T00:00:00Z", "deletion_time": "", "destroyed": False}


@dataclass(slots=True)
class _Secret:
    versions: list[dict[str, Any]] = field(default_factory=list)
    custom: dict[str, Any] | None = None

    def metadata(self) -> dict[str, Any]:
        return {**_MADE, "custom_metadata": self.custom, "version": len(self.versions)}


class VaultSecrets:
    """All secrets of the engine, by path. Its owner has a lock for it."""

    def __init__(self) -> None:
        self._secrets: dict[str, _Secret] = {}

    @staticmethod
    def has(path: str) -> bool:
        """Return whether the path is one of the engine."""
        return _PATH.fullmatch(path) is not None

    def answer(self, request: Request) -> Reply:
        """Answer a request whose token is valid."""
        if (found := _PATH.fullmatch(request.path)) is None:
            return json_reply(404, {"errors": []})
        secret = self._secrets.get(found[2]) or _Secret()
        reply = self._data(request, secret) if found[1] == "data" else self._metadata(request, secret)
        if secret.versions:
            self._secrets[found[2]] = secret
        return reply

    def _data(self, request: Request, secret: _Secret) -> Reply:
        if request.method == "GET" and secret.versions:
            return json_reply(200, {"data": {"data": secret.versions[-1], "metadata": secret.metadata()}})
        if request.method == "GET" or (request.method == "PATCH" and not secret.versions):
            return json_reply(404, {"errors": []})
        if request.method not in {"POST", "PUT", "PATCH"}:
            return json_reply(405, {"errors": ["1 error occurred:\n\t* unsupported operation\n\n"]})
        body = request.json_object() or {}
        data, options = body.get("data"), body.get("options")
        if not isinstance(data, dict):
            return json_reply(400, {"errors": ["no data provided"]})
        current = len(secret.versions)
        if (options if isinstance(options, dict) else {}).get("cas", current) != current:
            return json_reply(400, {"errors": ["check-and-set parameter did not match the current version"]})
        secret.versions.append(_patched(secret.versions[-1], data) if request.method == "PATCH" else data)
        return json_reply(200, {"data": secret.metadata()})

    def _metadata(self, request: Request, secret: _Secret) -> Reply:
        if not secret.versions:
            return json_reply(404, {"errors": []})
        if request.method == "GET":
            versions = {str(number): _MADE for number in range(1, len(secret.versions) + 1)}
            about = {"current_version": len(versions), "custom_metadata": secret.custom, "versions": versions}
            return json_reply(200, {"data": about})
        custom = (request.json_object() or {}).get("custom_metadata")
        if request.method not in {"POST", "PUT", "PATCH"} or not isinstance(custom, dict):
            return json_reply(400, {"errors": ["no custom_metadata provided"]})
        secret.custom = _patched(secret.custom or {}, custom) if request.method == "PATCH" else custom
        return Reply(204)


def _patched(before: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the changes into the members; null removes one."""
    return {key: value for key, value in {**before, **changes}.items() if value is not None}
