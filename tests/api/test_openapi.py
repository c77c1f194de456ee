"""The description for machines, compared with what is really answered."""

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from tests.api.described import fits, is_described
from tests.api.fake_engine import START, FakeEngine
from tests.httpd.served import Reply, Served, served
from tokend.api.openapi import description
from tokend.httpd.problem import PROBLEM_TYPE
from tokend.plugin.settings_base import parse_duration
from tokend.values import errors
from tokend.values.status import Failure, SinkStatus, State

NAMED = "/v1/tokens/{name}"
AT = datetime(2025, 1, 1, 0, 0, 5, tzinfo=UTC)


def _check(running: Served, reply: Reply, path: str, method: str = "get") -> None:
    is_described(running.get("/openapi.json").json, reply, method, path)


@pytest.mark.parametrize("path", ["/v1/tokens", "/v1/status", "/livez", "/readyz", "/openapi.json"])
def test_overviews_are_as_described(running: Served, path: str) -> None:
    """Every field of an answer is in its schema, with its type; the schemas allow no others."""
    reply = running.get(path)
    assert reply.status == 200
    _check(running, reply, path)


def test_a_status_of_everything_that_can_go_wrong_is_as_described(running: Served) -> None:
    """Every field that is mostly null, missing or empty, with something in it."""
    running.engine.entries["demo"].changes = {
        "state": State.FAILING,
        "failures": 2,
        "last_error": Failure("transient", "timed out", AT),
        "next_attempt_at": AT,
        "sinks": (
            SinkStatus("raw", "raw-1", "/run/x", "/run/x", "failing", True, None, "no space"),
            SinkStatus("json", "json-1", "/run/y", "/run/y", "ok", True, AT, None),
            SinkStatus("socket", "socket-1", "/run/z", "/run/z", "pending", False, None, None),
        ),
        "note": "cannot be renewed",
    }
    running.config_error = "c.toml:1:1: bad"
    reply = running.get("/v1/status")
    _check(running, reply, "/v1/status")
    document = running.get("/openapi.json").json
    (row,) = [row for row in reply.json["tokens"] if row["name"] == "demo"]
    for more in ({"secret": 1}, {"last_error": {**row["last_error"], "body": ""}}, {"sinks": [{"kind": "raw"}]}):
        with pytest.raises(ValidationError):
            fits(document, "StatusRow", {**row, **more})


def test_tokens_and_calls_are_as_described(running: Served) -> None:
    """A read, an issue, and everything that is posted answer in the shape that the document gives."""
    running.engine.plan = [{"name": "demo", "action": "change"}]
    for headers in ({}, {"Accept": "text/plain"}, {"If_None_Match": '"17"'}):
        _check(running, running.get("/v1/tokens/demo", **headers), NAMED)
    posts: list[tuple[str, str, Any]] = [
        ("demo", "refresh", None),
        ("wallet", "issue", {"amount": "1"}),
        ("demo", "request-id", None),
        ("demo", "forget", None),
    ]
    for name, call, body in posts:
        reply = running.post(f"/v1/tokens/{name}/{call}", body)
        assert reply.status in (200, 201)
        _check(running, reply, f"{NAMED}/{call}", "post")
    _check(running, running.post("/v1/reload"), "/v1/reload", "post")


def test_problems_are_as_described(running: Served) -> None:
    """Refusals have one shape, whatever was refused; not being ready has its own."""
    for path in ("/v1/tokens/none", "/v1/tokens/demo?min_ttl=5", "/v1/tokens/wallet"):
        reply = running.get(path)
        assert reply.status >= 400
        _check(running, reply, NAMED)
    _check(running, running.get("/v1/tokens/demo", Accept="image/png"), NAMED)
    _check(running, running.get("/v1/tokens/demo", Origin="x"), NAMED)
    _check(running, running.get("/v1/events", Last_Event_ID="x"), "/v1/events")
    _check(running, running.post("/v1/tokens/demo/refresh", {}, Content_Type="text/plain"), f"{NAMED}/refresh", "post")
    _check(running, running.post("/v1/tokens/wallet/issue", {"a": 1}), f"{NAMED}/issue", "post")
    _check(running, running.post("/v1/tokens/wallet/issue", b"x" * 70_000), f"{NAMED}/issue", "post")
    _check(running, running.get("/livez", X="y" * 17_000), "/livez")
    running.engine.ready = False
    _check(running, running.get("/readyz"), "/readyz")


