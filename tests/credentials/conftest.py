"""An engine and the path of a socket."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.fake_engine import FakeEngine
from tests.credentials.server import place


@pytest.fixture
def engine() -> FakeEngine:
    """An engine that holds `demo`."""
    one = FakeEngine()
    one.hold("demo")
    return one


@pytest.fixture
def path() -> Iterator[Path]:
    """A path for the socket."""
    with place() as directory:
        yield directory / "s"
