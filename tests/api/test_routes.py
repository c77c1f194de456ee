"""What the socket answers, over a real Unix socket."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.api.fake_engine import RAW, START, FakeEngine
from tests.api.served import Served, eventually, logged, served
from tokend import __version__, errors
from tokend.api.exposition import Exposition
from tokend.metrics import Counters
from tokend.secret import Secret
from tokend.settings import Access
from tokend.status import Failure, SinkStatus, State
from tokend.tokens import Token


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Served]:
    engine = FakeEngine()
    engine.hold("demo")
    engine.offer("wallet")
    with served(tmp_path, engine) as running:
        yield running


def test_a_token_is_given_as_native_json_with_headers_ready_to_send(running: Served) -> None:
    """The native object plus "headers"; the ETag is the generation; nobody may cache it."""
    reply = running.get("/v1/tokens/demo")
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["etag"] == '"17"'
    assert reply.json == {
        "version": 1,
        "name": "demo",
        "access_token": RAW,
        "token_type": "Bearer",
        "issued_at": "2025-01-01T00:00:00Z",
        "expires_at": "2025-01-01T01:00:00Z",
        "expires_at_unix": 1735693200,
        "refresh_at": "2025-01-01T00:50:00Z",
        "generation": 17,
        "fingerprint": "0123456789ab",
        "headers": {"Authorization": f"Bearer {RAW}"},
    }


def test_headers_of_the_settings_lie_on_top_of_the_tokens_own(tmp_path: Path) -> None:
    """A header of the settings replaces the token's of the same name, whatever the case, and others are added."""
    engine = FakeEngine()
    engine.hold("demo", headers={"authorization": "Custom", "X-Account": "7"})
    with served(tmp_path, engine) as running:
        assert running.get("/v1/tokens/demo").json["headers"] == {"authorization": "Custom", "X-Account": "7"}


@pytest.mark.parametrize(
    ("accept", "plain"),
    [
        ("*/*", False),
        ("application/*", False),
        ("text/plain", True),
        ("text/*", True),
        ("text/plain, */*", True),
        ("application/json, text/plain, */*", False),
        ("application/json;q=0.1, text/plain;q=0.5", True),
        ("text/plain;q=0, application/json", False),
        ("TEXT/Plain; charset=utf-8", True),
    ],
)
def test_accept_chooses_between_json_and_the_raw_token(running: Served, accept: str, plain: bool) -> None:
    """text/plain is exactly the token without a newline; the higher q, then the more exact name, then JSON wins."""
    for _ in range(2):  # parsed, and recognised
        reply = running.get("/v1/tokens/demo", Accept=accept)
        assert reply.status == 200
        assert (reply.body == RAW.encode()) is plain
        assert reply.headers["content-type"].startswith("text/plain" if plain else "application/json")


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "image/*", "*/*;q=0"])
def test_an_accept_that_nothing_satisfies_is_406(running: Served, accept: str) -> None:
    """Neither JSON nor text acceptable: not_acceptable."""
    reply = running.get("/v1/tokens/demo", Accept=accept)
    assert (reply.status, reply.code) == (406, "not_acceptable")


@pytest.mark.parametrize("tag", ['"17"', 'W/"17"', '"1", "17"', "*"])
def test_a_known_generation_is_304(running: Served, tag: str) -> None:
    """If-None-Match with the present generation: 304, no body, the same ETag."""
    reply = running.get("/v1/tokens/demo", If_None_Match=tag)
    assert (reply.status, reply.body, reply.headers["etag"]) == (304, b"", '"17"')
    assert running.get("/v1/tokens/demo", If_None_Match='"16"').status == 200


def test_head_answers_like_get_without_the_body(running: Served) -> None:
    """HEAD has GET's status and headers."""
    reply, whole = running.ask("HEAD", "/v1/tokens/demo"), running.get("/v1/tokens/demo")
    assert reply.status == 200
    assert reply.headers == whole.headers


def test_min_ttl_asks_the_engine_for_a_fresh_enough_token(running: Served) -> None:
    """?min_ttl=60s is the engine's `fresh` in seconds, with the peer's rights."""
    assert running.get("/v1/tokens/demo?min_ttl=60s").json["access_token"] == RAW
    assert running.engine.calls == [("fresh", "demo", 60.0, True)]


