"""The cost of a read with a prepared answer, counted in Python calls instead of timed."""

from pathlib import Path

from tests.api.fake_engine import RAW, FakeEngine
from tests.httpd.served import Served, logged, served


def test_reads_are_counted_by_token_and_status(running: Served) -> None:
    """Parsed and recognised reads count alike; unknown names count under no token."""
    for _ in range(5):
        running.get("/v1/tokens/demo")
    running.get("/v1/tokens/demo", If_None_Match='"17"')
    running.get("/v1/tokens/nope")
    counts = running.inside(running.service.requests)
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
        running.inside(lambda: running.service.audit(True))
        assert running.get("/v1/tokens/demo").status == 200
        running.inside(lambda: running.service.audit(False))
        assert running.get("/v1/tokens/demo").status == 200
    assert [one["event"] for one in lines] == ["client.read"]
    assert running.inside(running.service.requests)["demo", 200] == 5
