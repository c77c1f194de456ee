"""The page of GET /metrics."""

import asyncio
from collections import Counter
from pathlib import Path

from tests.api.fake_engine import START, FakeEngine
from tests.httpd.served import served
from tokend import __version__
from tokend.api.metrics_page import MetricsPage
from tokend.engine.context.counters import Counters
from tokend.values.status import LoginStatus, SinkStatus


def test_metrics_are_rendered_for_what_the_peer_may_read(tmp_path: Path) -> None:
    """The given function renders the page, from the visible names and the counts."""
    engine = FakeEngine()
    engine.hold("demo")

    async def page(names: list[str], requests: Counter[tuple[str, int]]) -> bytes:
        return f"tokens {','.join(names)}\n".encode()

    with served(tmp_path, engine, metrics=page) as running:
        reply = running.get("/metrics")
        assert reply.body == b"tokens demo\n"
        assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")


def test_the_metrics_page_has_every_documented_name() -> None:
    """Each name with its labels; only visible tokens, and the requests that named none."""
    engine, counters = FakeEngine(), Counters()
    entry, _ = engine.hold("demo"), engine.hold("hidden")
    engine.offer("wallet")
    sink = SinkStatus("raw", "raw-1", "/run/x", "/run/x", "ok", True, START.wall, None, generation=17)
    store = SinkStatus("vault", "vault-2", "vault:secret/app#token", None, "ok", True, None, None)
    pause = {"paused_until": START.after(60).wall, "paused_by": "api.example", "paused_token": "hidden"}
    login = LoginStatus("ok", "alice", START.wall, START.after(7 * 86400).wall, (), "tokend login demo")
    entry.changes = {**pause, "sinks": (sink, store), "login": login}
    counters.refreshed("demo", "success")
    counters.failed("demo", "transient")
    counters.took("demo", 0.5)
    counters.wrote("demo", "raw-1", "success")
    counters.drifted("demo", "raw-1")
    counters.sink_took("demo", "raw-1", 0.25)
    counters.sink_took("hidden", "raw-1", 0.25)
    requests = {("demo", 200): 3, ("hidden", 200): 9, ("", 404): 1}
    exposition = MetricsPage(engine, counters, lambda: True, lambda: 2)
    page = asyncio.run(exposition.page(["demo", "wallet"], requests)).decode()
    expected = {
        'tokend_token_expiry_timestamp_seconds{token="demo"}': START.after(3600).wall.timestamp(),
        'tokend_token_issued_timestamp_seconds{token="demo"}': START.wall.timestamp(),
        'tokend_token_next_refresh_timestamp_seconds{token="demo"}': START.after(3000).wall.timestamp(),
        'tokend_token_paused_until_timestamp_seconds{token="demo"}': START.after(60).wall.timestamp(),
        'tokend_login_expiry_timestamp_seconds{token="demo"}': START.after(7 * 86400).wall.timestamp(),
        'tokend_token_valid{token="demo"}': 1,
        'tokend_token_consecutive_failures{token="demo"}': 0,
        'tokend_token_refreshes_total{result="success",token="demo"}': 1,
        'tokend_token_refresh_errors_total{reason="transient",token="demo"}': 1,
        'tokend_token_refresh_duration_seconds_sum{token="demo"}': 0.5,
        'tokend_sink_writes_total{result="success",sink="raw-1",token="demo"}': 1,
        'tokend_sink_last_success_timestamp_seconds{sink="raw-1",token="demo"}': START.wall.timestamp(),
        'tokend_sink_generation{sink="raw-1",token="demo"}': 17,
        'tokend_sink_drifts_total{sink="raw-1",token="demo"}': 1,
        'tokend_sink_drifts_total{sink="vault-2",token="demo"}': 0,
        'tokend_sink_write_duration_seconds_sum{sink="raw-1",token="demo"}': 0.25,
        'tokend_sink_write_duration_seconds_count{sink="raw-1",token="demo"}': 1,
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
