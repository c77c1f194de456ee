"""Reports to a user about a sink that fails, and about its recovery; the tables that these tests use."""

import time
from pathlib import Path
from typing import Any

from tests.behaviour.files.matrix import TEMPORARY
from tests.daemon.harness import Daemon, metric, until
from tests.daemon.tables import PARTNER

# A token that is minted here, as often as a test wants, into a place of its own; `PX` beside it asks an upstream.
MINTED = PARTNER.replace("out/", "disk/")


def another_second() -> None:
    """Wait for it: within one second the same token would be minted again."""
    now = int(time.time())
    until(lambda: int(time.time()) > now, "another second")


def mint(daemon: Daemon) -> dict[str, Any]:
    """Have a new token of ``partner``, and see that readers get it."""
    before = daemon.lease("partner")["generation"]
    another_second()

    def newer() -> dict[str, Any] | None:
        assert daemon.ask("POST", "/v1/tokens/partner/refresh").status == 200
        found = daemon.lease("partner")
        return found if found["generation"] > before else None

    return until(newer, "a new token") or {}


def fails(daemon: Daemon, *words: str, seconds: float = 20.0) -> dict[str, Any]:
    """Wait until status, metric, log and readyz say that the sink fails, in these words, and that nothing else does."""

    def look() -> dict[str, Any]:
        row = daemon.row("partner")
        (sink,) = row["sinks"]
        assert row["state"] == "valid"
        assert all(word in (sink["error"] or "") for word in words), sink
        return dict(sink)

    sink = until(look, f"a failure that says {words}", seconds=seconds)
    assert sink["state"] == "failing"
    assert sink["path"] in sink["error"] or str(Path(sink["path"]).parent) in sink["error"]
    until(lambda: metric(daemon, 'tokend_sink_writes_total{result="failure",sink="raw-1",token="partner"}') >= 1)
    assert daemon.get("/readyz").status == 503
    until(lambda: any(words[0] in line for line in daemon.log("sink.failed")), "the line in the log")
    until(lambda: words[0] in daemon.home.run("status").stdout, "tokend status that says so")
    # Nobody else's affair.
    until(lambda: daemon.row("px")["sinks"][0]["state"] == "ok", "the other sink")
    assert daemon.lease("px")
    return sink


def recovers(daemon: Daemon, seen: Path, *, seconds: float = 60.0) -> None:
    """Wait until the newest token is in the file, by itself; no temporary stays and no upstream was asked again."""

    def look() -> bool:
        assert seen.read_text() == daemon.lease("partner")["access_token"]
        assert daemon.row("partner")["sinks"][0]["error"] is None
        return daemon.get("/readyz").status == 200

    until(look, "recovery", seconds=seconds)
    assert not [path for path in seen.parent.iterdir() if TEMPORARY.fullmatch(path.name)]
    assert daemon.home.requests("projectx") == 1
