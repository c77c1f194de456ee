"""GitHub's secrets of repositories, environments and organizations, as its REST documents describe them.

It opens what it gets with its private key: a test that reads a value has decrypted it.
"""

import base64
import re
from typing import Any
from urllib.parse import unquote, urlsplit

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, SealedBox

from tests.sinks.played_server import Answer, Asked
from tests.sinks.played_store import Held, PlayedStore

NAME = "JWT_TOKEN"
API_VERSION = "2022-11-28"


class PlayedGithub(PlayedStore):
    """The secrets of one repository. ``sealed`` are the values as they came, by name."""

    place = "/repos/acme/app/actions/secrets"

    def __init__(self) -> None:
        self.private_key = PrivateKey.generate()
        self.key_id = "key-1"
        self.sealed: dict[str, str] = {"OTHER": "somebody else's"}
        self.puts = 0
        self.key_reads = 0
        self.instead: Answer | None = None  # of a PUT
        super().__init__()

    def keys(self) -> dict[str, Any]:
        return {**super().keys(), "repository": "acme/app"}

    def turn_key(self) -> None:
        """Replace the key: what was sealed for the old one is not accepted any more."""
        self.private_key, self.key_id = PrivateKey.generate(), f"key-{int(self.key_id[4:]) + 1}"

    def answer(self, asked: Asked) -> Answer:
        if not self.is_allowed(asked.headers.get("authorization", "").removeprefix("Bearer ")):
            return Answer(401, {"message": "Bad credentials"})
        assert asked.headers["x-github-api-version"] == API_VERSION
        assert asked.headers["accept"] == "application/vnd.github+json"
        assert asked.headers["user-agent"].startswith("tokend/")
        place, _, name = urlsplit(asked.path).path.partition(self.place)
        if place or not name.startswith("/"):
            return Answer(404, {"message": "Not Found"})
        return self.of_secret(asked, unquote(name[1:]))

    def of_secret(self, asked: Asked, name: str) -> Answer:
        if name == "public-key" and asked.method == "GET":
            self.key_reads += 1
            key = base64.b64encode(bytes(self.private_key.public_key)).decode()
            return Answer(200, {"key_id": self.key_id, "key": key})
        if asked.method == "PUT":
            return self.instead or self.put(name, asked.json)
        if name not in self.sealed:
            return Answer(404, {"message": "Not Found"})
        if asked.method == "DELETE":
            del self.sealed[name]
            return Answer(204)
        return Answer(200, {"name": name, "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-02T00:00:00Z"})

    def put(self, name: str, body: dict[str, Any]) -> Answer:
        assert re.fullmatch(r"[A-Z_][A-Z0-9_]*", name)
        assert set(body) == {"encrypted_value", "key_id"}
        return self.take(name, body)

    def take(self, name: str, body: dict[str, Any]) -> Answer:
        if body["key_id"] != self.key_id:
            return Answer(422, {"message": "The key_id is not the current one"})
        self.opened(body["encrypted_value"])
        self.puts += 1
        is_new = name not in self.sealed
        self.sealed[name] = body["encrypted_value"]
        return Answer(201, {}) if is_new else Answer(204)

    def opened(self, sealed: str) -> str:
        try:
            return SealedBox(self.private_key).decrypt(base64.b64decode(sealed)).decode()
        except CryptoError:
            return sealed

    def held(self) -> Held:
        return self.opened(self.sealed[NAME]) if NAME in self.sealed else None

    def others(self) -> object:
        return {name: value for name, value in self.sealed.items() if name != NAME}

    def overwrite(self, value: str) -> None:
        box = SealedBox(self.private_key.public_key)
        self.sealed[NAME] = base64.b64encode(box.encrypt(value.encode())).decode()

    def delete(self) -> None:
        self.sealed.pop(NAME, None)

    def writes(self) -> int:
        return self.puts


class PlayedOrganization(PlayedGithub):
    """The secrets of one organization: a PUT must say who sees the secret, and replaces that.

    As soon as ours is there, a person selects two repositories for it: each later PUT must keep them.
    """

    place = "/orgs/acme/actions/secrets"

    def __init__(self) -> None:
        self.seen_by: dict[str, tuple[str, list[int]]] = {"OTHER": ("all", [])}
        self.selected = [7, 11]
        super().__init__()

    def keys(self) -> dict[str, Any]:
        made = super().keys()
        return {**{key: value for key, value in made.items() if key != "repository"}, "organization": "acme"}

    def of_secret(self, asked: Asked, name: str) -> Answer:
        if name.endswith("/repositories"):
            ids = self.seen_by[name.removesuffix("/repositories")][1]
            page = int(re.findall(r"[?&]page=(\d+)", asked.path)[0])
            assert "per_page=100" in asked.path
            repositories = [{"id": one, "name": f"r{one}"} for one in ids[(page - 1) * 100 : page * 100]]
            return Answer(200, {"total_count": len(ids), "repositories": repositories})
        made = super().of_secret(asked, name)
        if asked.method == "GET" and made.status == 200 and name != "public-key":
            return Answer(200, {**made.body, "visibility": self.seen_by[name][0]})
        return made

    def put(self, name: str, body: dict[str, Any]) -> Answer:
        selected = body.get("selected_repository_ids", [])
        assert set(body) - {"selected_repository_ids"} == {"encrypted_value", "key_id", "visibility"}
        assert ("selected_repository_ids" in body) == (body["visibility"] == "selected")
        known = self.seen_by[name] if name in self.sealed else ("private", [])
        assert (body["visibility"], selected) == known
        made = self.take(name, body)
        if made.status == 201:
            self.seen_by[name] = ("selected", self.selected)
        return made

    def others(self) -> object:
        return super().others(), self.seen_by["OTHER"]
