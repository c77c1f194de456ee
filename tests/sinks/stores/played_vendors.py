"""The vendors of docs/store-recipes.md, as their documents describe them. Each holds one value of ours.

A vendor answers 401 to another credential, and 400 to a request that its documents do not know.
"""

import base64
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.sinks.played_server import Answer, Asked, PlayedServer
from tests.sinks.played_store import CREDENTIAL

OTHERS = "planted-fake-somebody-elses"


class Vendor:
    """A vendor behind a real server. ``held`` is our value now, ``versions`` how many there were."""

    header = "authorization"
    prefix = "Bearer "

    def __init__(self) -> None:
        self.held: str | None = None
        self.versions = 0
        self.others = {"OTHER": OTHERS}
        self.server = PlayedServer(self.checked)

    def checked(self, asked: Asked) -> Answer:
        """Look at the credential, then answer."""
        if asked.headers.get(self.header) != self.prefix + CREDENTIAL:
            return self.refusal()
        parts = urlsplit(asked.path)
        return self.answer(asked, unquote(parts.path), dict(parse_qsl(parts.query))) or Answer(400, {"message": "bad"})

    def refusal(self) -> Answer:
        """Answer to a wrong credential."""
        return Answer(401, {"message": "unauthorized"})

    def answer(self, asked: Asked, path: str, query: dict[str, str]) -> Answer | None:
        """Answer one request as documented; None for one that is not."""
        raise NotImplementedError

    def store(self, value: str) -> int:
        """Hold a new version."""
        self.held = value
        self.versions += 1
        return self.versions


class Consul(Vendor):
    """KV: ``PUT ?cas=`` answers true or false; ``GET`` has the value in Base64."""

    index = 7

    def answer(self, asked: Asked, path: str, query: dict[str, str]) -> Answer | None:
        if path != "/v1/kv/app/token":
            return None
        now = self.index if self.held is not None else 0
        if asked.method == "GET":
            row = {"ModifyIndex": self.index, "Key": "app/token", "Flags": 0, "Value": encoded(self.held or "")}
            return Answer(404) if self.held is None else Answer(200, [row])
        if query["cas"] != str(now):
            return Answer(200, b"false")
        if asked.method == "DELETE":
            self.held = None
            return Answer(200, b"true")
        self.store(asked.body.decode())
        self.index += 3
        return Answer(200, b"true") if asked.method == "PUT" else None


class Vercel(Vendor):
    """A variable of a project: made or replaced with ``upsert=true``, removed by its id, never returned."""

    def refusal(self) -> Answer:
        return Answer(403, {"error": {"code": "forbidden", "message": "Not authorized"}})

    def answer(self, asked: Asked, path: str, query: dict[str, str]) -> Answer | None:
        if asked.method == "POST" and path == "/v10/projects/project/env" and query["teamId"] == "team_1":
            body = asked.json
            assert set(body) == {"key", "value", "type", "target"}
            if self.held is not None and query.get("upsert") != "true":
                return Answer(403, {"error": {"code": "ENV_ALREADY_EXISTS"}})
            self.store(body["value"])
            return Answer(201, {"created": {"id": "env_1", "key": body["key"], "type": "sensitive"}, "failed": []})
        if asked.method == "DELETE" and path == "/v9/projects/project/env/env_1":
            self.held = None
            return Answer(200, {"key": "PARTNER_TOKEN"})
        return None


class SecretManager(Vendor):
    """GCP: versions of one secret, in Base64; a destroyed one cannot be read."""

    def __init__(self) -> None:
        self.alive: dict[int, str] = {}
        super().__init__()

    def answer(self, asked: Asked, path: str, query: dict[str, str]) -> Answer | None:
        base = "/v1/projects/project/secrets/app"
        name = "projects/123/secrets/app/versions/"
        if asked.method == "POST" and path == f"{base}:addVersion":
            data = asked.json["payload"]["data"]
            self.alive[self.store(base64.b64decode(data, validate=True).decode())] = data
            return Answer(200, {"name": f"{name}{self.versions}", "state": "ENABLED"})
        failed = Answer(400, {"error": {"code": 400, "status": "FAILED_PRECONDITION"}})
        if asked.method == "GET" and path == f"{base}/versions/latest:access":
            if self.versions == 0:
                return Answer(404, {"error": {"code": 404, "status": "NOT_FOUND"}})
            data = self.alive.get(self.versions)
            row = {"name": f"{name}{self.versions}", "payload": {"data": data, "dataCrc32c": "1"}}
            return failed if data is None else Answer(200, row)
        if asked.method == "POST" and path.startswith(f"{base}/versions/") and path.endswith(":destroy"):
            version = int(path.removeprefix(f"{base}/versions/").removesuffix(":destroy"))
            if self.alive.pop(version, None) is None:
                return failed
            self.held = self.held if version != self.versions else None
            return Answer(200, {"name": f"{name}{version}", "state": "DESTROYED"})
        return None


