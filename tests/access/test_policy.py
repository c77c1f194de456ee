"""Access decisions: users, groups, units, administrators, and the validity of a lease."""

import errno
import socket
from typing import cast

import pytest

from tests.access.test_units import Answering, failing
from tests.api.fake_engine import START, FakeHeld
from tests.httpd.served import logged
from tokend.access.peer import Peer
from tokend.access.policy import AccessPolicy, answerable, is_public, unit_may_read
from tokend.plugin.settings import Access
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.tokens import Lease, Token

STRANGER = 54321
OWN_UID = 3
BOT = Access(users=("1001",), groups=("2002",), units=("bot.service", "bot@*.service"))


def test_one_of_the_units_passes() -> None:
    """As `units` of credentials.sock: `*`, `?`, capitals count; a peer without a unit never passes, not even `*`."""

    class InUnit(Peer):
        unit: str | None = None

    def may(unit: str | None, *patterns: str) -> bool:
        peer = InUnit(STRANGER, frozenset((STRANGER,)))
        peer.__dict__["unit"] = unit
        return AccessPolicy(lambda: ()).may_read(peer, FakeHeld(access=Access(units=patterns or BOT.units)))

    assert may("bot.service")
    assert may("bot@1.service")
    assert may("other.service", "*")
    assert not may("other.service")
    assert not may("Bot.service")
    assert not may("xbot.service")
    assert not may(None, "*")
    assert not AccessPolicy(lambda: ()).may_read(Peer(STRANGER, frozenset()), FakeHeld(access=Access(units=("*",))))


def test_the_unit_is_asked_for_only_where_nothing_else_passes_and_once() -> None:
    """Users, groups, root, the daemon and tokens without units cost nothing; the answer is the connection's."""
    rules = AccessPolicy(lambda: (), own_uid=4242)

    def asked(access: Access | None, uid: int = STRANGER, *groups: int) -> int:
        connection = Answering(failing(errno.ESRCH))
        peer = Peer(uid, frozenset(groups), cast("socket.SocketType", connection))
        rules.may_read(peer, FakeHeld(access=access))
        rules.may_read(peer, FakeHeld(access=access))
        return connection.asked

    assert asked(BOT) == 1
    assert asked(BOT, 1001) == asked(BOT, STRANGER, 2002) == asked(BOT, 0) == asked(BOT, 4242) == 0
    assert asked(None) == asked(Access(users=("1001",))) == asked(Access()) == 0


def test_a_host_that_does_not_show_units_is_warned_of_once() -> None:
    """An old kernel: nobody passes by units, the others do, and one line says what to do."""
    rules = AccessPolicy(lambda: ())
    with logged() as lines:
        for _ in range(3):
            connection = cast("socket.SocketType", Answering(failing(errno.ENOPROTOOPT)))
            assert not rules.may_read(Peer(STRANGER, frozenset(), connection), FakeHeld(access=Access(units=("*",))))
            assert rules.may_read(Peer(1001, frozenset(), connection), FakeHeld(access=BOT))
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("units.unknown", "warning")
    assert "Linux 6.5" in line["detail"]


@pytest.mark.parametrize(
    ("access", "uid", "groups", "may"),
    [
        (None, 5, (), True),
        (Access(), 5, (), False),
        (Access(), 0, (), True),
        (Access(), OWN_UID, (), True),
        (Access(users=("5", "no-such-user")), 5, (), True),
        (Access(users=("root",)), 5, (), False),
        (Access(groups=("root",)), 5, (0,), True),
        (Access(groups=("no-such-group",)), 5, (1,), False),
        (Access(units=("a.service",)), 5, (), False),
    ],
)
def test_who_may_read(access: Access | None, uid: int, groups: tuple[int, ...], may: bool) -> None:
    """No table: everybody; otherwise one match is enough. Root and the daemon's uid always may."""
    policy = AccessPolicy(lambda: (), own_uid=OWN_UID)
    assert policy.may_read(Peer(uid, frozenset(groups)), FakeHeld(access=access)) is may
    assert is_public(FakeHeld(access=access)) is (access is None)


def test_admins_are_root_the_daemon_and_those_that_are_named_now() -> None:
    """A reload changes who is named."""
    admins = ["7"]
    policy = AccessPolicy(lambda: admins, own_uid=OWN_UID)
    assert [policy.is_admin(Peer(uid, frozenset())) for uid in (0, OWN_UID, 7, 8)] == [True, True, True, False]
    admins[:] = ["8"]
    assert [policy.is_admin(Peer(uid, frozenset())) for uid in (7, 8)] == [False, True]


@pytest.mark.parametrize(
    ("expires_at", "valid"), [(None, True), (START.after(1), True), (START, False), (START.after(-1), False)]
)
def test_a_lease_is_answerable_until_it_expires(expires_at: Instant | None, valid: bool) -> None:
    """The boot line decides; a token without an end is always valid, and no lease never."""
    lease = Lease("a", Token(Secret("fake"), "Bearer", START, expires_at), 1, None, "0123456789ab")
    assert answerable(lease, START) is valid
    assert answerable(None, START) is False


@pytest.mark.parametrize(
    ("access", "may"),
    [(None, False), (Access(users=("root",)), False), (Access(units=("a*",)), True), (Access(units=("b*",)), False)],
)
def test_a_unit_loads_a_credential_only_if_it_is_named(access: Access | None, may: bool) -> None:
    """Without `units` nobody gets the token on credentials.sock."""
    assert unit_may_read("a.service", FakeHeld(access=access)) is may
