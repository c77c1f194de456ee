"""Answers compared with what `GET /openapi.json` says of them."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from jsonschema import Draft202012Validator, FormatChecker

from tests.httpd.served import Reply, Served

_formats = FormatChecker(formats=())


def _is_moment(value: object) -> bool:
    return not isinstance(value, str) or (value.endswith("Z") and bool(datetime.fromisoformat(value)))


_formats.checks("date-time", raises=ValueError)(_is_moment)

# The path of one token, as the document has it.
NAMED = "/v1/tokens/{name}"


class Answered(Protocol):
    """What is looked at of an answer; header names are in lower case."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def body(self) -> bytes: ...


def fits(document: Mapping[str, Any], shape: str, value: Any) -> None:
    """Fail unless the value has one of the document's named shapes."""
    schema = {"$ref": f"#/components/schemas/{shape}", "components": document["components"]}
    Draft202012Validator(schema, format_checker=_formats).validate(value)


def is_described(document: Mapping[str, Any], answer: Answered, method: str, path: str) -> None:
    """Fail unless status, headers, type and content of an answer are in the document; ``path`` as it stands there."""
    responses = document["paths"][path][method.lower()]["responses"]
    assert str(answer.status) in responses, f"{method} {path}: {answer.status} is not described"
    found = responses[str(answer.status)]
    if "$ref" in found:
        found = document["components"]["responses"][found["$ref"].rpartition("/")[2]]
    for name, header in found.get("headers", {}).items():
        assert name.lower() in answer.headers or not header["required"], f"{method} {path}: no {name}"
        if "pattern" in header["schema"] and name.lower() in answer.headers:
            Draft202012Validator(header["schema"]).validate(answer.headers[name.lower()])
    if "content" not in found:
        assert not answer.body
        return
    media = answer.headers["content-type"].partition(";")[0]
    assert media in found["content"], f"{method} {path}: {media} is not described"
    value = json.loads(answer.body) if media.endswith("json") else answer.body.decode()
    schema = {**found["content"][media]["schema"], "components": document["components"]}
    Draft202012Validator(schema, format_checker=_formats).validate(value)


def agrees(running: Served, reply: Reply, path: str, method: str = "get") -> None:
    """Fail unless the reply is as the server's own document describes it."""
    is_described(running.get("/openapi.json").json, reply, method, path)
