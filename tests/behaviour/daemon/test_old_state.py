"""A state that is older than the published files: generations never fall."""

import json
import shutil
import signal

from tests.daemon.harness import Home, until
from tests.daemon.tables import PX

TABLES = (
    PX
    + """
[[providers.px.sinks]]
kind = "json"
path = "out/px.json"

[[providers.px.sinks]]
kind = "raw"
path = "out/px.token"
"""
)


def test_an_older_state_does_not_bring_back_an_older_token(home: Home) -> None:
    """The state directory was full when the newer token was published; then the daemon was killed."""
    daemon = home.start(TABLES).settled()
    older = daemon.lease("px")["access_token"]
    tokens = home.path / "state" / "tokens"
    kept = home.path / "kept"
    shutil.copytree(tokens, kept)
    assert home.run("refresh", "px").returncode == 0
    newer = daemon.settled().lease("px")
    assert newer["access_token"] != older
    until(lambda: home.out("px.token").read_text() == newer["access_token"], "the newer token in the file")
    daemon.end(signal.SIGKILL)
    shutil.rmtree(tokens)
    kept.rename(tokens)
    again = home.start(TABLES)
    until(lambda: again.lease("px")["generation"] > newer["generation"], "a newer generation")
    again.settled()
    assert json.loads(home.out("px.json").read_text())["generation"] == again.lease("px")["generation"]
    assert home.out("px.token").read_text() == again.lease("px")["access_token"]
    assert len(again.log("token.outdated")) == 1
    assert home.requests("projectx") == 3
