"""An API server with one namespace and its Secrets, which owns fields by server-side apply as the real one does.

The rules of ownership are those of sigs.k8s.io/structured-merge-diff. `tests/counterparts/test_server_side_apply.py`
compares `Ownership` with that library, where it is installed.
"""

import base64
import copy
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes import literal
from tests.sinks.played_server import Answer, Asked
from tests.sinks.played_store import Held, PlayedStore

Path = tuple[str, ...]
LARGEST_BYTES = 1024 * 1024


def leaves(tree: Mapping[str, Any], above: Path = ()) -> dict[Path, Any]:
    """The leaves of an object by their paths, but those that name the object itself."""
    found: dict[Path, Any] = {}
    for key, value in tree.items():
        path = (*above, key)
        if isinstance(value, Mapping):
            found |= leaves(value, path)
        elif path[0] not in {"apiVersion", "kind"} and path not in IDENTITY:
            found[path] = value
    return found


IDENTITY = {("metadata", name) for name in ("name", "namespace", "resourceVersion", "uid", "creationTimestamp")}


class Ownership:
    """Fields with their values and their managers."""

    def __init__(self) -> None:
        self.fields: dict[Path, Any] = {}
        self.managers: dict[tuple[str, str], set[Path]] = {}

    def apply(self, manager: str, wanted: Mapping[Path, Any], *, force: bool) -> list[tuple[str, Path]]:
        """Apply a whole configuration of a manager. Returns the conflicts; if there are any, nothing is changed."""
        mine = self.managers.get((manager, "Apply"), set())
        conflicts = [
            (name, path)
            for (name, operation), owned in sorted(self.managers.items())
            for path in sorted(owned & wanted.keys())
            if (name, operation) != (manager, "Apply") and self.fields.get(path) != wanted[path]
        ]
        if conflicts and not force:
            return conflicts
        for (name, operation), owned in self.managers.items():
            if (name, operation) != (manager, "Apply"):
                owned -= {path for _, path in conflicts}
        self.managers[(manager, "Apply")] = set(wanted)
        self.fields |= wanted
        for path in mine - wanted.keys():
            if not any(path in owned for owned in self.managers.values()):
                self.fields.pop(path, None)
        self._forget_idle()
        return []

    def update(self, manager: str, whole: Mapping[Path, Any]) -> None:
        """Replace everything, as ``kubectl edit`` does: what changes belongs to this manager."""
        changed = {path for path in whole if self.fields.get(path, self) != whole[path]}
        gone = self.fields.keys() - whole.keys()
        for owned in self.managers.values():
            owned -= changed | gone
        self.managers.setdefault((manager, "Update"), set()).update(changed)
        self.fields = dict(whole)
        self._forget_idle()

    def _forget_idle(self) -> None:
        self.managers = {key: owned for key, owned in self.managers.items() if owned}

    def tree(self) -> dict[str, Any]:
        """The fields as an object."""
        made: dict[str, Any] = {}
        for path, value in self.fields.items():
            holder = made
            for part in path[:-1]:
                holder = holder.setdefault(part, {})
            holder[path[-1]] = copy.deepcopy(value)
        return made


