"""The content of a login file, and its meaning for a provider."""

from dataclasses import replace

import pytest

from tests.engine.records.test_seen_file import logins
from tests.engine.records.test_shared_login import NOW, SHARED, TOKEN
from tests.expecting import present
from tokend.engine.policy.shared_login import (
    OlderFileError,
    newer_token,
    ready_to_move,
    require_newest,
    seconds_until_turn,
    seen_by,
    with_content,
)
from tokend.engine.records.login_record import LoginRecord
from tokend.engine.records.login_states import Lost, Ready, RefusedOnce
from tokend.engine.records.record import Record
from tokend.engine.records.seen_file import SeenFile
from tokend.engine.records.shared_login import SharedLogin
from tokend.engine.records.token_states import Held
from tokend.values.secret import Secret
from tokend.values.tokens import Lease

PATH = "/place/login"


def holding(**changes: object) -> Record:
    token = replace(TOKEN, **{"value": Secret("fake-held"), **changes})  # type: ignore[arg-type]  # members of a token
    return Record(token=Held(Lease("a", token, 1, None, "fake")))


def test_another_path_was_never_seen() -> None:
    """The own logins stay the record's."""
    seen = SeenFile(PATH, 7, 1, logins("fake-own"))
    record = Record(login=logins("fake-of-the-file"), seen=seen)
    assert seen_by(record, PATH) is seen
    assert seen_by(record, "/another") == SeenFile("/another", own=seen.own)
    assert seen_by(Record(login=seen.own), PATH) == SeenFile(PATH, own=seen.own)


AGAIN = "begin again"


def test_an_older_file_and_one_that_is_gone_are_refused() -> None:
    """The same number and a higher one are accepted, and no file where none was seen."""
    require_newest(SHARED, SeenFile(PATH, 7), AGAIN)
    require_newest(SHARED, SeenFile(PATH), AGAIN)
    require_newest(None, SeenFile(PATH), AGAIN)
    with pytest.raises(OlderFileError, match=r"write 7, seen 8.*put the newest copy back, or begin again"):
        require_newest(SHARED, SeenFile(PATH, 8), AGAIN)
    with pytest.raises(OlderFileError, match="is gone: put the newest copy back, or begin again"):
        require_newest(None, SeenFile(PATH, 1), AGAIN)


def test_a_withdrawal_that_was_not_seen_takes_the_token() -> None:
    """One that was seen does not, nor does the first look at a file."""
    assert with_content(holding(), SHARED, SeenFile(PATH, 6, 1), NOW).withdrawn
    assert not with_content(Record(), SHARED, SeenFile(PATH, 6, 1), NOW).withdrawn
    for seen in (SeenFile(PATH, 6, 2), SeenFile(PATH)):
        after = with_content(holding(), SHARED, seen, NOW)
        assert after.lease is not None
        assert after.seen == SeenFile(PATH, 7, 2)
        assert after.login == SHARED.logins


def test_the_login_of_the_record_is_set_aside_where_the_file_has_another() -> None:
    """One that has moved is dropped: it is the file's by now."""
    own = logins("fake-own")
    assert own.login is not None
    other = replace(own, state=Ready(replace(own.login, obtained_at=NOW.after(-9))))
    after = with_content(Record(), SHARED, SeenFile(PATH, own=other), NOW)
    assert after.seen is not None
    assert [one.state.login for one in after.seen.own.aside] == [other.login]
    moved = with_content(Record(), SHARED, SeenFile(PATH, own=own), NOW)
    assert moved.seen == SeenFile(PATH, 7, 2)
    none = with_content(Record(), None, SeenFile(PATH, own=own), NOW)
    assert none.login.login == own.login


def test_a_login_that_was_set_aside_here_is_dropped_after_thirty_days() -> None:
    """The file's own ones are dropped by the daemon that uses the file."""
    own = logins("fake-own").without_login(NOW)
    for days, kept in ((29, 1), (31, 0)):
        after = with_content(Record(), SHARED, SeenFile(PATH, own=own), NOW.after(days * 86400))
        assert after.seen is not None
        assert len(after.seen.own.aside) == kept


def test_notices_are_remembered_for_the_same_login_and_for_no_other() -> None:
    """One that was given here may be missing in the file; those of the record's own login are not the file's."""
    theirs = replace(SHARED.logins, notices=("336h",))
    mine = replace(theirs, notices=("336h", "168h"))
    earlier = Ready(replace(present(theirs.login), obtained_at=NOW.after(-60)))
    own = SeenFile(PATH, 1, own=LoginRecord(notices=("required",)))
    for known, expected in (
        (mine, ("336h", "168h")),
        (replace(mine, end_moves=True), ("336h",)),
        (replace(mine, state=earlier, notices=("168h",)), ("336h",)),
        (LoginRecord(notices=("required",)), ("336h",)),
    ):
        after = with_content(Record(login=known, seen=own), replace(SHARED, logins=theirs), own, NOW)
        assert after.login == replace(theirs, notices=expected)
        assert present(after.seen).own.notices == ()
    assert with_content(Record(), None, SeenFile(PATH, own=own.own), NOW).login.notices == ("required",)


def test_the_logins_that_move_are_of_the_client() -> None:
    """The digest of the initial refresh token is the file's."""
    own = replace(logins("fake-own"), initial="of the record")
    moving = ready_to_move(own, SHARED.client, "of the file", NOW)
    assert (moving.login, moving.initial) == (own.login, "of the file")
    assert ready_to_move(own, replace(SHARED.client, client_id="other"), None, NOW).login is None


@pytest.mark.parametrize(
    ("record", "shared", "adopted"),
    [
        (Record(), SHARED, True),
        (Record(), replace(SHARED, token=None), False),
        (Record(), replace(SHARED, request="other"), False),
        (Record(), replace(SHARED, token=replace(TOKEN, expires_at=NOW)), False),
        (holding(issued_at=NOW.after(-60)), SHARED, True),
        (holding(), SHARED, False),
        (holding(issued_at=NOW.after(60)), SHARED, False),
        (holding(issued_at=NOW.after(-60), value=TOKEN.value), SHARED, False),
    ],
    ids=range(8),
)
def test_a_token_is_adopted_if_it_is_valid_newer_and_asked_for_the_same(
    record: Record, shared: SharedLogin, adopted: bool
) -> None:
    """Never an older one."""
    found = newer_token(record, shared, "request", NOW)
    assert (found is not None) == adopted


def test_the_turn_after_a_refusal_or_a_lost_answer_of_another_daemon() -> None:
    """Five seconds from the last write, or when the state says."""
    login = SHARED.logins.login
    assert login is not None
    once, lost = LoginRecord(RefusedOnce(login)), LoginRecord(Lost(login, NOW.after(60), 1))
    assert seconds_until_turn(Record(login=once), SHARED, NOW.after(2)) == pytest.approx(3)
    assert seconds_until_turn(Record(login=once), SHARED, NOW.after(9)) == 0
    assert seconds_until_turn(Record(login=lost), SHARED, NOW) == pytest.approx(60)
    assert seconds_until_turn(Record(login=lost), SHARED, NOW.after(61)) == 0
    assert seconds_until_turn(Record(login=lost), SHARED, NOW.after(2), hastened=True) == pytest.approx(3)
    assert seconds_until_turn(Record(login=lost), SHARED, NOW.after(5), hastened=True) == 0
    assert seconds_until_turn(Record(login=logins("fake")), SHARED, NOW, hastened=True) == 0
    assert seconds_until_turn(Record(login=logins("fake")), SHARED, NOW) == 0
