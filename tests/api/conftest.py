"""A server with a held and an on-demand token, for every test here."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.fake_engine import FakeEngine
from tests.httpd.served import Served, served


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Served]:
    """`demo` is held, `wallet` on demand; the peer is root or the daemon's uid, so it may do everything."""
    engine = FakeEngine()
    engine.hold("demo")
    engine.offer("wallet")
    with served(tmp_path, engine) as running:
        yield running
