"""List, status, health, counts, metrics, audit lines and the description: the daemon as a whole, without secrets."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from tests.api.fake_engine import RAW, START, FakeEngine
from tests.api.served import Served, logged, served
from tokend import __version__
from tokend.api.metrics_page import MetricsPage
from tokend.engine.context.counters import Counters
from tokend.values.status import Failure, SinkStatus, State


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
        "sinks": (SinkStatus("raw", "raw-1", "/run/x", "/run/x", "failing", True, None, "no space"),),
    }
    running.config_error = "c.toml:1:1: bad"
    status = running.get("/v1/status").json
    assert (status["version"], status["ready"]) == (1, True)
    assert status["config"] == {"loaded_at": "2025-01-01T00:00:00Z", "error": "c.toml:1:1: bad"}
    row = next(one for one in status["tokens"] if one["name"] == "demo")
    listed = next(one for one in running.get("/v1/tokens").json["tokens"] if one["name"] == "demo")
    more = {"required", "seconds_left", "failures", "last_error", "next_attempt_at", "sinks"}
    assert row == {**listed, **{key: row[key] for key in more}}
    assert row["seconds_left"] == 3600.0
    assert row["required"] is True
    assert row["failures"] == 2
    assert row["last_error"] == {"class": "transient", "detail": "timed out", "at": "2025-01-01T00:00:05Z"}
    assert row["next_attempt_at"] == "2025-01-01T00:00:05Z"
    assert row["sinks"] == [
        {
            "kind": "raw",
            "target": "/run/x",
            "path": "/run/x",
            "state": "failing",
            "last_success_at": None,
            "error": "no space",
        }
    ]


def test_a_standing_remark_is_a_note_in_status(running: Served) -> None:
    """Only where there is one: the documented row has no such key."""
    running.engine.entries["demo"].changes = {"note": "cannot be renewed"}
    rows = {one["name"]: one for one in running.get("/v1/status").json["tokens"]}
    assert rows["demo"]["note"] == "cannot be renewed"
    assert "note" not in rows["wallet"]


def test_health_follows_the_engine(running: Served) -> None:
    """livez is 200 while anything answers; readyz is the engine's word."""
    assert running.get("/livez").status == 200
    assert running.get("/readyz").json == {"ready": True}
    running.engine.ready = False
    reply = running.get("/readyz")
    assert (reply.status, reply.json) == (503, {"ready": False})


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


def test_auditing_can_begin_while_we_run(running: Served) -> None:
    """A reload that sets the log level to debug counts for request texts that were recognised before, too."""
    for _ in range(3):
        assert running.get("/v1/tokens/demo").status == 200
    with logged() as lines:
        running.inside(lambda: running.server.service.audit(True))
        assert running.get("/v1/tokens/demo").status == 200
        running.inside(lambda: running.server.service.audit(False))
        assert running.get("/v1/tokens/demo").status == 200
    assert [one["event"] for one in lines] == ["client.read"]
    assert running.inside(running.server.service.requests)["demo", 200] == 5


def test_metrics_are_rendered_for_what_the_peer_may_read(tmp_path: Path) -> None:
    """The page comes from the given function, which is told the visible names."""
    engine = FakeEngine()
    engine.hold("demo")

    async def page(names):
        return f"tokens {','.join(names)}\n".encode()

    with served(tmp_path, engine, metrics=page) as running:
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


def test_the_metrics_page_has_every_documented_name() -> None:
    """Each name with its labels; only visible tokens, and the requests that named none."""
    engine, counters = FakeEngine(), Counters()
    entry, _ = engine.hold("demo"), engine.hold("hidden")
    engine.offer("wallet")
    entry.changes = {"sinks": (SinkStatus("raw", "raw-1", "/run/x", "/run/x", "ok", True, START.wall, None),)}
    counters.refreshed("demo", "success")
    counters.failed("demo", "transient")
    counters.took("demo", 0.5)
    counters.wrote("demo", "raw-1", "success")
    requests = {("demo", 200): 3, ("hidden", 200): 9, ("", 404): 1}
    exposition = MetricsPage(engine, counters, lambda: requests, lambda: True, lambda: 2)
    page = asyncio.run(exposition.page(["demo", "wallet"])).decode()
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
        "tokend_state_unsaved": 2,
        f'tokend_build_info{{version="{__version__}"}}': 1,
    }
    lines = dict(line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
    assert {key: float(lines[key]) for key in expected} == expected
    assert "hidden" not in page
    assert 'tokend_token_valid{token="wallet"}' not in page  # on demand nothing is held: an alert on 0 must not fire
