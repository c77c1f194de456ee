"""The description for machines, compared with what is really answered."""

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.api.served import Reply, Served


def _check(running: Served, reply: Reply, path: str, method: str = "get") -> None:
    """Validate an answer against what the document says of it; a document in which that is missing fails."""
    document = running.get("/openapi.json").json
    responses = document["paths"][path][method]["responses"]
    described = responses.get(str(reply.status), responses["default"])
    schema: dict[str, Any] = described["content"][reply.headers["content-type"].partition(";")[0]]["schema"]
    Draft202012Validator({**schema, "components": document["components"]}).validate(reply.json)


@pytest.mark.parametrize("path", ["/v1/tokens", "/v1/status", "/livez", "/readyz", "/openapi.json"])
def test_overviews_are_as_described(running: Served, path: str) -> None:
    """Every field of an answer is in its schema, with its type; the schemas allow no others."""
    reply = running.get(path)
    assert reply.status == 200
    _check(running, reply, path)


def test_tokens_and_calls_are_as_described(running: Served) -> None:
    """A read, an issue, and everything that is posted answer in the shape that the document gives."""
    running.engine.plan = [{"name": "demo", "action": "unchanged"}]
    _check(running, running.get("/v1/tokens/demo"), "/v1/tokens/{name}")
    posts: list[tuple[str, str, Any]] = [
        ("demo", "refresh", None),
        ("wallet", "issue", {"amount": "1"}),
        ("demo", "request-id", None),
        ("demo", "forget", None),
    ]
    for name, call, body in posts:
        reply = running.post(f"/v1/tokens/{name}/{call}", body)
        assert reply.status in (200, 201)
        _check(running, reply, f"/v1/tokens/{{name}}/{call}", "post")
    _check(running, running.post("/v1/reload"), "/v1/reload", "post")


def test_problems_are_as_described(running: Served) -> None:
    """Refusals have one shape, whatever was refused; not being ready has its own."""
    for path in ("/v1/tokens/none", "/v1/tokens/demo?min_ttl=5", "/v1/tokens/wallet"):
        reply = running.get(path)
        assert reply.status >= 400
        _check(running, reply, "/v1/tokens/{name}")
    running.engine.ready = False
    _check(running, running.get("/readyz"), "/readyz")
