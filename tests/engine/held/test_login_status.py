"""The status of a login."""

from dataclasses import replace

from tests.engine.records.test_login_states import LOGIN, NOW
from tests.expecting import present
from tests.fake_logins import FakeLogin
from tests.fakes import FakeHeld
from tokend.engine.held.login_status import login_status, scopes_note
from tokend.engine.records.login_record import NO_LOGINS, LoginRecord
from tokend.engine.records.login_states import Lost, Ready, Required

SETTINGS = FakeLogin(scope=("read", "write"))


def test_the_state_says_whether_a_person_must_act() -> None:
    """And with which command."""
    for state, shown in [(Ready(LOGIN), "ok"), (Lost(LOGIN, NOW), "ok"), (Required(LOGIN), "required")]:
        status = present(login_status("a", SETTINGS, LoginRecord(state), now=NOW, pending=False))
        assert (status.state, status.obtained_at, status.command) == (shown, NOW.wall, "tokend login a")
        assert status.ends_at == present(LOGIN.ends_at).wall
    for record, shown in [(NO_LOGINS, "none"), (LoginRecord(Required(None)), "required")]:
        status = present(login_status("a", SETTINGS, record, now=NOW, pending=False))
        assert (status.state, status.obtained_at, status.subject) == (shown, None, None)


def test_a_login_under_way_and_a_login_that_ends_soon_are_states() -> None:
    """The first one counts over all others; the second only while the login can be used."""
    soon = NOW.after(86400 - 3600)
    for state, now, pending, shown in [
        (Ready(LOGIN), NOW, True, "pending"),
        (Required(LOGIN), soon, True, "pending"),
        (Ready(LOGIN), soon, False, "ends_soon"),
        (Required(LOGIN), soon, False, "required"),
        (Ready(replace(LOGIN, ends_at=None)), soon, False, "ok"),
    ]:
        assert present(login_status("a", SETTINGS, LoginRecord(state), now=now, pending=pending)).state == shown
    moving = LoginRecord(Ready(LOGIN), end_moves=True)
    assert present(login_status("a", SETTINGS, moving, now=soon, pending=False)).state == "ok"


def test_settings_that_use_no_login_have_no_such_status() -> None:
    """Neither a kind without one nor a grant without one."""
    assert login_status("a", FakeHeld(), NO_LOGINS, now=NOW, pending=False) is None
    assert login_status("a", FakeLogin(grant="client"), LoginRecord(Ready(LOGIN)), now=NOW, pending=False) is None


def test_scopes_that_were_not_granted_are_named_with_the_command() -> None:
    """A server that does not say what it granted has granted all, as far as anybody knows."""
    for granted, missing in [(None, ()), (("write", "read", "more"), ()), (("read",), ("write",))]:
        record = LoginRecord(Ready(replace(LOGIN, scopes=granted, ends_at=None)))
        status = present(login_status("a", SETTINGS, record, now=NOW, pending=False))
        assert (status.scopes_missing, status.ends_at) == (missing, None)
        note = scopes_note(status)
        assert note == ("scopes missing: write \N{EM DASH} tokend login a" if missing else None)
    assert scopes_note(None) is None


def test_where_nobody_can_log_in_the_status_has_a_step_instead_of_a_command() -> None:
    """Programs run the command."""
    record = LoginRecord(Ready(replace(LOGIN, scopes=("read",))))
    settings = FakeLogin(scope=("read", "write"), flows=())
    status = present(login_status("a", settings, record, now=NOW, pending=False))
    assert (status.command, status.step) == (None, "put a newer refresh token into refresh_token")
    assert scopes_note(status) == f"scopes missing: write \N{EM DASH} {status.step}"
    assert present(login_status("a", settings, NO_LOGINS, now=NOW, pending=False)).step == status.step