@pytest.mark.parametrize("query", ["min_ttl=60", "min_ttl=", "min_ttl=0s", "ttl=5s", "min_ttl=5s&min_ttl=6s", "x"])
def test_a_wrong_query_is_400_and_asks_nothing(running: Served, query: str) -> None:
    """Bare numbers, unknown and repeated keys are refused."""
    reply = running.get(f"/v1/tokens/demo?{query}")
    assert (reply.status, reply.code) == (400, "bad_request")
    assert running.engine.calls == []


def test_an_expired_token_is_never_handed_out(running: Served) -> None:
    """After the expiry the answer is 503 with the next attempt, also for a request text that was answered before."""
    assert running.get("/v1/tokens/demo").status == 200
    assert running.get("/v1/tokens/demo").status == 200
    entry = running.engine.entries["demo"]
    entry.changes = {"next_attempt_at": START.after(3607.5).wall, "state": State.EXPIRED}
    running.engine.clock.now = START.after(3600)
    for headers in ({}, {"Accept": "text/plain"}, {"If_None_Match": '"17"'}):
        reply = running.get("/v1/tokens/demo", **headers)
        assert (reply.status, reply.code) == (503, "token_unavailable")
        assert reply.json["retry_at"] == "2025-01-01T01:00:08Z"
        assert reply.headers["retry-after"] == "8"
        assert RAW.encode() not in reply.body


@pytest.mark.parametrize("route", ["?min_ttl=1s", "/refresh"])
def test_an_expired_lease_from_the_engine_is_not_handed_on(running: Served, route: str) -> None:
    """Whatever the engine returns, an expired token does not leave the socket."""
    running.engine.clock.now = START.after(3601)
    reply = running.ask("GET" if "?" in route else "POST", f"/v1/tokens/demo{route}")
    assert (reply.status, reply.code) == (503, "token_unavailable")


@pytest.mark.parametrize("state", [State.REJECTED, State.LOGIN_REQUIRED])
def test_where_a_person_must_act_the_code_says_so(running: Served, state: State) -> None:
    """No valid token in state rejected or login_required: login_required, with the last error in words."""
    entry = running.engine.entries["demo"]
    entry.lease = None
    entry.changes = {"state": state, "last_error": Failure("rejected", "the vendor said no", START.wall)}
    reply = running.get("/v1/tokens/demo")
    assert (reply.status, reply.code) == (503, "login_required")
    assert "the vendor said no" in reply.json["detail"]
    assert "retry_at" not in reply.json


def test_a_new_generation_is_served_at_once(running: Served) -> None:
    """The prepared answer belongs to one lease: the next lease is the next answer, on an open connection too."""
    text = b"GET /v1/tokens/demo HTTP/1.1\r\nAccept: text/plain\r\n\r\n"
    with running.client() as client:
        for generation in range(20, 25):
            running.inside(lambda g=generation: running.engine.hold("demo", generation=g, value=f"fake-{g}"))
            for _ in range(2):
                client.send(text)
                reply = client.reply()
                assert (reply.body, reply.headers["etag"]) == (f"fake-{generation}".encode(), f'"{generation}"')


def test_a_removed_token_is_unknown_at_once(running: Served) -> None:
    """After a reload without the provider even a recognised request text finds nothing."""
    text = b"GET /v1/tokens/demo HTTP/1.1\r\n\r\n"
    with running.client() as client:
        for _ in range(3):
            client.send(text)
            assert client.reply().status == 200
        running.inside(lambda: running.engine.entries.pop("demo"))
        client.send(text)
        assert client.reply().status == 404


@pytest.mark.parametrize("path", ["/v1/tokens/nope", "/v1/tokens/..", "/v1/tokens/%2e%2e%2fstatus", "/v1/tokens/"])
def test_an_unknown_name_is_unknown_token(running: Served, path: str) -> None:
    """Names are looked up, never interpreted: traversal is just an unknown name."""
    reply = running.get(path)
    assert (reply.status, reply.code) == (404, "unknown_token")


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/tokens/demo/nope", "/v1/tokens/demo/refresh/x", "/v1/../v1/status"])
def test_an_unknown_path_is_404_but_not_about_tokens(running: Served, path: str) -> None:
    """A path that nobody has is bad_request with status 404: unknown_token is kept for tokens."""
    reply = running.get(path)
    assert (reply.status, reply.code) == (404, "bad_request")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/v1/tokens/demo", "GET, HEAD"),
        ("POST", "/v1/status", "GET, HEAD"),
        ("GET", "/v1/tokens/demo/refresh", "POST"),
        ("PUT", "/v1/reload", "POST"),
        ("OPTIONS", "/livez", "GET, HEAD"),
    ],
)
def test_a_foreign_verb_is_405_with_allow(running: Served, method: str, path: str, allow: str) -> None:
    """not_supported, and Allow lists what the path has."""
    reply = running.ask(method, path)
    assert (reply.status, reply.code, reply.headers["allow"]) == (405, "not_supported", allow)


