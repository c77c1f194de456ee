"""Logins as values."""

from tests.engine.records.test_login_states import LOGIN, NOW
from tokend.values.logins import Granted
from tokend.values.secret import Secret


def test_no_repr_shows_a_secret() -> None:
    """Neither the refresh token nor what a refresh repeats."""
    granted = Granted("https://login.example:443", NOW, refresh_token=Secret("fake-refresh"))
    for one in (LOGIN, granted):
        assert "fake-refresh" not in repr(one)
        assert "Secret(hidden)" in repr(one)
    assert dict(granted.parameters) == {}
