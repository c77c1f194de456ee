"""Whose account a login may be."""

import pytest

from tokend.engine.policy.login_subject import LONGEST_SHOWN, KnownSubjects, refusal

OTHERS = (("two", "bob"),)


@pytest.mark.parametrize(
    ("granted", "known", "reason"),
    [
        ("alice", KnownSubjects(), None),
        (None, KnownSubjects(), None),
        ("alice", KnownSubjects("alice", "alice", OTHERS), None),
        ("bob", KnownSubjects("alice"), "the login of one was of alice"),
        (None, KnownSubjects("alice", others=OTHERS), None),
        ("alice", KnownSubjects("bob", pinned="alice"), None),  # the table was changed on purpose
        ("bob", KnownSubjects("bob", pinned="alice"), 'subject = "alice"'),
        (None, KnownSubjects(pinned="alice"), "the server names no account"),
        ("bob", KnownSubjects(others=OTHERS), "the login of two is of the account bob already"),
        ("bob", KnownSubjects("bob", others=OTHERS), "the login of two is of the account bob already"),
        ("alice", KnownSubjects(others=OTHERS), None),
    ],
)
def test_the_table_of_accounts(granted: str | None, known: KnownSubjects, reason: str | None) -> None:
    """A refusal says what was found, and how to go on if that is meant."""
    found = refusal("one", granted, known)
    assert (found is None) == (reason is None)
    if found is not None:
        assert str(reason) in found
        assert found.endswith("tokend login one --other-account")


def test_an_account_that_a_server_has_named_is_cut_and_printable() -> None:
    """It stands on a terminal."""
    found = str(refusal("one", "\x1b[2J" + "x" * 500, KnownSubjects("alice")))
    assert found.isprintable()
    assert "?[2J" in found
    assert len(found) < LONGEST_SHOWN + 200
