"""The route ``POST /v1/tokens/{name}/sign``: the headers that sign one call of the caller to an upstream."""

import json
from typing import Any
from urllib.parse import parse_qsl

from tokend.api.token_api import Call
from tokend.httpd.problem import bad_request
from tokend.httpd.response import Response, json_response
from tokend.plugin.caller_names import MOST_PARAMETERS
from tokend.plugin.request_signing import CallToSign, normalised
from tokend.values.secret import Secret


async def sign_call(call: Call) -> Response:
    """Answer with the headers. The body is ``{"method", "path", "query", "body"}``; the last two are optional."""
    asked = _read(call.request.json_object(frozenset(("method", "path", "query", "body"))))
    headers = await call.service.engine.sign(call.token.name, asked, uid=call.request.peer.uid)
    made = {name: value.reveal() if isinstance(value, Secret) else value for name, value in headers.items()}
    extra = {name: value for name, value in call.token.settings.headers.items() if _is_new(name, made)}
    return json_response({"headers": {**made, **extra}})


def _is_new(name: str, made: dict[str, str]) -> bool:
    return name.lower() not in {one.lower() for one in made}


def _read(found: dict[str, Any]) -> CallToSign:
    """Read the call. Raises `RequestError`, which quotes neither query nor body."""
    method, path = (_text(found, name) for name in ("method", "path"))
    path, question, in_path = path.partition("?")
    query = found.get("query")
    if question and query:
        raise _wrong("query", "stands in the path as well: give it once")
    try:
        method, path = normalised(method, path)
    except ValueError as error:
        raise _wrong("method" if str(error).startswith("the method") else "path", str(error)) from None
    return CallToSign(method, path, _pairs(in_path if question else query), _bytes(found.get("body")))


def _text(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not value:
        raise _wrong(name, "is required, a string")
    return value


def _pairs(query: object) -> tuple[tuple[str, str], ...]:
    """Read a query: the text after the ``?``, or an object of strings."""
    if query is None:
        return ()
    if isinstance(query, dict):
        if len(query) > MOST_PARAMETERS or not all(isinstance(value, str) for value in query.values()):
            raise _wrong("query", f"is an object of at most {MOST_PARAMETERS} strings, or a string")
        return tuple(query.items())
    if not isinstance(query, str):
        raise _wrong("query", "is an object of strings, or a string")
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, strict_parsing=bool(query), errors="strict", max_num_fields=MOST_PARAMETERS
        )
    except ValueError:
        raise _wrong("query", f"is name=value pairs, joined by &, at most {MOST_PARAMETERS} of them") from None
    if len({name for name, _ in pairs}) != len(pairs):
        raise _wrong("query", "has a name twice: which one is signed would not be clear")
    return tuple(pairs)


def _bytes(body: object) -> bytes:
    """Return the bytes of a body: those of a string as they are, those of JSON in its compact form."""
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, dict | list):
        # As JSON.stringify writes it: no spaces, characters as they are, members in their order.
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    raise _wrong("body", "is the text that is sent, or a JSON object or array")


def _wrong(name: str, text: str) -> Exception:
    return bad_request(f"{name} {text}" if not text.startswith("the ") else text, errors={name: [text]})
