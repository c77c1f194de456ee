"""Vault as its KV engines answer, versions 2 (``secret/``) and 1 (``kv1/``): taken from a real OpenBao 2.7.

`tests/counterparts/test_vault.py` compares the sink with the real one.
"""

import json
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import unquote

from tests.fakes import literal
from tests.sinks.played_server import Answer, Asked
from tests.sinks.played_store import Held, PlayedStore

MISSING = Answer(404, {"errors": []})
DENIED = Answer(403, {"errors": ["1 error occurred:\n\t* permission denied\n\n"]})
CONFLICT = Answer(400, {"errors": ["check-and-set parameter did not match the current version"]})
UNSUPPORTED = Answer(405, {"errors": ["1 error occurred:\n\t* unsupported operation\n\n"]})
DELETED_AT = "2026-11-30T15:23:03.707470271Z"


class PlayedSecret:
    """One secret of version 2: its versions (None: deleted or destroyed), and its metadata."""

    def __init__(self) -> None:
        self.versions: list[dict[str, Any] | None] = []
        self.deleted: dict[int, dict[str, Any]] = {}
        self.custom: dict[str, str] | None = None

    @property
    def current(self) -> dict[str, Any] | None:
        """The values of the current version."""
        return self.versions[-1] if self.versions else None

    def of(self, number: int) -> dict[str, Any]:
        """What the metadata says of one version."""
        there = self.versions[number - 1] is not None
        gone = not there and number not in self.deleted
        return {"created_time": DELETED_AT, "deletion_time": "" if there else DELETED_AT, "destroyed": gone}

    def metadata(self) -> dict[str, Any]:
        """What the metadata says of the current version."""
        number = len(self.versions)
        return {**self.of(number), "custom_metadata": self.custom, "version": number}

    def delete(self) -> None:
        """Delete the current version, so that it can be restored."""
        if (current := self.current) is not None:
            self.deleted[len(self.versions)] = current
            self.versions[-1] = None


class PlayedVault(PlayedStore):
    """The server. ``denied`` has the requests that the policy forbids, as ``"METHOD part/"``."""

    mount: ClassVar[str] = "secret"

    def __init__(self) -> None:
        self.secret = PlayedSecret()
        self.secret.versions.append({"other": "somebody else's", "number": 2.5})
        self.secret.custom = {"owner": "somebody else"}
        self.denied: set[str] = set()
        self.unsupported: set[str] = set()
        self.before: Any = None  # called once before the next write of data
        super().__init__()

    def keys(self) -> dict[str, Any]:
        return {"address": self.url, "path": "app", "auth": literal(self.credential)}

    def answer(self, asked: Asked) -> Answer:
        mount, _, rest = unquote(asked.path).removeprefix("/v1/").partition("/")
        if not self.is_allowed(asked.headers.get("x-vault-token")):
            return Answer(403, {"errors": ["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]})
        if (mount, rest) == ("auth", "token/lookup-self"):
            return Answer(200, {"data": {"ttl": 3600}})
        if mount != self.mount:
            return Answer(404, {"errors": [f'no handler for route "{mount}/{rest}". route entry not found.']})
        part, _, _ = rest.rpartition("app")
        if f"{asked.method} {part}" in self.denied:
            return DENIED
        if f"{asked.method} {part}" in self.unsupported:
            return UNSUPPORTED
        return self.in_mount(asked.method, part, asked.json if asked.body else {}, asked.headers)

    def in_mount(self, method: str, part: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Answer:
        """Answer about the secret."""
        secret = self.secret
        if part == "metadata/":
            return self._metadata(method, body, headers)
        if part == "destroy/" and method == "POST":
            for number in body["versions"]:
                secret.versions[number - 1] = None
                secret.deleted.pop(number, None)
            return Answer(204)
        if part != "data/":
            return Answer(404, {"data": None, "warnings": ["Invalid path for a versioned K/V secrets engine."]})
        if method == "GET":
            if not secret.versions:
                return MISSING
            data = {"data": secret.current, "metadata": secret.metadata()}
            return Answer(200 if secret.current is not None else 404, {"data": data})
        return self._write(method, body, headers)

    def _write(self, method: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Answer:
        if self.before is not None:
            call, self.before = self.before, None
            call(self.secret)
        secret, data = self.secret, body["data"]
        if method == "PATCH":
            assert headers["content-type"] == "application/merge-patch+json"
            if not secret.versions:
                return Answer(404)
            if secret.current is None:
                return Answer(404, {"data": secret.metadata()})
        if body.get("options", {}).get("cas", len(secret.versions)) != len(secret.versions):
            return CONFLICT
        if method == "PATCH":
            data = {key: value for key, value in {**(secret.current or {}), **data}.items() if value is not None}
        assert None not in data.values()
        secret.versions.append(data)
        return Answer(200, {"data": secret.metadata()})

    def _metadata(self, method: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Answer:
        secret = self.secret
        if not secret.versions:
            return MISSING if method == "GET" else Answer(404)
        if method == "PATCH":
            assert headers["content-type"] == "application/merge-patch+json"
            merged = {**(secret.custom or {}), **body["custom_metadata"]}
            secret.custom = {key: value for key, value in merged.items() if value is not None}
            return Answer(204)
        versions = {str(number): secret.of(number) for number in range(1, len(secret.versions) + 1)}
        whole = {"current_version": len(versions), "custom_metadata": secret.custom, "versions": versions}
        return Answer(200, {"data": whole})

    def held(self) -> Held:
        return ours(self.secret.current or {})

    def others(self) -> object:
        custom = {key: value for key, value in (self.secret.custom or {}).items() if not key.startswith("tokend-")}
        current = self.secret.current
        return custom, None if current is None else {key: current[key] for key in current if key not in OURS}

    def overwrite(self, value: str) -> None:
        current = self.secret.current or {}
        self.secret.versions.append({**current, next(key for key in OURS if key in current): value})

    def delete(self) -> None:
        current = self.secret.current or {}
        self.secret.versions.append({key: value for key, value in current.items() if key not in OURS})

    def writes(self) -> int:
        return len(self.secret.versions)


class PlayedVaultOfVersion1(PlayedVault):
    """The same with an engine of version 1."""

    mount = "kv1"

    def __init__(self) -> None:
        self.whole: dict[str, Any] | None = {"other": "somebody else's", "number": 2.5}
        self.written = 0
        super().__init__()

    def in_mount(self, method: str, part: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Answer:
        if part:
            return MISSING if method == "GET" else UNSUPPORTED
        if method == "GET":
            return MISSING if self.whole is None else Answer(200, {"data": self.whole, "lease_duration": 2764800})
        self.written += method == "POST"
        self.whole = None if method == "DELETE" else dict(body)
        return Answer(204)

    def held(self) -> Held:
        return ours(self.whole or {})

    def others(self) -> object:
        return {key: value for key, value in (self.whole or {}).items() if key not in {*OURS, "ttl"}}

    def overwrite(self, value: str) -> None:
        self.whole = {**(self.whole or {}), "token": value}

    def delete(self) -> None:
        self.whole = {key: value for key, value in (self.whole or {}).items() if key not in OURS}

    def writes(self) -> int:
        return self.written


OURS = ("token", "JWT", "USER")


def ours(members: Mapping[str, Any]) -> Held:
    """Our part of a secret's values, as `PlayedStore.held` returns it."""
    found = {key: json.loads(json.dumps(members[key])) for key in OURS if key in members}
    if set(found) == {"token"}:
        token: str = found["token"]
        return token
    return found or None
