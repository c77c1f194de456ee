"""The content of a login file."""

import json
from dataclasses import replace

import pytest

from tests.engine.records.test_seen_file import logins
from tests.virtual import BOOT, EPOCH
from tokend.engine.records.login_states import Lost
from tokend.engine.records.shared_login import SharedLogin, dump_shared, load_shared
from tokend.values.errors import StoreError
from tokend.values.instant import Instant
from tokend.values.logins import LoginClient
from tokend.values.secret import Secret
from tokend.values.tokens import Token

NOW = Instant(EPOCH, BOOT)
TOKEN = Token(Secret("fake-token"), "Bearer", NOW, NOW.after(3600), {"X": Secret("fake")}, {"y": Secret("z"), "n": 1})
CLIENT = LoginClient("fake", "https://login.example", "fake-client")
SHARED = SharedLogin(CLIENT, b"salt" * 8, NOW, 7, logins("fake-refresh"), 2, TOKEN, "request")


def test_what_was_written_is_read() -> None:
    """All of it, on the same boot; without a token as well."""
    assert load_shared(dump_shared(SHARED, "boot"), boot_id="boot", now=NOW) == SHARED
    bare = replace(SHARED, token=None, request=None)
    assert load_shared(dump_shared(bare, "boot"), boot_id="boot", now=NOW) == bare


@pytest.mark.parametrize("boot", ["another", ""])
def test_of_another_boot_the_login_counts_and_the_token_does_not(boot: str) -> None:
    """A pause that was left is not longer than it was."""
    login = SHARED.logins.login
    assert login is not None
    waiting = replace(SHARED, logins=replace(SHARED.logins, state=Lost(login, NOW.after(300), 2)))
    later = Instant(EPOCH, 5.0)
    found = load_shared(dump_shared(waiting, "boot"), boot_id=boot, now=later)
    assert (found.token, found.number) == (None, 7)
    assert found.logins.state.next_at is not None
    assert later.until(found.logins.state.next_at) <= 300
    assert found.saved_at.boot <= later.boot


@pytest.mark.parametrize("member", sorted(json.loads(dump_shared(SHARED, "boot"))))
def test_a_member_that_is_missing_or_of_another_type_is_damage(member: str) -> None:
    """Nothing of the content is quoted."""
    document = json.loads(dump_shared(SHARED, "boot"))
    for damaged in (
        {**document, member: ["planted-fake"]},
        {key: value for key, value in document.items() if key != member},
    ):
        if member == "boot_id" and member in damaged:
            continue  # of another boot
        with pytest.raises(StoreError) as raised:
            load_shared(json.dumps(damaged).encode(), boot_id="boot", now=NOW)
        assert "planted" not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"{}"])
def test_what_is_no_login_file_is_refused(content: bytes) -> None:
    """As damage."""
    with pytest.raises(StoreError):
        load_shared(content, boot_id="boot", now=NOW)


@pytest.mark.parametrize("wrong", ["", "a\nb", " a", "\u00e4"])
def test_a_token_that_no_header_can_carry_is_not_shared(wrong: str) -> None:
    """The login is there all the same: an exchange brings another token."""
    document = json.loads(dump_shared(SHARED, "boot"))
    document["token"]["value"] = wrong
    found = load_shared(json.dumps(document).encode(), boot_id="boot", now=NOW)
    assert found.token is None
    assert found.logins == SHARED.logins