class KeyVault(Vendor):
    """Azure: a version at each write, with the end of the value in ``attributes.exp``."""

    expires: object = None

    def answer(self, asked: Asked, path: str, query: dict[str, str]) -> Answer | None:
        if path != "/secrets/app" or query != {"api-version": "7.4"}:
            return None
        if asked.method == "PUT":
            self.store(asked.json["value"])
            self.expires = asked.json["attributes"]["exp"]
            assert isinstance(self.expires, int)
        elif self.held is None:
            return Answer(404, {"error": {"code": "SecretNotFound"}})
        identity = f"https://myvault.vault.azure.net/secrets/app/{self.versions:032x}"
        return Answer(200, {"value": self.held, "id": identity, "attributes": {"enabled": True, "exp": self.expires}})


class Doppler(Vendor):
    """One secret of a config; the others stay."""

    def answer(self, asked: Asked, path: str, query: dict[str, str]) -> Answer | None:
        one = {"project": "app", "config": "prd"}
        if asked.method == "POST" and path == "/v3/configs/config/secrets":
            secrets = asked.json.pop("secrets")
            assert asked.json | {"secrets": secrets} == {**one, "secrets": secrets}
            self.store(secrets["PARTNER_TOKEN"])
            return Answer(200, {"secrets": {"PARTNER_TOKEN": self.shown(), "OTHER": {"raw": OTHERS}}})
        if path != "/v3/configs/config/secret" or query != {**one, "name": "PARTNER_TOKEN"}:
            return None
        if asked.method == "GET":
            found = {"name": "PARTNER_TOKEN", "value": self.shown()}
            return (
                Answer(404, {"messages": ["Could not find requested secret"]})
                if self.held is None
                else Answer(200, found)
            )
        self.held = None
        return Answer(204)

    def shown(self) -> dict[str, Any]:
        return {"raw": self.held, "computed": self.held}


class Infisical(Vendor):
    """A secret by its name, made or edited by the request for several."""

    needs_approval = False

    def answer(self, asked: Asked, path: str, query: dict[str, str]) -> Answer | None:
        place = {"projectId": "project", "environment": "prod", "secretPath": "/"}
        if asked.method == "PATCH" and path == "/api/v4/secrets/batch":
            body = asked.json
            assert {key: body[key] for key in place} == place
            if self.held is None and body.get("mode") != "upsert":
                return Answer(404, {"error": "NotFound"})
            if self.needs_approval:
                return Answer(200, {"approval": {"id": "1"}})
            [secret] = body["secrets"]
            self.store(secret["secretValue"])
            return Answer(200, {"secrets": [{"secretKey": secret["secretKey"], "version": self.versions}]})
        if path != "/api/v4/secrets/PARTNER_TOKEN":
            return None
        if self.held is None:
            return Answer(404, {"error": "NotFound"})
        if asked.method == "GET" and query == {**place, "viewSecretValue": "true"}:
            return Answer(200, {"secret": {"secretKey": "PARTNER_TOKEN", "secretValue": self.held}})
        if asked.method == "DELETE" and asked.json == place:
            self.held = None
            return Answer(200, {"secret": {"secretKey": "PARTNER_TOKEN"}})
        return None


class Etcd(Vendor):
    """The JSON gateway: Base64, numbers as strings, and what is false or empty is left out."""

    prefix = ""
    revision = 5
    modified = 0

    def refusal(self) -> Answer:
        return Answer(401, {"error": "etcdserver: invalid auth token", "code": 16})

    def answer(self, asked: Asked, path: str, query: dict[str, str]) -> Answer | None:
        body, key = asked.json, encoded("app/token")
        if path == "/v3/kv/txn":
            [compared], [put], [_] = body["compare"], body["success"], body["failure"]
            assert compared["key"] == put["request_put"]["key"] == key
            if compared["mod_revision"] != str(self.modified):
                return Answer(200, {"header": self.head(), "responses": [{"response_range": {"header": {}}}]})
            self.revision += 1
            self.modified = self.revision
            self.store(base64.b64decode(put["request_put"]["value"], validate=True).decode())
            return Answer(200, {"header": self.head(), "succeeded": True, "responses": [{"response_put": {}}]})
        if path == "/v3/kv/range" and body == {"key": key}:
            row = {"key": key, "mod_revision": str(self.modified), "value": encoded(self.held or "")}
            return Answer(
                200, {"header": self.head()} | ({"kvs": [row], "count": "1"} if self.held is not None else {})
            )
        if path == "/v3/kv/deleterange" and body == {"key": key}:
            self.held, self.modified = None, 0
            return Answer(200, {"header": self.head(), "deleted": "1"})
        return None

    def head(self) -> dict[str, str]:
        return {"cluster_id": "1", "revision": str(self.revision)}


