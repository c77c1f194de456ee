"""The store of `tests.publishing_sinks`, for the contract suite: it shows the suite what a row needs."""

from typing import Any
from urllib.parse import urlsplit

from tests.publishing_sinks import PASSWORD, Store
from tests.sinks.played_server import Answer, Asked
from tests.sinks.played_store import Held, PlayedStore


class PlayedPlain(PlayedStore):
    """GET, PUT and DELETE of ``/KEY``."""

    credential = PASSWORD

    def __init__(self) -> None:
        self.plain = Store()
        self.plain.held["other"] = (0, "somebody else's")
        super().__init__()

    def keys(self) -> dict[str, Any]:
        made = super().keys()
        return {"url": made.pop("base_url"), **made}

    def answer(self, asked: Asked) -> Answer:
        headers = {"Authorization": asked.headers.get("authorization", "")}
        if "if-match" in asked.headers:
            headers["If-Match"] = asked.headers["if-match"]
        if self.refusing:
            headers["Authorization"] = ""
        status, tag, body = self.plain.serve(asked.method, urlsplit(asked.path).path[1:], headers, asked.body)
        return Answer(status, body, {"ETag": tag} if tag else {})

    def held(self) -> Held:
        found: Held = self.plain.held.get("app", (0, None))[1]
        return found

    def others(self) -> object:
        return {key: value for key, value in self.plain.held.items() if key != "app"}

    def overwrite(self, value: str) -> None:
        self.plain.versions += 1
        before = self.held()
        self.plain.held["app"] = (self.plain.versions, {**before, "b": value} if isinstance(before, dict) else value)

    def delete(self) -> None:
        self.plain.held.pop("app", None)

    def writes(self) -> int:
        return self.plain.sent("PUT")
