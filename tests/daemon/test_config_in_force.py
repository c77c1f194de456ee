"""The configuration in force, and its subscribers."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.config.written import PARTNER, TT, loaded, written
from tokend.config import Config
from tokend.daemon.config_in_force import ConfigInForce

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def configs(tmp_path: Path) -> tuple[Config, Config]:
    """Two different configurations."""
    return (loaded(written(tmp_path, PARTNER)), loaded(written(tmp_path, TT)))


def test_a_refused_configuration_leaves_the_old_one_in_force(configs: tuple[Config, Config]) -> None:
    """The operator's text is kept for status; the event has one word, because the text may name files."""
    current = ConfigInForce(configs[0], FIRST)
    current.refuse("/etc/tokend/config.toml:3: unknown key")
    assert current.config is configs[0]
    assert current.state() == (FIRST, "/etc/tokend/config.toml:3: unknown key")
    assert current.event() == {"loaded_at": "2026-01-01T00:00:00Z", "error": "refused"}


def test_a_newer_configuration_ends_the_error(configs: tuple[Config, Config]) -> None:
    """The configuration on disk is the one that runs."""
    current = ConfigInForce(configs[0], FIRST)
    current.refuse("unknown key")
    current.replace(configs[1], LATER)
    assert current.config is configs[1]
    assert current.event() == {"loaded_at": "2026-01-02T00:00:00Z", "error": None}


def test_subscribers_are_called_when_all_is_applied(configs: tuple[Config, Config]) -> None:
    """At once after a refusal, but after a replacement only with `announce`."""
    current = ConfigInForce(configs[0], FIRST)
    heard: list[str | None] = []
    current.subscribe(lambda: heard.append(current.error))
    current.refuse("unknown key")
    current.replace(configs[1], LATER)
    assert heard == ["unknown key"]
    current.announce()
    assert heard == ["unknown key", None]
