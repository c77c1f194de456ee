"""Kind ``http`` in the real daemon: a store whose answers echo what they get, and another writer."""

import json

from tests.daemon.harness import Home, until
from tests.daemon.tables import PARTNER
from tests.sinks.played_server import Answer, Asked
from tests.sinks.stores.played_http import PlayedComparing

SINK = """
[[providers.partner.sinks]]
kind = "http"
auth = {{ file = "./s/store" }}
request.method = "PUT"
request.url = "URL/v1/secrets/{{name}}"
request.headers = {{ If-Match = "{{version}}" }}
request.json = {{ value = "{{value}}" }}
answer = {{ status = 200, success = "!(message)", version = {{ header = "ETag" }} }}
inspect = {{ url = "URL/v1/secrets/{{name}}", answer = {{ value = "value", version = {{ header = "ETag" }} }} }}
remove = {{ url = "URL/v1/secrets/{{name}}" }}
errors = [{{ when = "message == 'quota'", means = "rate_limited", pause = "1s" }}]
"""


class Echoing(PlayedComparing):
    """A store that repeats the request in each answer, and has no room at first."""

    full = True

    def answer(self, asked: Asked) -> Answer:
        """Answer, and echo headers and body in the answer."""
        found = super().answer(asked)
        if self.full and asked.method == "PUT":
            self.full = False
            found = Answer(200, {"message": "quota"}, {"ETag": asked.json["value"]})
        body = {**(found.body or {}), "echo": [dict(asked.headers), asked.body.decode()]}
        return Answer(found.status, None if found.status == 204 else body, found.headers)


def test_a_declared_store_gets_each_token_and_shows_none(home: Home) -> None:
    """First a quota, then the token; another writer's value stays until an admin decides."""
    store = Echoing()
    try:
        home.secret("store", store.credential)
        home.write(PARTNER, SINK.replace("URL", store.url))
        daemon = home.start().settled()
        first = daemon.lease("partner")["access_token"]
        assert store.secrets["partner"][1] == first
        row = daemon.row("partner")["sinks"][1]
        assert row["target"] == f"http:{store.url.removeprefix('http://')}/v1/secrets/{{name}}"
        assert (row["state"], row["store_version"]) == ("ok", "2")
        store.store("partner", "planted-fake-of-another-writer")
        assert home.run("refresh", "partner").returncode == 0
        until(lambda: daemon.row("partner")["sinks"][1]["state"] == "conflict", "the conflict")
        assert store.secrets["partner"][1] == "planted-fake-of-another-writer"
        taken = home.run("sync", "partner", "--take-over")
        assert taken.returncode == 0, taken.stderr
        second = daemon.lease("partner")["access_token"]
        assert (store.secrets["partner"][1], store.held()) == (second, None)
        seen = home.log.read_text() + taken.stdout + json.dumps(daemon.status()) + daemon.get("/metrics").body.decode()
        for secret in (first, second, store.credential, "planted-fake-of-another-writer"):
            assert secret not in seen
    finally:
        store.close()
