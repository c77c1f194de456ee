"""Logins under other settings, and the initial refresh token."""

from dataclasses import replace

from tests.engine.records.test_login_states import CLIENT, LOGIN, NOW
from tokend.engine.policy.login_change import InitialToken, reconcile_logins
from tokend.engine.records.login_record import NO_LOGINS, LoginRecord
from tokend.engine.records.login_states import Ready, Required
from tokend.values.logins import LoginClient
from tokend.values.secret import Secret

FIRST, SECOND = InitialToken(Secret("fake-first"), "one"), InitialToken(Secret("fake-second"), "two")


def test_an_initial_refresh_token_begins_a_login_where_there_is_none() -> None:
    """No server has issued it to us: it has no origin yet."""
    begun = reconcile_logins(NO_LOGINS, CLIENT, FIRST, NOW)
    assert isinstance(begun.state, Ready)
    assert (begun.state.login.refresh_token, begun.state.login.origin, begun.initial) == (FIRST.token, None, "one")
    assert begun.state.login.obtained_at == NOW


def test_it_is_used_again_only_when_it_is_another_one() -> None:
    """Also while the login works, and also when a login is required."""
    begun = reconcile_logins(NO_LOGINS, CLIENT, FIRST, NOW)
    assert reconcile_logins(begun, CLIENT, FIRST, NOW) is begun
    required = replace(begun, state=Required(begun.login))
    assert reconcile_logins(required, CLIENT, FIRST, NOW) is required
    for before in (begun, required):
        after = reconcile_logins(before, CLIENT, SECOND, NOW)
        assert after.login is not None
        assert (after.login.refresh_token, after.initial) == (SECOND.token, "two")


def test_a_persons_login_is_not_replaced_by_one_that_was_configured_before() -> None:
    """It counts as used; where a login is required it is used."""
    persons = LoginRecord(Ready(LOGIN))
    seen = reconcile_logins(persons, CLIENT, FIRST, NOW)
    assert (seen.state, seen.initial) == (persons.state, "one")
    assert reconcile_logins(LoginRecord(Required(LOGIN)), CLIENT, FIRST, NOW).initial == "one"
    used = reconcile_logins(LoginRecord(Required(None)), CLIENT, FIRST, NOW)
    assert isinstance(used.state, Ready)


def test_one_that_cannot_be_read_changes_nothing_and_another_client_sets_the_login_aside() -> None:
    """Changed back, the rotated login is used again, not the initial refresh token that it came from."""
    begun = reconcile_logins(NO_LOGINS, CLIENT, FIRST, NOW)
    assert reconcile_logins(begun, CLIENT, None, NOW) is begun
    rotated = replace(begun, state=Ready(LOGIN))
    other = LoginClient("fake-login", "https://login.example/token", "another")
    there = reconcile_logins(rotated, other, SECOND, NOW)
    assert there.login is not None
    assert there.login.client == other
    assert reconcile_logins(there, CLIENT, FIRST, NOW).state == Ready(LOGIN)
    assert reconcile_logins(rotated, None, FIRST, NOW).login is None
