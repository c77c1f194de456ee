"""A home per test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.daemon.harness import Home, at_home


@pytest.fixture
def home() -> Iterator[Home]:
    """A directory, secrets that the sandbox accepts, and the sandbox."""
    with at_home() as one:
        yield one


@pytest.fixture
def make_home() -> Iterator[Callable[..., Home]]:
    """The same with the sandbox's options as keywords."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(at_home(**options))
