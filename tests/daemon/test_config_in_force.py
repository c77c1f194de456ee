"""The configuration in force, and its subscribers."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.config.written import PARTNER, TT, loaded, written
from tokend.config import Config
from tokend.config.model import DaemonSettings
from tokend.daemon.config_in_force import READ_AT_START, ConfigInForce
from tokend.values.status import ConfigStatus

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
    assert current.state() == ConfigStatus(FIRST, "/etc/tokend/config.toml:3: unknown key")
    assert current.event() == {"loaded_at": "2026-01-01T00:00:00Z", "error": "refused", "restart_needed": []}


def test_a_newer_configuration_ends_the_error(configs: tuple[Config, Config]) -> None:
    """The configuration on disk is the one that runs."""
    current = ConfigInForce(configs[0], FIRST)
    current.refuse("unknown key")
    current.replace(configs[1], LATER)
    assert current.config is configs[1]
    assert current.event() == {"loaded_at": "2026-01-02T00:00:00Z", "error": None, "restart_needed": []}


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


def test_keys_that_are_read_at_a_start_stay_in_the_status_until_the_restart(configs: tuple[Config, Config]) -> None:
    """They are compared with the start's values: a later reload does not hide them, the old value takes them back."""
    current = ConfigInForce(configs[0], FIRST)
    daemon = configs[0].daemon
    moved = replace(configs[1], daemon=daemon.model_copy(update={"socket": Path("/elsewhere"), "log_level": "debug"}))
    both = replace(configs[1], daemon=moved.daemon.model_copy(update={"socket_mode": "0666"}))
    assert current.restart_needed(moved) == ("daemon.socket",)
    assert current.restart_needed() == ()
    current.replace(moved, LATER)
    current.replace(both, LATER)
    assert current.state().restart_needed == ("daemon.socket", "daemon.socket_mode")
    assert current.event()["restart_needed"] == ["daemon.socket", "daemon.socket_mode"]
    current.replace(configs[1], LATER)
    assert current.state().restart_needed == ()


def test_each_key_of_the_daemon_is_known_to_count_at_once_or_after_a_restart() -> None:
    """A new key belongs into one of the two lists."""
    at_once = {"admins", "audit", "listen_secret", "log_level", "log_format", "notify", "plugins", "strict_paths"}
    assert set(READ_AT_START) | at_once == set(DaemonSettings.model_fields)
    assert not set(READ_AT_START) & at_once
