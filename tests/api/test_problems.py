"""Problem documents for errors of the engine and of the configuration."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.api.described import NAMED, agrees
from tests.api.fake_engine import START
from tests.httpd.served import Served
from tokend.values import errors


def test_problems_are_as_described(running: Served) -> None:
    """Refusals have one shape, whatever was refused; not being ready has its own."""
    for path in ("/v1/tokens/none", "/v1/tokens/demo?min_ttl=5", "/v1/tokens/wallet"):
        reply = running.get(path)
        assert reply.status >= 400
        agrees(running, reply, NAMED)
    agrees(running, running.get("/v1/tokens/demo", Accept="image/png"), NAMED)
    agrees(running, running.get("/v1/tokens/demo", Origin="x"), NAMED)
    agrees(running, running.get("/v1/events", Last_Event_ID="x"), "/v1/events")
    agrees(running, running.post("/v1/tokens/demo/refresh", {}, Content_Type="text/plain"), f"{NAMED}/refresh", "post")
    agrees(running, running.post("/v1/tokens/wallet/issue", {"a": 1}), f"{NAMED}/issue", "post")
    agrees(running, running.post("/v1/tokens/wallet/issue", b"x" * 70_000), f"{NAMED}/issue", "post")
    agrees(running, running.get("/livez", X="y" * 17_000), "/livez")
    running.engine.ready = False
    agrees(running, running.get("/readyz"), "/readyz")


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
    agrees(running, running.post("/v1/tokens/demo/refresh"), f"{NAMED}/refresh", "post")


def test_a_refused_configuration_is_as_described(running: Served) -> None:
    """422, with each mistake and its place, or none."""
    error = errors.ConfigError("two errors")
    mistake = SimpleNamespace(file=Path("/etc/c.toml"), line=3, column=7, message="unknown key")
    for found in ((mistake, SimpleNamespace(file=None, line=None, column=None, message="cannot be read")), ()):
        error.errors = found  # type: ignore[attr-defined]  # as `InvalidConfigError` has it
        running.engine.raises = error
        reply = running.post("/v1/reload")
        assert reply.status == 422
        agrees(running, reply, "/v1/reload", "post")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.ThrottledError("too early", retry_at=START.wall.timestamp() + 90), 429, "rate_limited"),
        (errors.GenerationConflictError("above"), 409, "generation_conflict"),
        (errors.TokenUnavailableError("failed"), 503, "token_unavailable"),
        (errors.LoginRequiredError("rejected"), 503, "login_required"),
        (errors.WaitTimeoutError("30 s"), 504, "timeout"),
        (errors.UnknownTokenError("gone"), 404, "unknown_token"),
    ],
)
def test_the_engines_refusals_become_problems(running: Served, error: Exception, status: int, code: str) -> None:
    """Each class has its status and code; retry_at comes with Retry-After."""
    running.engine.raises = error
    reply = running.post("/v1/tokens/demo/refresh")
    assert (reply.status, reply.code) == (status, code)
    if status == 429:
        assert reply.json["retry_at"] == "2025-01-01T00:01:30Z"
        assert reply.headers["retry-after"] == "90"


def test_field_errors_of_an_issue_pass_through(running: Served) -> None:
    """InvalidParametersError is bad_request with "errors"."""
    running.engine.raises = errors.InvalidParametersError({"amount": ["missing"]})
    reply = running.post("/v1/tokens/wallet/issue", {"url": "/x"})
    assert (reply.status, reply.code, reply.json["errors"]) == (400, "bad_request", {"amount": ["missing"]})


def test_a_wrong_configuration_is_422_with_every_error(running: Served) -> None:
    """config_invalid lists file, line, column and message of each error."""
    error = errors.ConfigError("two errors")
    places = SimpleNamespace(file=Path("/etc/c.toml"), line=3, column=7, message="unknown key")
    unknown = SimpleNamespace(file=None, line=None, column=None, message="cannot be read")
    error.errors = (places, unknown)  # type: ignore[attr-defined]  # as `InvalidConfigError` has it
    running.engine.raises = error
    reply = running.post("/v1/reload")
    assert (reply.status, reply.code) == (422, "config_invalid")
    assert reply.json["errors"] == [
        {"file": "/etc/c.toml", "line": 3, "column": 7, "message": "unknown key"},
        {"file": None, "line": None, "column": None, "message": "cannot be read"},
    ]
