"""Settings that use a login."""

from tests.fake_logins import FakeLogin
from tests.fakes import FakeHeld
from tokend.plugin.login import has_interactive_login, keeps_login_in_state, may_use_login, uses_login


def test_a_kind_uses_a_login_where_its_settings_say_so() -> None:
    """A kind that may use one gets the runtime that remembers, whatever its grant."""
    assert uses_login(FakeLogin())
    assert not uses_login(FakeLogin(grant="client"))
    assert may_use_login(FakeLogin(grant="client"))
    assert not may_use_login(FakeHeld())
    assert not uses_login(FakeHeld())


def test_a_login_is_in_the_state_unless_a_file_keeps_it() -> None:
    """Where several daemons share it, each of them may use it."""

    class Shared(FakeLogin):
        login_file: str | None = None

    assert keeps_login_in_state(FakeLogin())
    assert keeps_login_in_state(Shared())
    assert not keeps_login_in_state(Shared(login_file="/somewhere"))
    assert not keeps_login_in_state(FakeHeld())


def test_a_kind_without_the_methods_for_persons_has_no_interactive_login() -> None:
    """Its refresh token comes from the settings."""
    assert not has_interactive_login(FakeLogin())
