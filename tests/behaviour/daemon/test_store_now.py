"""A store in the real daemon: status, events and metrics of it, `sync`, `inspect`, and what they show of secrets."""

import json
import sys
from collections.abc import Iterator

import pytest

from tests.daemon.harness import Daemon, Home
from tests.daemon.tables import PARTNER
from tests.daemon.test_remote_sink import ROOT, SINK, WITH_STORE
from tests.publishing_sinks import PASSWORD, Store, listening


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def daemon(home: Home, store: Store) -> Iterator[Daemon]:
    home.secret("store", PASSWORD)
    with listening(store) as url:
        home.write(PARTNER, SINK % url)
        daemon = home.start(wrap=(sys.executable, "-c", WITH_STORE), PYTHONPATH=str(ROOT))
        yield daemon.settled()


def test_a_store_is_written_and_looked_at_when_a_person_asks(home: Home, daemon: Daemon, store: Store) -> None:
    """A changed value is reported; a sync writes it again. The upstream is not asked, and no secret is shown."""
    lease, token = daemon.lease("partner"), daemon.lease("partner")["access_token"]
    row = daemon.row("partner")["sinks"][1]
    assert (row["label"], row["generation"], row["store_version"]) == ("store-2", lease["generation"], "1")
    assert (row["drift"], row["remark"], row["path"]) == (None, "last writer wins", None)
    assert ", generation " in home.run("status", "partner").stdout
    store.held["app"] = (7, "planted-fake-other-value")
    shown = home.run("status", "partner", "--inspect")
    assert "version 1, last writer wins, looked at: changed by another writer\n" in shown.stdout
    assert store.held["app"][0] == 7
    done = home.run("sync", "partner", "--sink", "store-2")
    assert (done.returncode, store.held["app"]) == (0, (2, token))
    assert done.stdout.startswith("store-2: store:app, written 0 s ago, generation ")
    assert "looked at: as it must be\n" in home.run("status", "partner", "--inspect").stdout
    assert daemon.lease("partner") == lease
    page = daemon.get("/metrics").body.decode()
    lines = dict(line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
    for name, number in (("generation", lease["generation"]), ("drifts_total", 1), ("write_duration_seconds_count", 2)):
        assert float(lines[f'tokend_sink_{name}{{sink="store-2",token="partner"}}']) == number
    seen = home.log.read_text() + shown.stdout + done.stdout + json.dumps(daemon.status()) + page
    for secret in (PASSWORD, token, "planted-fake-other-value"):
        assert secret not in seen


def test_a_store_that_fails_is_exit_code_1(home: Home, daemon: Daemon, store: Store) -> None:
    """The error is of one line without the store's answer."""
    store.failing = 500
    done = home.run("sync", "partner")
    assert done.returncode == 1
    assert "store-2: store:app, failing: the store answered 500" in done.stdout
    assert PASSWORD not in done.stdout + json.dumps(daemon.status())
