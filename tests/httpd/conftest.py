"""Servers that these tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.conftest import running
from tests.httpd.loopback_port import Port, listening

__all__ = ["port", "running"]


@pytest.fixture
def port(tmp_path: Path) -> Iterator[Port]:
    """A loopback port on 127.0.0.1."""
    with listening(tmp_path) as one:
        yield one
