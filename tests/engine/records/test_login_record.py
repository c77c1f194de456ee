"""Logins of one provider: in use, set aside, used again, dropped."""

from dataclasses import replace

from tests.engine.records.test_login_states import CLIENT, LOGIN, NOW
from tokend.engine.records.login_record import ASIDE_SECONDS, NO_LOGINS, LoginRecord
from tokend.engine.records.login_states import NO_LOGIN, Exchanging, LoginMoves, Lost, Ready, Required
from tokend.values.logins import LoginClient
from tokend.values.secret import Secret

OTHER = LoginClient("fake-login", "https://login.example/token", "another-client")
OTHERS = replace(LOGIN, client=OTHER, refresh_token=Secret("fake-other"))
RECORD = LoginRecord(Lost(LOGIN, NOW, 1), "initial")


def test_a_login_of_another_client_is_set_aside_and_used_again_when_the_table_is_changed_back() -> None:
    """With its state, and with the initial refresh token that it came from."""
    changed = RECORD.for_client(OTHER, NOW)
    assert (changed.login, changed.initial) == (None, "initial")
    with_another = replace(changed, state=Ready(OTHERS), initial="another")
    back = with_another.for_client(CLIENT, NOW.after(60))
    assert (back.state, back.initial) == (RECORD.state, "initial")
    forth = back.for_client(OTHER, NOW.after(120))
    assert (forth.state, forth.initial) == (Ready(OTHERS), "another")


def test_an_initial_refresh_token_that_was_spent_is_not_used_for_another_client() -> None:
    """One that no server has accepted is: the table may have named the wrong client, or the wrong server."""
    unproven = replace(LOGIN, origin=None)
    for state, is_used in (
        (Ready(LOGIN), True),
        (Required(LOGIN), True),
        (Lost(unproven, NOW), True),
        (Exchanging(Ready(unproven)), True),
        (Ready(unproven, may_be_spent=True), True),
        (Ready(unproven), False),
        (Required(unproven), False),
    ):
        changed = LoginRecord(state, "initial").for_client(OTHER, NOW)
        assert changed.initial == ("initial" if is_used else None), state


def test_a_kind_without_logins_sets_them_aside_too() -> None:
    """It requires none."""
    assert RECORD.for_client(None, NOW).state == NO_LOGIN
    assert LoginRecord(Required(None)).for_client(None, NOW) == NO_LOGINS
    assert RECORD.for_client(None, NOW).for_client(CLIENT, NOW).state == RECORD.state


def test_the_same_client_changes_nothing() -> None:
    """Nor does a client for which nothing is set aside."""
    assert RECORD.for_client(CLIENT, NOW) is RECORD
    assert NO_LOGINS.for_client(CLIENT, NOW) is NO_LOGINS
    assert LoginRecord(Required(None)).for_client(CLIENT, NOW) == LoginRecord(Required(None))


def test_a_table_changed_back_ends_a_login_that_is_required() -> None:
    """The refused one of the other client is set aside in turn."""
    there = replace(RECORD.for_client(OTHER, NOW), state=Required(OTHERS))
    back = there.for_client(CLIENT, NOW)
    assert back.state == RECORD.state
    assert [one.state for one in back.aside] == [Required(OTHERS)]
    asked = replace(RECORD.for_client(OTHER, NOW), state=Required(None))
    assert asked.for_client(CLIENT, NOW).state == RECORD.state


def test_after_thirty_days_on_both_time_lines_it_is_dropped() -> None:
    """A clock that is set drops none."""
    aside = RECORD.for_client(OTHER, NOW)
    late = NOW.after(ASIDE_SECONDS)
    assert aside.for_client(OTHER, late).aside == ()
    assert aside.for_client(CLIENT, late).login is None
    for one in (replace(late, boot=NOW.boot), replace(late, wall=NOW.wall)):
        assert aside.for_client(OTHER, one).aside == aside.aside


def test_a_login_that_a_person_has_ended_is_never_used_again() -> None:
    """It waits for the server's confirmation. Its initial refresh token counts as used."""
    ended = RECORD.without_login(NOW, logged_out=True)
    assert (ended.login, ended.initial) == (None, "initial")
    assert ended.for_client(CLIENT, NOW) is ended
    assert ended.logged_out == (LOGIN,)
    assert (ended.kept, RECORD.kept, RECORD.for_client(OTHER, NOW).kept) == (None, LOGIN, LOGIN)
    assert ended.without_aside(ended.logged_out) == LoginRecord(NO_LOGIN, "initial")
    assert NO_LOGINS.without_login(NOW) is NO_LOGINS


def test_the_logins_of_a_name_that_is_taken_are_set_aside() -> None:
    """The newest of a client is the one that is used again."""
    there = LoginRecord(Ready(OTHERS))
    joined = RECORD.with_aside(there, NOW)
    assert joined.state == RECORD.state
    assert joined.for_client(OTHER, NOW).state == Ready(OTHERS)
    assert RECORD.with_aside(NO_LOGINS, NOW) is RECORD


def test_a_reboot_moves_what_is_set_aside_too() -> None:
    """State and moment."""
    moves = LoginMoves(upcoming=lambda moment: moment.after(1), dated=lambda moment: moment.after(2))
    moved = replace(RECORD.for_client(OTHER, NOW), state=Ready(OTHERS)).moved(moves)
    assert moved.aside[0].at == NOW.after(2)
    assert moved.aside[0].state.next_at == NOW.after(1)
    assert moved.login == moves.of_login(OTHERS)
