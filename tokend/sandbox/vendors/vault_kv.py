"""The KV engine of Vault and OpenBao, version 2, at ``secret/``: values, versions, compare-and-set, own metadata."""

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tokend.sandbox.clock import SandboxClock
from tokend.sandbox.messages import Reply, Request, json_reply

_PATH = re.compile(r"/v1/secret/(data|metadata|destroy)/(.+)")
_CONFLICT = "check-and-set parameter did not match the current version"


@dataclass(slots=True)
class _Version:
    """One version. ``data`` is None when it is destroyed; ``deleted`` is its time of deletion, or empty."""

    data: dict[str, Any] | None
    created: str
    deleted: str = ""

    def described(self) -> dict[str, Any]:
        return {"created_time": self.created, "deletion_time": self.deleted, "destroyed": self.data is None}


@dataclass(slots=True)
class _Secret:
    """All versions of one path, the first is 1, and its own metadata."""

    versions: list[_Version] = field(default_factory=list)
    custom: dict[str, str] = field(default_factory=dict)

    @property
    def current(self) -> _Version | None:
        """The last version, unless it is deleted or destroyed."""
        last = self.versions[-1] if self.versions else None
        return None if last is None or last.deleted or last.data is None else last


class SecretEngine:
    """Secrets by path, in memory."""

    def __init__(self, clock: SandboxClock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._secrets: dict[str, _Secret] = {}

    def has(self, path: str) -> bool:
        """Return whether this is a path of the engine."""
        return _PATH.fullmatch(path) is not None

    def answer(self, request: Request) -> Reply:
        """Answer a request whose token is accepted."""
        found = _PATH.fullmatch(request.path)
        assert found is not None  # noqa: S101  (`has` was asked)
        method = "POST" if request.method == "PUT" else request.method
        call = self._calls().get((found[1], method))
        if call is None:
            return errors(405, "unsupported operation")
        body = request.json_object() or {}
        with self._lock:
            secret = self._secrets.get(found[2])
            if secret is None:
                if (found[1], method) != ("data", "POST"):
                    return errors(404)
                secret = _Secret()
            reply = call(secret, body)
            if secret.versions:
                self._secrets[found[2]] = secret
            return reply

    def _calls(self) -> Mapping[tuple[str, str], Callable[[_Secret, Mapping[str, Any]], Reply]]:
        return {
            ("data", "GET"): self._read,
            ("data", "POST"): self._write,
            ("data", "PATCH"): self._patch,
            ("data", "DELETE"): self._delete,
            ("metadata", "GET"): self._describe,
            ("metadata", "PATCH"): self._patch_metadata,
            ("destroy", "POST"): self._destroy,
        }

    def _read(self, secret: _Secret, _: Mapping[str, Any]) -> Reply:
        number, current = len(secret.versions), secret.current
        about = {"version": number, **secret.versions[-1].described(), "custom_metadata": secret.custom or None}
        data = None if current is None else current.data
        return json_reply(404 if current is None else 200, {"data": {"data": data, "metadata": about}})

    def _write(self, secret: _Secret, body: Mapping[str, Any]) -> Reply:
        data = body.get("data")
        if not isinstance(data, dict):
            return errors(400, "no data provided")
        if self._is_late(secret, body):
            return errors(400, _CONFLICT)
        return self._new_version(secret, data)

    def _patch(self, secret: _Secret, body: Mapping[str, Any]) -> Reply:
        data, current = body.get("data"), secret.current
        if not isinstance(data, dict):
            return errors(400, "no data provided")
        if current is None or current.data is None:
            return errors(404)
        if self._is_late(secret, body):
            return errors(400, _CONFLICT)
        return self._new_version(secret, _merged(current.data, data))

    def _delete(self, secret: _Secret, _: Mapping[str, Any]) -> Reply:
        secret.versions[-1].deleted = self._now()
        return Reply(204)

    def _describe(self, secret: _Secret, _: Mapping[str, Any]) -> Reply:
        versions = {str(number): one.described() for number, one in enumerate(secret.versions, start=1)}
        about = {
            "current_version": len(versions),
            "oldest_version": 1,
            "versions": versions,
            "custom_metadata": secret.custom or None,
            "cas_required": False,
            "max_versions": 0,
        }
        return json_reply(200, {"data": about})

    def _patch_metadata(self, secret: _Secret, body: Mapping[str, Any]) -> Reply:
        secret.custom = _merged(secret.custom, body.get("custom_metadata") or {})
        return Reply(204)

    def _destroy(self, secret: _Secret, body: Mapping[str, Any]) -> Reply:
        for number in body.get("versions") or []:
            if type(number) is int and 0 < number <= len(secret.versions):
                secret.versions[number - 1].data = None
        return Reply(204)

    def _is_late(self, secret: _Secret, body: Mapping[str, Any]) -> bool:
        now = len(secret.versions)
        return bool((body.get("options") or {}).get("cas", now) != now)

    def _new_version(self, secret: _Secret, data: dict[str, Any]) -> Reply:
        secret.versions.append(_Version(data, self._now()))
        return json_reply(200, {"data": {"version": len(secret.versions), **secret.versions[-1].described()}})

    def _now(self) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._clock.now()))


def errors(status: int, *texts: str) -> Reply:
    """Return an error as Vault answers it."""
    return json_reply(status, {"errors": [text for text in texts if text]})


def _merged(old: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a merge patch applied (RFC 7396), one level deep; None removes a member."""
    return {key: value for key, value in {**old, **changes}.items() if value is not None}
