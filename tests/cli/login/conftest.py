"""The socket with hand-made logins, for every test here."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.login.logging_in import Logging, logging_in


@pytest.fixture
def logins(tmp_path: Path) -> Iterator[Logging]:
    with logging_in(tmp_path) as made:
        yield made