class PlayedKubernetes(PlayedStore):
    """The server. ``verbs`` are what the role allows."""

    def __init__(self) -> None:
        self.secret: Ownership | None = Ownership()
        self.version, self.changes = 41, 0
        self.verbs = {"get", "patch", "create"}
        self.immutable = False
        self.before: Any = None  # called once before the next apply
        self.secret.update("kubectl-create", {("data", "other"): encoded("somebody else's"), ("type",): "Opaque"})
        super().__init__()

    def keys(self) -> dict[str, Any]:
        return {"server": self.url, "namespace": "team", "secret_name": "app", "auth": literal(self.credential)}

    def answer(self, asked: Asked) -> Answer:
        url = urlsplit(asked.path)
        if not self.is_allowed(asked.headers.get("authorization", "").removeprefix("Bearer ")):
            return status(401, "Unauthorized")
        if not url.path.startswith("/api/v1/namespaces/team/"):
            return (
                status(404, "NotFound")
                if asked.method == "PATCH"
                else status(404, "NotFound", 'secrets "app" not found')
            )
        assert url.path == "/api/v1/namespaces/team/secrets/app"
        verb = {"GET": "get", "PATCH": "patch"}[asked.method]
        if verb not in self.verbs:
            return status(403, "Forbidden", f"cannot {verb} resource secrets")
        if verb == "get":
            return status(404, "NotFound") if self.secret is None else Answer(200, self.shown())
        assert asked.headers["content-type"] == "application/apply-patch+yaml"
        if self.before is not None:
            call, self.before = self.before, None
            call()
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        return self._apply(asked.json, query["fieldManager"], force=query.get("force") == "true")

    def _apply(self, body: Mapping[str, Any], manager: str, *, force: bool) -> Answer:
        assert (body["apiVersion"], body["kind"]) == ("v1", "Secret")
        assert "stringData" not in body
        assert len(manager) <= 128
        made = self.secret is None
        if made and "create" not in self.verbs:
            return status(403, "Forbidden", "cannot create resource secrets")
        if "resourceVersion" in body["metadata"] and body["metadata"]["resourceVersion"] != str(self.version):
            return status(
                409, "Conflict", "the object has been modified; please apply your changes to the latest version"
            )
        wanted, before = leaves(body), copy.deepcopy(self.secret)
        secret = Ownership() if self.secret is None else self.secret
        if conflicts := secret.apply(manager, wanted, force=force):
            causes = [
                {"reason": "FieldManagerConflict", "field": "." + ".".join(path),
                 "message": f'conflict with "{name}" using v1'} for name, path in conflicts
            ]  # fmt: skip
            return status(409, "Conflict", f"Apply failed with {len(causes)} conflicts", causes)
        fault = self._invalid(before, secret)
        if fault is not None:
            self.secret = before
            return status(422, "Invalid", fault, [{"reason": "FieldValueInvalid", "field": "data", "message": fault}])
        secret.fields.setdefault(("type",), "Opaque")
        if before is None or before.fields != secret.fields or before.managers != secret.managers:
            self.version += 1
        self.changes += before is None or before.fields != secret.fields
        self.secret = secret
        return Answer(201 if made else 200, self.shown())

    def _invalid(self, before: Ownership | None, after: Ownership) -> str | None:
        data = after.tree().get("data", {})
        if self.immutable and before is not None and before.tree().get("data", {}) != data:
            return "field is immutable when `immutable` is set"
        size = sum(len(base64.b64decode(value, validate=True)) for value in data.values())
        return f"Too long: may not be more than {LARGEST_BYTES} bytes" if size > LARGEST_BYTES else None

    def shown(self) -> dict[str, Any]:
        """The Secret as the server answers it."""
        assert self.secret is not None
        tree = self.secret.tree()
        metadata = {
            "name": "app",
            "namespace": "team",
            "resourceVersion": str(self.version),
            **tree.get("metadata", {}),
        }
        return {"kind": "Secret", "apiVersion": "v1", **tree, "metadata": metadata}

    def edit(self, manager: str, changes: Mapping[Path, Any]) -> None:
        """Let somebody edit the Secret; None removes a field."""
        assert self.secret is not None
        whole = {**self.secret.fields, **changes}
        self.secret.update(manager, {path: value for path, value in whole.items() if value is not None})
        self.version += 1
        self.changes += 1

    def held(self) -> Held:
        data = {} if self.secret is None else self.secret.tree().get("data", {})
        found = {key: base64.b64decode(data[key]).decode() for key in OURS if key in data}
        return found["token"] if set(found) == {"token"} else found or None

    def others(self) -> object:
        fields = {} if self.secret is None else self.secret.fields
        ours = {("data", key) for key in OURS}
        return {
            path: value for path, value in fields.items() if path not in ours and not path[-1].startswith("tokend/")
        }

    def overwrite(self, value: str) -> None:
        assert self.secret is not None
        first = next(key for key in OURS if ("data", key) in self.secret.fields)
        self.edit("kubectl-edit", {("data", first): encoded(value)})

    def delete(self) -> None:
        self.edit("kubectl-edit", {("data", key): None for key in OURS})

    def writes(self) -> int:
        return self.changes


OURS = ("token", "JWT", "USER")


def encoded(value: str) -> str:
    """A value as a Secret has it."""
    return base64.b64encode(value.encode()).decode()


def status(code: int, reason: str, message: str = "", causes: object = None) -> Answer:
    """A `Status`."""
    details = {} if causes is None else {"details": {"name": "app", "kind": "secrets", "causes": causes}}
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }
    return Answer(code, {**body, **details})