def test_kinds_refuse_what_they_cannot_do(running: Served) -> None:
    """GET, refresh and forget of an on-demand token and issue of a held one: 405, and the detail shows the way."""
    reply = running.get("/v1/tokens/wallet")
    assert (reply.status, reply.code) == (405, "not_supported")
    assert "/v1/tokens/wallet/issue" in reply.json["detail"]
    assert "allow" in reply.headers
    for path in ("wallet/refresh", "wallet/forget", "demo/issue"):
        reply = running.post(f"/v1/tokens/{path}", {"a": "b"})
        assert (reply.status, reply.code) == (405, "not_supported")
    assert running.engine.calls == []


def test_refresh_passes_generation_and_reason_to_the_engine(running: Served) -> None:
    """The body is optional for admins; the answer is the token."""
    assert running.post("/v1/tokens/demo/refresh").json["generation"] == 17
    body = {"if_generation": 16, "reason": "unauthorized"}
    assert running.post("/v1/tokens/demo/refresh", body).json["access_token"] == RAW
    assert running.engine.calls == [
        ("refresh", "demo", None, "", True),
        ("refresh", "demo", 16, "unauthorized", True),
    ]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"if_generation": "17"}, "if_generation"),
        ({"if_generation": True}, "if_generation"),
        ({"if_generation": 1.5}, "if_generation"),
        ({"reason": 5}, "reason"),
        ({"reason": "x" * 201}, "reason"),
        ({"generation": 17}, "generation"),
    ],
)
def test_a_wrong_refresh_body_is_400_with_the_field(running: Served, body: Any, field: str) -> None:
    """Each error stands under its field."""
    reply = running.post("/v1/tokens/demo/refresh", body)
    assert (reply.status, reply.code) == (400, "bad_request")
    assert list(reply.json["errors"]) == [field]
    assert running.engine.calls == []


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"null",
        b'"x"',
        b"{",
        b"\xff",
        b'{"a":NaN}',
        b'{"a":"1","a":"2"}',
        b'{"a":"\\ud800"}',
        b"[" * 60000,
        b"9" * 6000,
    ],
)
def test_a_body_that_is_no_json_object_is_400(running: Served, body: bytes) -> None:
    """Lists, NaN, duplicates, lone surrogates, depth and endless numbers are refused alike."""
    for path in ("demo/refresh", "wallet/issue"):
        reply = running.post(f"/v1/tokens/{path}", body)
        assert (reply.status, reply.code) == (400, "bad_request")


def test_a_body_of_another_type_is_415(running: Served) -> None:
    """A body must say that it is JSON; a charset beside it is fine."""
    reply = running.post("/v1/tokens/demo/refresh", {}, Content_Type="application/x-www-form-urlencoded")
    assert (reply.status, reply.code) == (415, "unsupported_media_type")
    assert running.post("/v1/tokens/demo/refresh", {}, Content_Type="Application/JSON; charset=utf-8").status == 200


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


def test_issue_gives_a_token_in_the_same_shape_plus_extra(running: Served) -> None:
    """201, native keys, headers, and "extra" with its secrets revealed to who asked."""
    running.engine.issued = Token(
        Secret("fake-issued"),
        "Bearer",
        START,
        START.after(60),
        {"Authorization": Secret("Bearer fake-issued")},
        {"loginLink": Secret("https://fake.example/login"), "user": {"id": 7}},
    )
    reply = running.post("/v1/tokens/wallet/issue", {"amount": "0.001", "url": "/x"})
    held = running.get("/v1/tokens/demo").json
    assert reply.status == 201
    assert reply.json.keys() == held.keys() | {"extra"}
    assert reply.json["access_token"] == "fake-issued"
    assert reply.json["headers"] == {"Authorization": "Bearer fake-issued"}
    assert reply.json["extra"] == {"loginLink": "https://fake.example/login", "user": {"id": 7}}
    assert running.engine.calls == [("issue", "wallet", {"amount": "0.001", "url": "/x"})]


