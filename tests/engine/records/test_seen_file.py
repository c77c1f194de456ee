"""A login file as a record remembers it."""

from dataclasses import replace

import pytest

from tests.expecting import present
from tests.virtual import BOOT, EPOCH
from tokend.engine.records.codec import dump, load
from tokend.engine.records.login_record import NO_LOGINS, LoginRecord
from tokend.engine.records.login_states import Ready
from tokend.engine.records.record import Record
from tokend.engine.records.rename import for_another_kind, renamed
from tokend.engine.records.seen_file import SeenFile, dump_seen, load_seen
from tokend.values.instant import Instant
from tokend.values.logins import Login, LoginClient
from tokend.values.secret import Secret

NOW = Instant(EPOCH, BOOT)


def logins(value: str) -> LoginRecord:
    client = LoginClient("fake", "https://login.example", "fake-client")
    return LoginRecord(Ready(Login(Secret(value), client, None, NOW, NOW)))


SEEN = SeenFile("/place/login", 7, 1, logins("fake-own"))


def test_the_login_of_the_file_is_not_in_the_state_and_the_own_ones_are() -> None:
    """The number that was seen is there."""
    record = Record(login=logins("fake-of-the-file"), seen=SEEN)
    content = dump("a", record, "boot")
    assert b"fake-of-the-file" not in content
    assert load(content, boot_id="boot", now=NOW) == ("a", replace(record, login=NO_LOGINS))
    _, later = load(content, boot_id="another boot", now=NOW)
    assert later.seen is not None
    assert (later.seen.number, later.seen.own.login is None) == (7, False)


@pytest.mark.parametrize("damage", [{"number": "7"}, {"path": None}, {"withdrawals": 1.5}])
def test_members_of_another_type_are_refused(damage: dict[str, object]) -> None:
    """They would break what uses them later."""
    assert load_seen(dump_seen(SEEN), SEEN.own) == SEEN
    with pytest.raises(TypeError):
        load_seen({**dump_seen(SEEN), **damage}, NO_LOGINS)


def test_a_renamed_provider_keeps_its_file_and_sets_the_logins_of_the_name_aside() -> None:
    """Another kind under the name has the own logins alone."""
    record = Record(login=logins("fake-of-the-file"), seen=SEEN)
    moved = renamed(record, "b", there=Record(login=logins("fake-there")), now=NOW)
    assert moved.seen is not None
    assert [one.state.login and present(one.state.login.refresh_token).reveal() for one in moved.seen.own.aside] == [
        "fake-there"
    ]
    assert (moved.login, moved.seen.number) == (record.login, 7)
    other = for_another_kind(record)
    assert (other.login, other.seen) == (SEEN.own, None)