@pytest.mark.parametrize(
    "error",
    [
        errors.ThrottledError("too early", retry_at=START.wall.timestamp() + 90),
        errors.GenerationConflictError("above"),
        errors.TokenUnavailableError("failed", retry_at=START.wall.timestamp() + 90),
        errors.LoginRequiredError("rejected"),
        errors.WaitTimeoutError("30 s"),
        errors.NotSupportedError("not this kind"),
        ZeroDivisionError("a bug"),
    ],
)
def test_what_the_engine_refuses_is_as_described(running: Served, error: Exception) -> None:
    """429, 409, 503, 504, 405 and 500, with Retry-After and Allow."""
    running.engine.raises = error
    _check(running, running.post("/v1/tokens/demo/refresh"), f"{NAMED}/refresh", "post")


def test_a_refused_configuration_is_as_described(running: Served) -> None:
    """422, with each mistake and its place, or none."""
    error = errors.ConfigError("two errors")
    mistake = SimpleNamespace(file=Path("/etc/c.toml"), line=3, column=7, message="unknown key")
    for found in ((mistake, SimpleNamespace(file=None, line=None, column=None, message="cannot be read")), ()):
        error.errors = found  # type: ignore[attr-defined]  # as `InvalidConfigError` has it
        running.engine.raises = error
        reply = running.post("/v1/reload")
        assert reply.status == 422
        _check(running, reply, "/v1/reload", "post")


def test_no_status_is_left_to_guessing() -> None:
    """No `default`: each operation lists what it can answer, and every problem has its own response."""
    for loopback in (False, True):
        document = description(loopback=loopback)
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                statuses = operation["responses"].keys()
                assert {"400", "403", "413", "431", "500"} <= statuses, path
                assert all(status.isdigit() for status in statuses), path
                assert ("401" in statuses) == (loopback and path not in ("/livez", "/readyz")), path
                assert ("415" in statuses) == (method == "post"), path
        for response in document["components"]["responses"].values():
            assert list(response["content"]) == [PROBLEM_TYPE]


def test_the_document_is_openapi_3_1_and_the_ports_asks_for_its_secret() -> None:
    """Only the port's: a client made from the socket's document would look for a secret that is not there."""
    socket, port = description(loopback=False), description(loopback=True)
    assert socket["openapi"] == port["openapi"] == "3.1.0"
    assert "security" not in socket
    assert "securitySchemes" not in socket["components"]
    (scheme,) = port["components"]["securitySchemes"]
    assert port["security"] == [{scheme: []}]
    assert port["paths"]["/livez"]["get"]["security"] == port["paths"]["/readyz"]["get"]["security"] == []
    assert "security" not in port["paths"]["/v1/tokens"]["get"]
    json.dumps(port)


@pytest.mark.parametrize("text", ["1s", "500ms", "99999999999ms", "99999999s", "999999m", "9999h", "999d"])
def test_durations_that_the_document_allows_are_taken(text: str) -> None:
    """And what it does not is nonsense, or a decade."""
    parameters = description(loopback=False)["paths"][NAMED]["get"]["parameters"]
    (schema,) = [parameter["schema"] for parameter in parameters if parameter["name"] == "min_ttl"]
    described = Draft202012Validator(schema)
    assert described.is_valid(text)
    assert parse_duration(text)
    for wrong in ("", "5", "0s", "1 s", "s", "1w", "-1s", "1.5s", "١s"):
        assert not described.is_valid(wrong)


def test_a_hidden_token_is_described_like_one_that_is_not_there(tmp_path: Path) -> None:
    """The document is the same for everybody, and names no token."""
    engine = FakeEngine()
    engine.hold("obviously-secret-name")
    with served(tmp_path, engine) as running:
        assert b"obviously-secret-name" not in running.get("/openapi.json").body
