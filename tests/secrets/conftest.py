"""A home per test."""

from collections.abc import Iterator

import pytest

from tests.daemon.harness import Home, at_home


@pytest.fixture
def home() -> Iterator[Home]:
    """A directory, secrets that the sandbox accepts, and the sandbox."""
    with at_home() as one:
        yield one
