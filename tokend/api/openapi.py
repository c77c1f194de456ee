"""The interface described for machines: OpenAPI 3.1; paths by hand beside `routes`, schemas made from `shapes`."""

from functools import cache
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from tokend.api import shapes

_SHAPES = (
    shapes.TokenList, shapes.Status, shapes.Token, shapes.IssuedToken, shapes.RequestId, shapes.Forgotten, shapes.Plan,
    shapes.Live, shapes.Ready, shapes.Problem,
)  # fmt: skip
_PREFIX = "#/components/schemas/"
_NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}


def _content(shape: type, media: str = "application/json") -> dict[str, Any]:
    return {media: {"schema": {"$ref": f"{_PREFIX}{shape.__name__}"}}}


def _text(media: str) -> dict[str, Any]:
    return {media: {"schema": {"type": "string"}}}


_PROBLEM = {
    "description": "RFC 9457 problem document",
    "content": _content(shapes.Problem, "application/problem+json"),
}
_PLAIN = _text("text/plain")


def _operation(
    summary: str, content: dict[str, Any], *, status: str = "200", named: bool = False, **more: Any
) -> dict[str, Any]:
    parameters = ([_NAME] if named else []) + more.pop("parameters", [])
    responses = {status: {"description": "done", "content": content}, "default": _PROBLEM} | more.pop("others", {})
    basis = {"summary": summary, "responses": responses}
    return basis | ({"parameters": parameters} if parameters else {}) | more


def _query(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": {"type": "string"}}


def _header(name: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "schema": {"type": "string"}}


def _body(*, required: bool, **properties: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {"required": required, "content": {"application/json": {"schema": schema}}}


_UNCHANGED = {"304": {"description": "If-None-Match names this generation"}}
_NOT_READY = {"503": {"description": "not ready", "content": _content(shapes.Ready)}}
_READ = [_query("min_ttl", 'a duration, "60s": still valid for that long'), _header("If-None-Match"), _header("Prefer")]
_STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}
_PARAMETERS = {"required": True, "content": {"application/json": {"schema": _STRINGS}}}
_DRY_RUN = {"name": "dry_run", "in": "query", "schema": {"enum": ["true", "false"]}}
_REFRESH = _body(
    required=False, if_generation={"type": ["integer", "null"]}, reason={"type": ["string", "null"], "maxLength": 200}
)

_DESCRIPTION: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "tokend", "version": "1", "description": "HTTP/1.1 over a Unix socket"},
    "paths": {
        "/v1/tokens": {"get": _operation("names, kinds, states, expiries; never a secret", _content(shapes.TokenList))},
        "/v1/tokens/{name}": {
            "get": _operation(
                "the token", _content(shapes.Token) | _PLAIN, others=_UNCHANGED, named=True, parameters=_READ
            )
        },
        "/v1/tokens/{name}/refresh": {
            "post": _operation(
                "a newer token than if_generation", _content(shapes.Token) | _PLAIN, named=True, requestBody=_REFRESH
            )
        },
        "/v1/tokens/{name}/issue": {
            "post": _operation(
                "one on-demand token",
                _content(shapes.IssuedToken) | _PLAIN,
                status="201",
                named=True,
                requestBody=_PARAMETERS,
            )
        },
        "/v1/tokens/{name}/request-id": {
            "post": _operation("an id for one upstream call", _content(shapes.RequestId), named=True)
        },
        "/v1/tokens/{name}/forget": {
            "post": _operation("admins: drop a compromised token", _content(shapes.Forgotten), named=True)
        },
        "/v1/events": {
            "get": _operation("server-sent events", _text("text/event-stream"), parameters=[_header("Last-Event-ID")])
        },
        "/v1/status": {"get": _operation("the daemon's and each token's condition", _content(shapes.Status))},
        "/v1/reload": {
            "post": _operation(
                "admins: apply the configuration",
                _content(shapes.Plan),
                parameters=[_DRY_RUN],
            )
        },
        "/livez": {"get": _operation("the daemon answers", _content(shapes.Live))},
        "/readyz": {
            "get": _operation(
                "every required token is valid and in its sinks", _content(shapes.Ready), others=_NOT_READY
            )
        },
        "/metrics": {"get": _operation("Prometheus text format", _PLAIN)},
        "/openapi.json": {"get": _operation("this document", {"application/json": {"schema": {"type": "object"}}})},
    },
}


@cache
def description() -> dict[str, Any]:
    """The whole document. Made when it is first asked for: few daemons ever are, and the schemas take a while."""
    mode: JsonSchemaMode = "serialization"
    inputs = [(shape, mode, TypeAdapter(shape)) for shape in _SHAPES]
    _, made = TypeAdapter.json_schemas(inputs, ref_template=_PREFIX + "{model}")
    return {**_DESCRIPTION, "components": {"schemas": made["$defs"]}}
