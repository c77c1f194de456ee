"""Settings that use a login."""

from pathlib import Path

from tests.fake_logins import FakeLogin
from tests.fakes import FakeHeld
from tokend.plugin.login import (
    counts_in_state,
    has_interactive_login,
    keeps_login_in_state,
    login_file_key_of,
    login_file_of,
    may_use_login,
    uses_login,
)
from tokend.plugin.secret_source import SecretSource


def test_a_kind_uses_a_login_where_its_settings_say_so() -> None:
    """A kind that may use one gets the runtime that remembers, whatever its grant."""
    assert uses_login(FakeLogin())
    assert not uses_login(FakeLogin(grant="client"))
    assert may_use_login(FakeLogin(grant="client"))
    assert not may_use_login(FakeHeld())
    assert not uses_login(FakeHeld())


def test_a_login_is_in_the_state_unless_a_file_keeps_it() -> None:
    """Where several daemons share it, each of them may use it."""
    shared = FakeLogin(login_file=Path("/somewhere"), login_file_key=SecretSource(env="FAKE"))
    assert keeps_login_in_state(FakeLogin())
    assert not keeps_login_in_state(shared)
    assert not keeps_login_in_state(FakeHeld())
    assert not keeps_login_in_state(FakeLogin(grant="client"))
    assert login_file_of(shared) == Path("/somewhere")
    assert login_file_key_of(shared) == SecretSource(env="FAKE")
    assert (login_file_of(FakeHeld()), login_file_key_of(FakeHeld())) == (None, None)
    assert login_file_of(FakeLogin(login_file=Path("/somewhere"), grant="client")) is None


def test_a_person_can_log_in_where_the_settings_have_a_way() -> None:
    """Elsewhere the refresh token comes from the settings, or there is none."""
    assert has_interactive_login(FakeLogin())
    assert not has_interactive_login(FakeLogin(flows=()))
    assert not has_interactive_login(FakeHeld())


def test_settings_count_in_the_state_where_they_say_so() -> None:
    """A kind without the attribute has no counter."""
    assert not counts_in_state(FakeHeld())
    assert not counts_in_state(FakeLogin())