def test_issue_parameters_are_strings(running: Served) -> None:
    """Anything else is named field by field and reaches nobody; a missing body is an error too."""
    reply = running.post("/v1/tokens/wallet/issue", {"amount": 0.001, "url": "/x", "y": None})
    assert (reply.status, reply.code) == (400, "bad_request")
    assert reply.json["errors"] == {"amount": ["must be a string"], "y": ["must be a string"]}
    assert running.post("/v1/tokens/wallet/issue").status == 400
    assert running.engine.calls == []


def test_field_errors_of_an_issue_pass_through(running: Served) -> None:
    """InvalidParametersError is bad_request with "errors"."""
    running.engine.raises = errors.InvalidParametersError({"amount": ["missing"]})
    reply = running.post("/v1/tokens/wallet/issue", {"url": "/x"})
    assert (reply.status, reply.code, reply.json["errors"]) == (400, "bad_request", {"amount": ["missing"]})


def test_request_ids_are_made_per_call(running: Served) -> None:
    """The answer holds exactly the id; kinds that need none say so."""
    assert running.post("/v1/tokens/demo/request-id").json == {"request_id": "app-company--1"}
    running.engine.raises = errors.NotSupportedError("this kind needs no request ids")
    reply = running.post("/v1/tokens/demo/request-id")
    assert (reply.status, reply.code) == (405, "not_supported")


def test_forget_and_reload_are_for_admins_and_reach_the_engine(running: Served) -> None:
    """Forget names the token; reload answers the plan, dry or not."""
    running.engine.plan = ({"name": "demo", "action": "keep"},)
    assert running.post("/v1/tokens/demo/forget").status == 200
    plan = {"version": 1, "plan": [{"name": "demo", "action": "keep"}]}
    assert running.post("/v1/reload").json == plan
    assert running.post("/v1/reload?dry_run=true").json == plan
    assert running.post("/v1/reload?dry_run=maybe").status == 400
    assert running.engine.calls == [("forget", "demo"), ("reload", False), ("reload", True)]


def test_a_wrong_configuration_is_422_with_every_error(running: Served) -> None:
    """config_invalid lists file, line, column and message of each error."""
    error = errors.ConfigError("two errors")
    places = SimpleNamespace(file=Path("/etc/c.toml"), line=3, column=7, message="unknown key")
    error.errors = (places, SimpleNamespace(file=None, line=None, column=None, message="cannot be read"))  # type: ignore[attr-defined]
    running.engine.raises = error
    reply = running.post("/v1/reload")
    assert (reply.status, reply.code) == (422, "config_invalid")
    assert reply.json["errors"] == [
        {"file": "/etc/c.toml", "line": 3, "column": 7, "message": "unknown key"},
        {"file": None, "line": None, "column": None, "message": "cannot be read"},
    ]


def test_the_list_shows_rows_without_secrets(running: Served) -> None:
    """Exactly the documented keys, for every kind."""
    reply = running.get("/v1/tokens")
    assert RAW.encode() not in reply.body
    assert reply.json["version"] == 1
    rows = {one["name"]: one for one in reply.json["tokens"]}
    assert rows["demo"] == {
        "name": "demo",
        "kind": "fake",
        "state": "valid",
        "valid": True,
        "expires_at": "2025-01-01T01:00:00Z",
        "refresh_at": "2025-01-01T00:50:00Z",
        "generation": 17,
        "fingerprint": "0123456789ab",
    }
    assert rows["wallet"]["state"] == "on_demand"
    assert rows["wallet"]["generation"] is None


