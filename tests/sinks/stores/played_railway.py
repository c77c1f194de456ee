"""Railway's GraphQL endpoint as its documents describe it, for the contract suite: docs/stores.md."""

import re
from typing import Any

from tests.sinks.played_server import Answer, Asked
from tests.sinks.played_store import Held, PlayedStore

PROJECT, ENVIRONMENT, SERVICE = "11111111-aaaa", "22222222-bbbb", "33333333-cccc"
SHARED = {"project": PROJECT, "environment": ENVIRONMENT, "variable": "JWT_TOKEN"}
PLACE = {**SHARED, "service": SERVICE}
# Answers of a deletion of what is not there: nobody has documented it.
NOT_FOUND = {
    "errors": [{"message": "Variable not found", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}],
    "data": None,
}


class PlayedRailway(PlayedStore):
    """Variables by environment and service (None: shared), and the redeployments that were asked for."""

    def __init__(self) -> None:
        neighbour = {"DATABASE_URL": "postgres://somebody-elses", "JWT_TOKEN_OLD": "x"}
        self.variables: dict[str | None, dict[str, str]] = {SERVICE: dict(neighbour), None: dict(neighbour)}
        self.variables["another-service"] = {"JWT_TOKEN": "somebody else's"}
        self.written = 0
        self.deployed: list[dict[str, str]] = []
        self.errors: list[dict[str, Any]] | None = None
        super().__init__()

    def answer(self, asked: Asked) -> Answer:
        if (asked.method, asked.path) != ("POST", "/graphql/v2"):
            return Answer(404, {"error": "not found"})
        project_token, bearer = asked.headers.get("project-access-token"), asked.headers.get("authorization")
        account = bearer.removeprefix("Bearer ") if bearer else None
        if self.errors is not None:
            return Answer(200, {"errors": self.errors, "data": None})
        if not self.is_allowed(project_token or account):
            return Answer(200, {"errors": [{"message": "Not Authorized", "path": ["x"]}], "data": None})
        field = re.findall(r"\{ (\w+)\(", asked.json["query"])[0]
        variables = asked.json["variables"]
        return Answer(200, {"data": {field: self._done}} if self._act(field, variables) else NOT_FOUND)

    def _act(self, field: str, variables: dict[str, Any]) -> bool:
        given = variables.get("input", variables)
        assert given["environmentId"] == ENVIRONMENT
        assert field == "serviceInstanceRedeploy" or given["projectId"] == PROJECT
        held = self.variables[given.get("serviceId")]
        self._done: Any = True
        if field == "variableUpsert":
            assert set(given) - {"serviceId"} == {"projectId", "environmentId", "name", "value", "skipDeploys"}
            assert given["skipDeploys"] is True
            held[given["name"]] = given["value"]
            self.written += 1
        elif field == "variableDelete":
            return held.pop(given["name"], None) is not None
        elif field == "variables":
            self._done = held
        elif field == "serviceInstanceRedeploy":
            self.deployed.append(given)
        else:
            return False
        return True

    @property
    def _place(self) -> dict[str, str]:
        """Where the sink of this row writes."""
        shared = "JWT_TOKEN" in self.variables[None]
        return self.variables[None if shared else SERVICE]

    def held(self) -> Held:
        return self._place.get("JWT_TOKEN")

    def others(self) -> object:
        return {
            place: {name: value for name, value in held.items() if name != "JWT_TOKEN" or place == "another-service"}
            for place, held in self.variables.items()
        }

    def overwrite(self, value: str) -> None:
        self._place["JWT_TOKEN"] = value

    def delete(self) -> None:
        self._place.pop("JWT_TOKEN", None)

    def writes(self) -> int:
        return self.written
