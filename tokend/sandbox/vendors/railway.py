"""Railway's GraphQL endpoint: variables of services and of an environment, and redeployments.

Errors have status 200, as Railway's. One project, one environment and any number of services, which exist as soon as
they are named. The values are in memory only; the control endpoint shows names and counts.
"""

import re
import threading
from collections.abc import Mapping
from typing import Any, ClassVar

from tokend.sandbox.messages import Reply, Request, json_reply
from tokend.sandbox.options import Options

GRAPHQL = "/graphql/v2"
# Services that are remembered, so that the sandbox stays bounded; the oldest is dropped first.
MOST_SERVICES = 1000
# The first field of the selection: GraphQL's own grammar is not read any further.
_FIELD = re.compile(r"\A[^{]*\{\s*(?:\w+\s*:\s*)?(\w+)")
_MUTATIONS = frozenset({"variableUpsert", "variableCollectionUpsert", "variableDelete", "serviceInstanceRedeploy"})
_QUERIES = frozenset({"variables", "projectToken"})


class Railway:
    """Railway with one project. A project token belongs to the environment; an account token may do everything."""

    name = "railway"
    paths: ClassVar[tuple[str, ...]] = (f"POST {GRAPHQL}",)

    def __init__(self, options: Options) -> None:
        self.credentials: Mapping[str, str] = {
            "project_token": options.railway_project_token,
            "account_token": options.railway_account_token,
        }
        self._project, self._environment = options.railway_project, options.railway_environment
        self._lock = threading.Lock()
        # By service, "" for what is shared: the variables, and the number of deployments.
        self._variables: dict[str, dict[str, str]] = {}
        self._deployments: dict[str, int] = {}

    def route(self, path: str) -> str | None:
        """Accept the one endpoint."""
        return path if path == GRAPHQL else None

    def answer(self, request: Request) -> Reply:
        """Answer one operation; status 200 also for its failure."""
        if request.method != "POST":
            return json_reply(405, {"errors": [{"message": "Method Not Allowed"}]}, headers={"Allow": "POST"})
        body = request.json_object()
        if body is None or not isinstance(body.get("query"), str):
            return _failed("Must provide query string.", "BAD_REQUEST", status=400)
        variables = body.get("variables") or {}
        found = _FIELD.match(body["query"])
        field = found[1] if found else ""
        kind = "mutation" if field in _MUTATIONS else "query"
        if field not in _MUTATIONS | _QUERIES or not body["query"].lstrip().startswith((kind, "{")):
            return _failed(f'Cannot query field "{field[:50]}".', "GRAPHQL_VALIDATION_FAILED", status=400)
        if not isinstance(variables, dict) or not self._is_allowed(request, field):
            return self.refusal(request, None)
        with self._lock:
            return self._act(field, variables)

    def refusal(self, request: Request, code: int | str | None) -> Reply:  # noqa: ARG002  (the Protocol's signature)
        """Answer 200 with the error of a token that is not accepted."""
        return _failed("Not Authorized", "INTERNAL_SERVER_ERROR")

    def failure(self, status: int) -> Reply:
        """Answer as GraphQL servers do."""
        return _failed("You are being ratelimited" if status == 429 else "Problem processing request", status=status)

    def report(self) -> list[dict[str, Any]]:
        """Return the services with the names of their variables and the number of their deployments. No values."""
        with self._lock:
            return [
                {
                    "service": service or None,
                    "variables": sorted(held),
                    "deployments": self._deployments.get(service, 0),
                }
                for service, held in self._variables.items()
            ]

    def _is_allowed(self, request: Request, field: str) -> bool:
        if request.headers.get("project-access-token") == self.credentials["project_token"]:
            return True
        return field != "projectToken" and request.bearer == self.credentials["account_token"]

    def _act(self, field: str, variables: Mapping[str, Any]) -> Reply:
        if field == "projectToken":
            return _done(field, {"projectId": self._project, "environmentId": self._environment})
        given = variables.get("input", variables)
        if not isinstance(given, dict) or not self._is_known(given, field):
            return self.failure(200)
        service = given.get("serviceId") or ""
        if service not in self._variables and len(self._variables) >= MOST_SERVICES:
            del self._variables[next(iter(self._variables))]
        held = self._variables.setdefault(service, {})
        if field == "variables":
            return _done(field, dict(held))
        return self._change(field, given, service, held)

    def _change(self, field: str, given: Mapping[str, Any], service: str, held: dict[str, str]) -> Reply:
        if field == "variableUpsert":
            if not isinstance(given.get("name"), str) or not isinstance(given.get("value"), str):
                return _failed("Variable value is missing", "BAD_USER_INPUT")
            held[given["name"]] = given["value"]
        elif field == "variableCollectionUpsert":
            if given.get("replace"):
                held.clear()
            held.update({str(name): str(value) for name, value in dict(given.get("variables") or {}).items()})
        elif field == "variableDelete" and held.pop(str(given.get("name")), None) is None:
            return _failed("Variable not found", "INTERNAL_SERVER_ERROR")
        # A shared variable deploys nothing here: its services are not known.
        if service and (field == "serviceInstanceRedeploy" or not given.get("skipDeploys")):
            self._deployments[service] = self._deployments.get(service, 0) + 1
        return _done(field, True)

    def _is_known(self, given: Mapping[str, Any], field: str) -> bool:
        """Return whether project, environment and service are those of the sandbox."""
        project = given.get("projectId", self._project if field == "serviceInstanceRedeploy" else None)
        needs_service = field == "serviceInstanceRedeploy"
        service = given.get("serviceId")
        is_service = isinstance(service, str) and bool(service)
        return (
            (project, given.get("environmentId")) == (self._project, self._environment)
            and (is_service or (service is None and not needs_service))
        )  # fmt: skip


def _done(field: str, value: object) -> Reply:
    return json_reply(200, {"data": {field: value}})


def _failed(message: str, code: str = "INTERNAL_SERVER_ERROR", *, status: int = 200) -> Reply:
    return json_reply(status, {"errors": [{"message": message, "extensions": {"code": code}}], "data": None})