def test_status_tells_how_everything_fares(running: Served) -> None:
    """The row plus required, seconds_left, failures, last_error, next_attempt_at, sinks; and the configuration."""
    at = datetime(2025, 1, 1, 0, 0, 5, tzinfo=UTC)
    running.engine.entries["demo"].changes = {
        "state": State.FAILING,
        "failures": 2,
        "last_error": Failure("transient", "timed out", at),
        "next_attempt_at": at,
        "sinks": (SinkStatus("raw", "raw-1", "/run/x", "failing", True, None, "no space"),),
    }
    running.config_error = "c.toml:1:1: bad"
    status = running.get("/v1/status").json
    assert (status["version"], status["ready"]) == (1, True)
    assert status["config"] == {"loaded_at": "2025-01-01T00:00:00Z", "error": "c.toml:1:1: bad"}
    row = next(one for one in status["tokens"] if one["name"] == "demo")
    assert row["seconds_left"] == 3600.0
    assert row["required"] is True
    assert row["failures"] == 2
    assert row["last_error"] == {"class": "transient", "detail": "timed out", "at": "2025-01-01T00:00:05Z"}
    assert row["next_attempt_at"] == "2025-01-01T00:00:05Z"
    assert row["sinks"] == [
        {"kind": "raw", "path": "/run/x", "state": "failing", "last_success_at": None, "error": "no space"}
    ]


def test_health_follows_the_engine(running: Served) -> None:
    """livez is 200 while anything answers; readyz is the engine's word."""
    assert running.get("/livez").status == 200
    assert running.get("/readyz").json == {"ready": True}
    running.engine.ready = False
    reply = running.get("/readyz")
    assert (reply.status, reply.json) == (503, {"ready": False})


@pytest.mark.parametrize("header", ["Origin", "Referer", "Sec_Fetch_Site"])
@pytest.mark.parametrize("path", ["/v1/tokens/demo", "/livez"])
def test_web_pages_are_refused(running: Served, header: str, path: str) -> None:
    """A request with a browser's headers gets nothing, not even where the same path was just served."""
    assert running.get(path).status == 200
    reply = running.get(path, **{header: "x"})
    assert (reply.status, reply.code) == (403, "denied")


def test_a_bug_is_a_500_that_tells_nothing_and_harms_nobody(running: Served) -> None:
    """The connection survives, the answer and the log hold no value of the exception."""
    running.engine.raises = ZeroDivisionError("planted-fake-secret")
    with logged() as lines, running.client() as client:
        client.send(b"POST /v1/tokens/demo/refresh HTTP/1.1\r\n\r\n")
        reply = client.reply()
        assert (reply.status, reply.code) == (500, "internal")
        client.send(b"GET /livez HTTP/1.1\r\n\r\n")
        assert client.reply().status == 200
    assert "planted-fake-secret" not in f"{lines}{reply.body!r}"
    assert [(one["event"], one["error"]) for one in lines] == [("client.failed", "ZeroDivisionError")]
    assert "refresh_token:" in lines[0]["trace"]


def test_reads_are_counted_by_token_and_status(running: Served) -> None:
    """Parsed and recognised reads count alike; unknown names count under no token."""
    for _ in range(5):
        running.get("/v1/tokens/demo")
    running.get("/v1/tokens/demo", If_None_Match='"17"')
    running.get("/v1/tokens/nope")
    counts = running.inside(running.server.service.requests)
    assert {key: n for key, n in counts.items() if n} == {("demo", 200): 5, ("demo", 304): 1, ("", 404): 1}


def test_each_read_is_a_debug_line_where_that_is_wanted(tmp_path: Path) -> None:
    """With auditing, every read is logged with uid and token, and nothing is answered past the log."""
    engine = FakeEngine()
    engine.hold("demo")
    with logged() as lines, served(tmp_path, engine, audit_reads=True) as running:
        for _ in range(3):
            assert running.get("/v1/tokens/demo").status == 200
    reads = [(one["event"], one["log_level"], one["token"]) for one in lines]
    assert reads == [("client.read", "debug", "demo")] * 3
    assert RAW not in str(lines)


def test_metrics_are_rendered_for_what_the_peer_may_read(tmp_path: Path) -> None:
    """The page comes from the given function, which is told the visible names."""
    engine = FakeEngine()
    engine.hold("demo")
    with served(tmp_path, engine, metrics=lambda names: f"tokens {','.join(names)}\n".encode()) as running:
        reply = running.get("/metrics")
        assert reply.body == b"tokens demo\n"
        assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")


def test_openapi_lists_every_route(running: Served) -> None:
    """The description and the routing table name the same paths and methods."""
    from tokend.api.routes import PLACES, TOKEN_PLACES

    expected = {f"/{path}": set(methods) for path, methods in PLACES.items()}
    for tail, methods in TOKEN_PLACES.items():
        expected["/v1/tokens/{name}" + (f"/{tail}" if tail else "")] = set(methods)
    paths = running.get("/openapi.json").json["paths"]
    assert {path: {method.upper() for method in methods} for path, methods in paths.items()} == expected


