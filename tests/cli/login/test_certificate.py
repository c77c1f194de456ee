"""A certificate for one login."""

from pathlib import Path

import pytest

from tests.cli.running import eventually
from tokend.cli.login.certificate import server_context


def test_each_login_has_another_certificate_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is in memory only, and no descriptor of it stays."""
    monkeypatch.chdir(tmp_path)
    server_context()  # imports
    before = len(list(Path("/proc/self/fd").iterdir()))
    prints = {server_context()[1] for _ in range(3)}
    assert len(prints) == 3
    assert {len(one) for one in prints} == {64}
    # Fewer, where a thread of another test has closed one meanwhile; more, while one has another open.
    assert eventually(lambda: len(list(Path("/proc/self/fd").iterdir())) <= before)
    assert list(tmp_path.iterdir()) == []
