"""A store with an API that kind ``http`` is declared for: ``/v1/secrets/NAME`` with JSON, and an ETag as version."""

import json
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.fakes import literal
from tests.sinks.played_server import Answer, Asked
from tests.sinks.played_store import Held, PlayedStore


class PlayedHttp(PlayedStore):
    """GET, PUT and DELETE. ``If-Match`` names the version that a write replaces."""

    def __init__(self) -> None:
        self.secrets: dict[str, tuple[int, Any]] = {"other": (1, "somebody else's")}
        self.versions = 1
        super().__init__()

    def keys(self) -> dict[str, Any]:
        url = f"{self.url}/v1/secrets/app"
        return {
            "auth": literal(self.credential),
            "request": {"method": "PUT", "url": url, "json": {"value": "{value}"}},
            "answer": {"version": {"header": "ETag"}},
            "inspect": {"url": url, "answer": {"value": "value", "version": {"header": "ETag"}}},
            "remove": {"url": url},
        }

    def answer(self, asked: Asked) -> Answer:
        if not self.is_allowed(asked.headers.get("authorization", "").removeprefix("Bearer ")):
            return Answer(401, {"message": "no"})
        name = unquote(urlsplit(asked.path).path.removeprefix("/v1/secrets/"))
        version, value = self.secrets.get(name, (0, None))
        if asked.headers.get("if-match", str(version)) != str(version):
            return Answer(412, {"message": "another version"})
        if asked.method == "PUT":
            self.store(name, asked.json["value"])
            return Answer(200, {"created": True}, {"ETag": str(self.versions)})
        if value is None:
            return Answer(404, {"message": "there is none"})
        if asked.method == "DELETE":
            del self.secrets[name]
            return Answer(204)
        return Answer(200, {"value": value}, {"ETag": str(version)})

    def store(self, name: str, value: object) -> None:
        """Store a new version."""
        self.versions += 1
        self.secrets[name] = (self.versions, value)

    def held(self) -> Held:
        found: Held = self.secrets.get("app", (0, None))[1]
        return found

    def others(self) -> object:
        return json.dumps({name: one for name, one in self.secrets.items() if name != "app"})

    def overwrite(self, value: str) -> None:
        self.store("app", value)

    def delete(self) -> None:
        self.secrets.pop("app", None)

    def writes(self) -> int:
        return self.versions


class PlayedComparing(PlayedHttp):
    """The same store, declared so that each write names the version that it replaces."""

    def keys(self) -> dict[str, Any]:
        made = super().keys()
        made["request"]["headers"] = {"If-Match": "{version}"}
        return made
