"""The OpenAPI 3.1 document: paths written by hand beside `routes`, schemas made from `schemas`."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from tokend.api import schemas
from tokend.plugin.caller_names import MOST_PARAMETERS

_SHAPES = (
    schemas.TokenList, schemas.Status, schemas.Token, schemas.KeyPair, schemas.IssuedToken, schemas.RequestId,
    schemas.Forgotten, schemas.Plan, schemas.Live, schemas.Ready, schemas.Problem, schemas.TokenEvent,
    schemas.ConfigEvent, schemas.Resumed, schemas.Signed, schemas.SinkEvent, schemas.SinkChange, schemas.SinksStatus,
    schemas.BrowserLoginBegun, schemas.DeviceLoginBegun, schemas.LoginProgress, schemas.LoggedOut,
    schemas.LoginEvent, schemas.LoginChange,
)  # fmt: skip
_PREFIX = "#/components/schemas/"
_TEXT = {"type": "string"}


def _content(*shapes: type, media: str = "application/json") -> dict[str, Any]:
    first, *others = [{"$ref": f"{_PREFIX}{shape.__name__}"} for shape in shapes]
    return {media: {"schema": {"anyOf": [first, *others]} if others else first}}


def _text(media: str) -> dict[str, Any]:
    return {media: {"schema": _TEXT}}


def _headers(*, required: bool = True, **names: dict[str, Any]) -> dict[str, Any]:
    return {"headers": {name.replace("_", "-"): {"required": required, "schema": it} for name, it in names.items()}}


_RETRY_AFTER = _headers(required=False, Retry_After={"type": "integer", "minimum": 1})
_ETAG_SCHEMA = {"type": "string", "pattern": '^"[0-9]+"$'}
_REQUEST_ID_PARAMETER = {
    "Request-Id-Parameter": {
        "required": False,
        "schema": _TEXT,
        "description": "the query parameter in which each call to the upstream needs a new request id (tt)",
    }
}


def _of_a_token(*, required: bool) -> dict[str, Any]:
    return {"headers": _headers(required=required, ETag=_ETAG_SCHEMA)["headers"] | _REQUEST_ID_PARAMETER}


_ETAG = _of_a_token(required=True)
_ETAG_OF_A_TOKEN = _of_a_token(required=False)
_ANY_TEXT: dict[str, Any] = {"schema": _TEXT}
# Every problem by its status: its code, and its headers.
_PROBLEMS: dict[int, tuple[str, dict[str, Any]]] = {
    400: ("bad_request: not to be understood; `errors` names fields", {}),
    401: ("denied: the secret is missing or wrong", _headers(WWW_Authenticate=_TEXT)),
    403: ("denied: not for this peer, nor for a web page", {}),
    404: ("unknown_token: there is none, or none that this peer may see", {}),
    405: ("not_supported: tokens of this kind cannot do this", _headers(Allow=_TEXT)),
    406: ("not_acceptable: the token cannot be given in this form", {}),
    409: ("generation_conflict: if_generation is above the token's", {}),
    413: ("too_large: the body", {}),
    415: ("unsupported_media_type: a body must be JSON", {}),
    422: ("config_invalid: `errors` lists each mistake and its place", {}),
    429: ("rate_limited: too early", _RETRY_AFTER),
    431: ("too_large: the headers", {}),
    500: ("internal: the daemon's log has the details", {}),
    503: ("token_unavailable, or login_required where a person must act", _RETRY_AFTER),
    504: ("timeout: not within the wait", {}),
}
# Every operation has these.
_ALWAYS = (400, 403, 413, 431, 500)
_NAMED = (404, 405)
_BODY = (415,)
_FRESH = (429, 503, 504)


def _problem(status: int) -> dict[str, Any]:
    text, more = _PROBLEMS[status]
    return {"description": text, "content": _content(schemas.Problem, media="application/problem+json"), **more}


def _operation(
    summary: str, good: dict[str, Any], *problems: int, parameters: Iterable[dict[str, Any]] = (), **more: Any
) -> dict[str, Any]:
    refused = {str(status): {"$ref": f"#/components/responses/{status}"} for status in (*_ALWAYS, *problems)}
    found = list(parameters)
    return {"summary": summary, **({"parameters": found} if found else {}), "responses": refused | good, **more}


def _good(content: dict[str, Any], status: int = 200, **more: Any) -> dict[str, Any]:
    return {str(status): {"description": "done", "content": content, **more}}


def _parameter(where: str, name: str, schema: dict[str, Any], description: str = "") -> dict[str, Any]:
    basis = {"in": where, "name": name, "schema": schema}
    return basis | ({"description": description} if description else {})


_NAME = {**_parameter("path", "name", {"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,63}$"}), "required": True}
_NAMES = (_NAME,)
# The digits keep it below ten years, which is where durations end.
_DURATION = {
    "type": "string",
    "pattern": "^([1-9][0-9]{0,10}ms|[1-9][0-9]{0,7}s|[1-9][0-9]{0,5}m|[1-9][0-9]{0,3}h|[1-9][0-9]{0,2}d)$",
}
_READ = (
    _NAME,
    _parameter("query", "min_ttl", _DURATION, "valid for at least that long, refreshed first if need be"),
    _parameter("query", "format", {"enum": ["aws"]}, "as AWS's SDKs read it; for kinds that hold a key pair"),
    _parameter("header", "If-None-Match", _TEXT, "the ETag of the token that is known"),
    _parameter("header", "Prefer", _TEXT, "wait=30: seconds, for another token than If-None-Match or a valid one"),
)
_SINCE = _parameter("header", "Last-Event-ID", {"type": "string", "pattern": "^[0-9]{1,18}$"}, "go on after this one")
_DRY_RUN = _parameter("query", "dry_run", {"enum": ["true", "false"]}, "only return the plan")


def _body(schema: dict[str, Any], *, required: bool) -> dict[str, Any]:
    return {"required": required, "content": {"application/json": {"schema": {"type": "object", **schema}}}}


_PLANNED = _body(
    {"properties": {"path": {"type": "string", "pattern": "^/"}}, "additionalProperties": False}, required=False
)
_PARAMETERS = _body({"maxProperties": MOST_PARAMETERS, "additionalProperties": _TEXT}, required=True)
_REFRESH = _body(
    {
        "properties": {
            "if_generation": {"type": ["integer", "null"], "description": "only admins may leave it out"},
            "reason": {"type": ["string", "null"], "maxLength": 200},
        },
        "additionalProperties": False,
    },
    required=False,
)
_LOGINS = (_NAME, {**_parameter("path", "id", {"type": "string", "pattern": "^[A-Za-z0-9_-]{32}$"}), "required": True})
_WAIT = _parameter("header", "Prefer", _TEXT, "wait=30: seconds, until it has ended")
_LOGIN = _body(
    {
        "properties": {
            "flow": {"enum": ["browser", "device", None], "description": "without it, the one that the kind prefers"},
            "redirect_uri": {"type": ["string", "null"], "pattern": "^https?://", "description": "on this machine"},
            "other_account": {"type": "boolean", "description": "also for another account than before"},
        },
        "additionalProperties": False,
    },
    required=False,
)
_REDIRECTED = _body(
    {
        "properties": {
            "redirected_to": {**_TEXT, "minLength": 1, "maxLength": 8192},
            "confirmed": {"const": True, "description": "alone: the account of a login that awaits it is right"},
        },
        "oneOf": [{"required": ["redirected_to"]}, {"required": ["confirmed"]}],
        "additionalProperties": False,
    },
    required=True,
)
_LOGOUT = _body(
    {
        "properties": {"force": {"type": "boolean", "description": "drop the login also where nobody has confirmed"}},
        "additionalProperties": False,
    },
    required=False,
)
_SYNC = _body(
    {
        "properties": {
            "sink": {"type": ["string", "null"], "description": "the label of one sink; all without it"},
            "take_over": {"type": "boolean", "description": "also where another writer owns the target"},
        },
        "additionalProperties": False,
    },
    required=False,
)
_SIGN = _body(
    {
        "properties": {
            "method": {**_TEXT, "pattern": "^[A-Za-z]{1,16}$"},
            "path": {**_TEXT, "pattern": "^/", "description": "without the host; the query may follow a ?"},
            "query": {
                "type": ["string", "object", "null"],
                "maxProperties": MOST_PARAMETERS,
                "additionalProperties": _TEXT,
            },
            "body": {"type": ["string", "object", "array", "null"], "description": "the text, or JSON to send compact"},
        },
        "required": ["method", "path"],
        "additionalProperties": False,
    },
    required=True,
)
_PLAIN = _text("text/plain")
# A stream has no schema in OpenAPI 3.1: the schema given is that of each event.
_EVENTS = _content(
    schemas.Problem,
    schemas.TokenEvent,
    schemas.SinkEvent,
    schemas.LoginEvent,
    schemas.ConfigEvent,
    media="text/event-stream",
)
_FOLLOW = (
    "server-sent events from now on, or since Last-Event-ID; after one that is too old or of another life of the "
    "daemon the present rows come first. Ids rise, also across restarts"
)

_PATHS: dict[str, Any] = {
    "/v1/tokens": {
        "get": _operation("names, kinds, states, expiries; never a secret", _good(_content(schemas.TokenList)))
    },
    "/v1/tokens/{name}": {
        "get": _operation(
            "the token",
            _good(_content(schemas.Token, schemas.KeyPair) | _PLAIN, **_ETAG)
            | {"304": {"description": "If-None-Match names this generation", **_ETAG}},
            *_NAMED, 406, *_FRESH,
            parameters=_READ,
        )
    },
    "/v1/tokens/{name}/refresh": {
        "post": _operation(
            "a newer token than if_generation; admins: try an on-demand token's rejected credentials again",
            _good(_content(schemas.Token, schemas.Resumed) | _PLAIN, **_ETAG_OF_A_TOKEN),
            *_NAMED, 406, 409, *_BODY, *_FRESH,
            parameters=_NAMES,
            requestBody=_REFRESH,
        )
    },
    "/v1/tokens/{name}/issue": {
        "post": _operation(
            "one on-demand token",
            _good(_content(schemas.IssuedToken) | _PLAIN, 201),
            *_NAMED, 406, *_BODY, *_FRESH,
            parameters=_NAMES,
            requestBody=_PARAMETERS,
        )
    },
    "/v1/tokens/{name}/sign": {
        "post": _operation(
            "headers that sign one call to the upstream, among the provider's sign_paths",
            _good(_content(schemas.Signed)),
            *_NAMED, *_BODY, 429, 503,
            parameters=_NAMES,
            requestBody=_SIGN,
        )
    },
    "/v1/tokens/{name}/request-id": {
        "post": _operation(
            "an id for one upstream call", _good(_content(schemas.RequestId)), *_NAMED, *_BODY, parameters=_NAMES
        )
    },
    "/v1/tokens/{name}/forget": {
        "post": _operation(
            "admins: drop a compromised token", _good(_content(schemas.Forgotten)), *_NAMED, *_BODY, parameters=_NAMES
        )
    },
    "/v1/tokens/{name}/sync": {
        "post": _operation(
            "admins: write the token to its sinks now, without a request to its upstream; waits for the results",
            _good(_content(schemas.SinksStatus)), *_NAMED, *_BODY, parameters=_NAMES, requestBody=_SYNC,
        )
    },
    "/v1/tokens/{name}/inspect": {
        "post": _operation(
            "admins: ask each sink of the token what its target holds, for `drift`; writes nothing",
            _good(_content(schemas.SinksStatus)), *_NAMED, *_BODY, parameters=_NAMES,
        )
    },
    "/v1/tokens/{name}/login": {
        "post": _operation(
            "admins and access.login: begin a login that a person finishes",
            _good(_content(schemas.BrowserLoginBegun, schemas.DeviceLoginBegun), 201),
            *_NAMED, *_BODY, 429, 503, parameters=_NAMES, requestBody=_LOGIN,
        )
    },
    "/v1/tokens/{name}/login/{id}": {
        "get": _operation(
            "who began the login: what has come of it, with Prefer: wait as soon as it has ended",
            _good(_content(schemas.LoginProgress)), *_NAMED, parameters=(*_LOGINS, _WAIT),
        ),
        "post": _operation(
            "who began the login: the address at which the browser has ended, or that the account is right",
            _good(_content(schemas.LoginProgress)),
            *_NAMED, *_BODY, 429, 503, parameters=_LOGINS, requestBody=_REDIRECTED,
        ),
        "delete": _operation(
            "who began the login: cancel it", _good(_content(schemas.LoginProgress)), *_NAMED, parameters=_LOGINS
        ),
    },
    "/v1/tokens/{name}/logout": {
        "post": _operation(
            "admins and access.login: withdraw the token, and end the login here and at its server (within 30 s)",
            _good(_content(schemas.LoggedOut)), *_NAMED, *_BODY, parameters=_NAMES, requestBody=_LOGOUT,
        )
    },
    "/v1/events": {"get": _operation(_FOLLOW, _good(_EVENTS), parameters=(_SINCE,))},
    "/v1/status": {"get": _operation("the daemon's and each token's condition", _good(_content(schemas.Status)))},
    "/v1/reload": {
        "post": _operation(
            "admins: apply the configuration, or plan that or (root and the daemon's user) another file",
            _good(_content(schemas.Plan)), *_BODY, 422, parameters=(_DRY_RUN,), requestBody=_PLANNED,
        )
    },
    "/livez": {"get": _operation("the daemon answers", _good(_content(schemas.Live)))},
    "/readyz": {
        "get": _operation(
            "every required token is valid and in its sinks",
            _good(_content(schemas.Ready))
            | {"503": {"description": "not ready", "content": _content(schemas.Ready)}},
        )
    },
    "/metrics": {"get": _operation("Prometheus text format", _good(_PLAIN))},
    "/openapi.json": {
        "get": _operation("this document", _good({"application/json": {"schema": {"type": "object"}}}))
    },
}  # fmt: skip
# Supervisors have no secret.
_OPEN = ("/livez", "/readyz")


@cache
def description(*, loopback: bool) -> dict[str, Any]:
    """The whole document, for the Unix socket or for the ``loopback`` port, which asks for its secret.

    Made at the first request: it is rare, and the schemas take a while.
    """
    mode: JsonSchemaMode = "serialization"
    inputs = [(shape, mode, TypeAdapter(shape)) for shape in _SHAPES]
    _, made = TypeAdapter.json_schemas(inputs, ref_template=_PREFIX + "{model}")
    responses = {str(status): _problem(status) for status in _PROBLEMS}
    text = "HTTP/1.1 over a Unix socket; the kernel names the peer, which decides what the peer may do"
    info = {"title": "tokend", "version": "1", "description": text}
    components: dict[str, Any] = {"schemas": made["$defs"], "responses": responses}
    basis = {"openapi": "3.1.0", "info": info, "paths": _PATHS, "components": components}
    return _with_secret(basis) if loopback else basis


def _with_secret(document: dict[str, Any]) -> dict[str, Any]:
    text = "HTTP/1.1 on a loopback port, for clients that have its secret; no client is an admin here"
    refused = {"401": {"$ref": "#/components/responses/401"}}
    paths: dict[str, Any] = {
        path: {
            method: operation | ({"security": []} if path in _OPEN else {"responses": operation["responses"] | refused})
            for method, operation in methods.items()
        }
        for path, methods in document["paths"].items()
    }
    scheme = {"type": "http", "scheme": "bearer", "description": "or the bare secret in Authorization, as AWS sends it"}
    return {
        **document,
        "info": {**document["info"], "description": text},
        "paths": paths,
        "security": [{"secret": []}],
        "components": {**document["components"], "securitySchemes": {"secret": scheme}},
    }