def _waiting(running: Served) -> bool:
    return bool(running.inside(lambda: len(running.server.service.changes._waiting)))


def test_a_long_poll_answers_at_the_change(running: Served) -> None:
    """Prefer: wait with If-None-Match: 200 with the new token as soon as there is one."""
    with running.client() as client:
        client.send(b'GET /v1/tokens/demo HTTP/1.1\r\nPrefer: wait=30\r\nIf-None-Match: "17"\r\n\r\n')
        assert eventually(lambda: _waiting(running))
        running.inside(lambda: (running.engine.hold("demo", generation=18), running.engine.announce("demo")))
        assert client.reply().json["generation"] == 18
    assert running.get("/v1/tokens/demo", Prefer="wait=30").json["generation"] == 18


def test_a_long_poll_that_runs_out_is_304_or_504(running: Served) -> None:
    """With If-None-Match nothing new is 304; without it no valid token is 504."""
    assert running.get("/v1/tokens/demo", Prefer="wait=0", If_None_Match='"17"').status == 304
    running.engine.entries["demo"].lease = None
    reply = running.get("/v1/tokens/demo", Prefer="respond-async, wait=0")
    assert (reply.status, reply.code) == (504, "timeout")


def test_a_long_poll_dies_with_its_client(running: Served) -> None:
    """A client that leaves frees what waited for it."""
    client = running.client()
    client.send(b'GET /v1/tokens/demo HTTP/1.1\r\nPrefer: wait=300\r\nIf-None-Match: "17"\r\n\r\n')
    assert eventually(lambda: _waiting(running))
    client.close()
    assert eventually(lambda: not _waiting(running))
    assert eventually(lambda: running.server.connections == 0)


def _events(client: Any, count: int) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    current: dict[str, str] = {}
    while len(found) < count:
        line = client.file.readline().decode()
        assert line, "the stream ended"
        if line == "\n" and current:
            found.append(current)
            current = {}
        elif ": " in line and not line.startswith(":"):
            key, _, value = line.rstrip("\n").partition(": ")
            current[key] = value
    return found


def test_events_tell_new_generations_and_states_and_can_be_resumed(running: Served) -> None:
    """token and state events with rising integer ids and rows as data; Last-Event-ID continues after that one."""
    with running.client() as client:
        client.send(b"GET /v1/events HTTP/1.1\r\n\r\n")
        head = client.reply(head_only=True)
        assert (head.status, head.headers["content-type"]) == (200, "text/event-stream")
        assert eventually(lambda: _waiting(running))
        running.inside(lambda: (running.engine.hold("demo", generation=18), running.engine.announce("demo")))
        running.inside(lambda: running.engine.entries["demo"].changes.update(state=State.FAILING))
        running.inside(lambda: running.engine.announce("demo"))
        running.inside(lambda: running.server.service.changes.config_changed({"error": None}))
        events = _events(client, 3)
    assert [event["event"] for event in events] == ["token", "state", "config"]
    rows = [json.loads(event["data"]) for event in events]
    assert (rows[0]["name"], rows[0]["generation"], rows[1]["state"]) == ("demo", 18, "failing")
    assert RAW not in str(events)
    ids = [int(event["id"]) for event in events]
    assert ids == sorted(set(ids))
    with running.client() as client:
        client.send(f"GET /v1/events HTTP/1.1\r\nLast-Event-ID: {ids[0]}\r\n\r\n".encode())
        client.reply(head_only=True)
        assert _events(client, 2) == events[1:]


def test_events_from_before_a_restart_are_replaced_by_the_present(running: Served) -> None:
    """An id that this run does not know gets the present rows, with higher ids."""
    with running.client() as client:
        client.send(b"GET /v1/events HTTP/1.1\r\nLast-Event-ID: 5\r\n\r\n")
        client.reply(head_only=True)
        events = _events(client, 2)
    assert [json.loads(event["data"])["name"] for event in events] == ["demo", "wallet"]
    assert 5 < int(events[0]["id"]) < int(events[1]["id"])
    assert running.get("/v1/events", Last_Event_ID="x").status == 400