class Render(Vendor):
    """One variable of a service."""

    def answer(self, asked: Asked, path: str, query: dict[str, str]) -> Answer | None:
        assert path != "/v1/services/srv-1/env-vars", "this request deletes the others' variables"
        if path != "/v1/services/srv-1/env-vars/PARTNER_TOKEN":
            return None
        if asked.method == "PUT":
            self.store(asked.json["value"])
        elif self.held is None:
            return Answer(404, {"message": "not found"})
        if asked.method == "DELETE":
            self.held = None
            return Answer(204)
        return Answer(200, {"key": "PARTNER_TOKEN", "value": self.held})


class Fly(Vendor):
    """A secret of an app, of which only a digest is returned."""

    prefix = ""

    def answer(self, asked: Asked, path: str, query: dict[str, str]) -> Answer | None:
        if path != "/v1/apps/app/secrets/PARTNER_TOKEN":
            return None
        if asked.method == "POST":
            version = self.store(asked.json["value"])
            return Answer(201, {"name": "PARTNER_TOKEN", "digest": "d1", "version": version, "Version": version})
        self.held = None
        return Answer(200, {"version": self.versions}) if asked.method == "DELETE" else None


class Cloudflare(Vendor):
    """A secret of a Worker; errors have a code beside ``success``."""

    def refusal(self) -> Answer:
        errors = [{"code": 10000, "message": "Authentication error"}]
        return Answer(400, {"success": False, "errors": errors, "messages": [], "result": None})

    def answer(self, asked: Asked, path: str, query: dict[str, str]) -> Answer | None:
        base = "/client/v4/accounts/account/workers/scripts/worker/secrets"
        whole = {"success": True, "errors": [], "messages": []}
        if asked.method == "PUT" and path == base:
            assert (asked.json["name"], asked.json["type"]) == ("PARTNER_TOKEN", "secret_text")
            self.store(asked.json["text"])
            return Answer(200, {**whole, "result": {"name": "PARTNER_TOKEN", "type": "secret_text"}})
        if asked.method == "DELETE" and path == f"{base}/PARTNER_TOKEN":
            self.held = None
            return Answer(200, {**whole, "result": None})
        return None


class Heroku(Vendor):
    """The variables of an app: a patch of one of them, null removes it."""

    def answer(self, asked: Asked, path: str, query: dict[str, str]) -> Answer | None:
        if path != "/apps/app/config-vars" or asked.headers["accept"] != "application/vnd.heroku+json; version=3":
            return None
        if asked.method == "PATCH":
            [(name, value)] = asked.json.items()
            assert name == "PARTNER_TOKEN"
            self.held = None if value is None else value
            self.versions += 1
        return Answer(200, self.others | ({} if self.held is None else {"PARTNER_TOKEN": self.held}))


class GitLab(Vendor):
    """A variable of a project that somebody has made."""

    header, prefix = "private-token", ""

    def __init__(self) -> None:
        super().__init__()
        self.held = "planted-fake-first-value"

    def answer(self, asked: Asked, path: str, query: dict[str, str]) -> Answer | None:
        if path != "/api/v4/projects/1/variables/PARTNER_TOKEN":
            return None
        if self.held is None:
            return Answer(404, {"message": "404 Variable Not Found"})
        if asked.method == "PUT":
            assert set(asked.json) == {"value"}
            self.store(asked.json["value"])
        return Answer(200, {"key": "PARTNER_TOKEN", "value": self.held, "masked": True, "variable_type": "env_var"})


class Connect(Vendor):
    """1Password Connect: an item of several fields, of which a JSON patch changes one."""

    def __init__(self) -> None:
        super().__init__()
        self.held = "planted-fake-first-value"

    def answer(self, asked: Asked, path: str, query: dict[str, str]) -> Answer | None:
        if path != "/v1/vaults/vault/items/item":
            return None
        if asked.method == "PATCH":
            [change] = asked.json
            assert (change["op"], change["path"]) == ("replace", "/fields/credential/value")
            self.store(change["value"])
        fields = [{"id": "username", "value": OTHERS}, {"id": "credential", "value": self.held}]
        return Answer(200, {"id": "item", "version": self.versions + 1, "fields": fields})


VENDORS: dict[str, Callable[[], Vendor]] = {
    "Consul KV": Consul, "Vercel": Vercel, "GCP Secret Manager": SecretManager, "Azure Key Vault": KeyVault,
    "Doppler": Doppler, "Infisical": Infisical, "etcd": Etcd, "Render": Render, "Fly": Fly,
    "Cloudflare Workers": Cloudflare, "Heroku": Heroku, "GitLab CI": GitLab, "1Password Connect": Connect,
}  # fmt: skip


def encoded(text: str) -> str:
    """Return Base64."""
    return base64.b64encode(text.encode()).decode()
