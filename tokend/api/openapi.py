"""The interface described for machines: OpenAPI 3.1, short, written by hand beside `routes`."""

from typing import Any

_PROBLEM = {"description": "RFC 9457 problem document", "content": {"application/problem+json": {}}}
_NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}


def _operation(summary: str, *, status: str = "200", named: bool = False, **more: Any) -> dict[str, Any]:
    parameters = ([_NAME] if named else []) + more.pop("parameters", [])
    basis = {"summary": summary, "responses": {status: {"description": "done"}, "default": _PROBLEM}}
    return basis | ({"parameters": parameters} if parameters else {}) | more


def _query(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": {"type": "string"}}


def _header(name: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "schema": {"type": "string"}}


def _body(*, required: bool, **properties: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties}
    return {"required": required, "content": {"application/json": {"schema": schema}}}


_READ = [_query("min_ttl", 'a duration, "60s": still valid for that long'), _header("If-None-Match"), _header("Prefer")]
_REFRESH = _body(required=False, if_generation={"type": "integer"}, reason={"type": "string"})

DESCRIPTION: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "tokend", "version": "1", "description": "HTTP/1.1 over a Unix socket"},
    "paths": {
        "/v1/tokens": {"get": _operation("names, kinds, states, expiries; never a secret")},
        "/v1/tokens/{name}": {"get": _operation("the token", named=True, parameters=_READ)},
        "/v1/tokens/{name}/refresh": {
            "post": _operation("a newer token than if_generation", named=True, requestBody=_REFRESH)
        },
        "/v1/tokens/{name}/issue": {
            "post": _operation("one on-demand token", status="201", named=True, requestBody=_body(required=True))
        },
        "/v1/tokens/{name}/request-id": {"post": _operation("an id for one upstream call", named=True)},
        "/v1/tokens/{name}/forget": {"post": _operation("admins: drop a compromised token", named=True)},
        "/v1/events": {"get": _operation("server-sent events", parameters=[_header("Last-Event-ID")])},
        "/v1/status": {"get": _operation("the daemon's and each token's condition")},
        "/v1/reload": {
            "post": _operation("admins: apply the configuration", parameters=[_query("dry_run", "true or false")])
        },
        "/livez": {"get": _operation("the daemon answers")},
        "/readyz": {"get": _operation("every required token is valid and in its sinks")},
        "/metrics": {"get": _operation("Prometheus text format")},
        "/openapi.json": {"get": _operation("this document")},
    },
}