def test_what_has_effects_is_finished_without_its_client(running: Served) -> None:
    """A client that leaves during a POST does not interrupt it."""
    running.inside(lambda: setattr(running.engine, "gate", asyncio.Event()))
    gate = running.engine.gate
    assert gate is not None
    client = running.client()
    client.send(b"POST /v1/tokens/demo/refresh HTTP/1.1\r\n\r\n")
    assert eventually(lambda: bool(running.engine.calls))
    client.close()
    assert running.get("/livez").status == 200
    running.inside(gate.set)
    assert eventually(lambda: running.inside(running.server.service.requests).get(("demo", 200), 0) == 1)
    assert eventually(lambda: running.server.connections == 0)


def test_access_hides_tokens_as_if_they_were_not_there(tmp_path: Path) -> None:
    """For who may not read, hidden and missing names answer alike, and lists and status leave them out."""
    engine = FakeEngine()
    engine.hold("hidden", access=Access(users=("nobody-like-this",)))
    engine.hold("demo")
    engine.offer("secret-wallet", access=Access(groups=("4294967000",)))
    with served(tmp_path, engine, admins=(), own_uid=54321) as running:
        running.inside(lambda: setattr(running.server.service.rules, "_almighty", frozenset()))
        for path in ("", "/refresh", "/issue", "/request-id", "/forget"):
            method = "POST" if path else "GET"
            for name in ("hidden", "secret-wallet"):
                hidden = running.ask(method, f"/v1/tokens/{name}{path}")
                missing = running.ask(method, f"/v1/tokens/{'x' * len(name)}{path}")
                assert hidden.status == missing.status == 404
                assert hidden.body.replace(name.encode(), b"") == missing.body.replace(b"x" * len(name), b"")
                assert hidden.headers == missing.headers
        for path in ("/v1/tokens", "/v1/status"):
            assert [one["name"] for one in running.get(path).json["tokens"]] == ["demo"]
        for path in ("/v1/reload", "/v1/tokens/demo/forget", "/v1/tokens/demo/refresh"):
            reply = running.post(path)
            assert (reply.status, reply.code) == (403, "denied")
        assert running.post("/v1/tokens/demo/refresh", {"if_generation": 1}).status == 200
        running.config_error = "c.toml:1:1: [providers.hidden]"
        assert "hidden" not in running.get("/v1/status").json["config"]["error"]
        assert running.engine.calls == [("refresh", "demo", 1, "", False)]


def test_the_metrics_page_has_every_documented_name() -> None:
    """Each name with its labels; only visible tokens, and the requests that named none."""
    engine, counters = FakeEngine(), Counters()
    entry, _ = engine.hold("demo"), engine.hold("hidden")
    entry.changes = {"sinks": (SinkStatus("raw", "raw-1", "/run/x", "ok", True, START.wall, None),)}
    counters.refreshed("demo", "success")
    counters.failed("demo", "transient")
    counters.took("demo", 0.5)
    counters.wrote("demo", "raw-1", "success")
    requests = {("demo", 200): 3, ("hidden", 200): 9, ("", 404): 1}
    page = Exposition(engine, counters, lambda: requests, lambda: True).page(["demo"]).decode()
    expected = {
        'tokend_token_expiry_timestamp_seconds{token="demo"}': START.after(3600).wall.timestamp(),
        'tokend_token_issued_timestamp_seconds{token="demo"}': START.wall.timestamp(),
        'tokend_token_next_refresh_timestamp_seconds{token="demo"}': START.after(3000).wall.timestamp(),
        'tokend_token_valid{token="demo"}': 1,
        'tokend_token_consecutive_failures{token="demo"}': 0,
        'tokend_token_refreshes_total{result="success",token="demo"}': 1,
        'tokend_token_refresh_errors_total{reason="transient",token="demo"}': 1,
        'tokend_token_refresh_duration_seconds_sum{token="demo"}': 0.5,
        'tokend_sink_writes_total{result="success",sink="raw-1",token="demo"}': 1,
        'tokend_sink_last_success_timestamp_seconds{sink="raw-1",token="demo"}': START.wall.timestamp(),
        'tokend_client_requests_total{code="200",token="demo"}': 3,
        'tokend_client_requests_total{code="404",token=""}': 1,
        "tokend_config_last_reload_successful": 1,
        f'tokend_build_info{{version="{__version__}"}}': 1,
    }
    lines = dict(line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
    assert {key: float(lines[key]) for key in expected} == expected
    assert "hidden" not in page
