"""Providers that can have a login, by their settings."""

from tests.engine.logins.personal import Personal
from tests.fakes import FakeHeld
from tokend.engine.logins.login_holder import interactive, subject_of


def test_a_person_can_log_in_only_where_the_settings_have_a_flow() -> None:
    """Neither without a flow, nor for kinds without a login."""
    assert interactive(Personal())
    assert not interactive(Personal(flows=()))
    assert not interactive(FakeHeld())
    assert not interactive(object())


def test_the_pinned_account_is_the_key_subject_of_kinds_that_have_it() -> None:
    """A key of that name that is no text is another one."""
    assert subject_of(Personal(subject="alice")) == "alice"
    assert subject_of(Personal()) is None
    other = Personal.model_construct(subject={"claim": "sub"})  # type: ignore[arg-type]
    assert subject_of(other) is None
