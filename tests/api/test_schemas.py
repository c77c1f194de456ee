"""Schemas of the answers, compared with real answers."""

from datetime import UTC, datetime
from typing import Any

import pytest
from jsonschema import ValidationError

from tests.api.described import NAMED, agrees, fits
from tests.httpd.served import Served
from tokend.values.status import ClientReports, Failure, HookStatus, SinkStatus, State, StatusWarning

AT = datetime(2025, 1, 1, 0, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize("path", ["/v1/tokens", "/v1/status", "/livez", "/readyz", "/openapi.json"])
def test_overviews_are_as_described(running: Served, path: str) -> None:
    """Every field of an answer is in its schema, with its type; the schemas allow no others."""
    reply = running.get(path)
    assert reply.status == 200
    agrees(running, reply, path)


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
            SinkStatus("raw", "raw-2", "/a", "/a", "conflict", True, AT, None, 1, 4242, HookStatus("idle", None)),
        ),
        "paused_until": AT,
        "paused_by": "api.example",
        "reports": ClientReports(1, AT, "other", 4242),
        "warnings": (StatusWarning("odd_secret", "key: it ends with spaces"),),
        "note": "cannot be renewed",
    }
    running.config_error = "c.toml:1:1: bad"
    reply = running.get("/v1/status")
    agrees(running, reply, "/v1/status")
    document = running.get("/openapi.json").json
    (row,) = [row for row in reply.json["tokens"] if row["name"] == "demo"]
    for more in ({"secret": 1}, {"last_error": {**row["last_error"], "body": ""}}, {"sinks": [{"kind": "raw"}]}):
        with pytest.raises(ValidationError):
            fits(document, "StatusRow", {**row, **more})


def test_tokens_and_calls_are_as_described(running: Served) -> None:
    """A read, an issue, and everything that is posted answer in the shape that the document gives."""
    running.engine.plan = [{"name": "demo", "action": "change"}]
    for headers in ({}, {"Accept": "text/plain"}, {"If_None_Match": '"17"'}):
        agrees(running, running.get("/v1/tokens/demo", **headers), NAMED)
    posts: list[tuple[str, str, Any]] = [
        ("demo", "refresh", None),
        ("wallet", "issue", {"amount": "1"}),
        ("demo", "request-id", None),
        ("wallet", "sign", {"method": "GET", "path": "/x", "query": {"a": "1"}}),
        ("demo", "forget", None),
        ("demo", "sync", {"take_over": True}),
        ("demo", "inspect", None),
    ]
    for name, call, body in posts:
        reply = running.post(f"/v1/tokens/{name}/{call}", body)
        assert reply.status in (200, 201)
        agrees(running, reply, f"{NAMED}/{call}", "post")
    running.engine.entries["wallet"].changes["state"] = State.REJECTED
    agrees(running, running.post("/v1/tokens/wallet/refresh"), f"{NAMED}/refresh", "post")
    agrees(running, running.post("/v1/reload"), "/v1/reload", "post")
