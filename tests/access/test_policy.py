"""Access decisions: users, groups, units, administrators, and the validity of a lease."""

import errno
import socket
from typing import cast

import pytest

from tests.access.test_units import Answering, failing
from tests.api.fake_engine import START, FakeHeld
from tests.httpd.served import logged
from tokend.access.peer import NOBODY, Peer
from tokend.access.policy import AccessPolicy, answerable, is_public, names_of, unit_may_read
from tokend.access.socket_scope import SocketScope
from tokend.plugin.settings import Access, LoginAccess
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
        connection = Answering(failing(errno.ENOPROTOOPT if uid in (0, 4242) else errno.ESRCH))
        peer = Peer(uid, frozenset(groups), cast("socket.SocketType", connection))
        rules.may_read(peer, FakeHeld(access=access))
        rules.may_read(peer, FakeHeld(access=access))
        return connection.asked

    assert asked(BOT) == 1
    assert asked(BOT, 1001) == asked(BOT, STRANGER, 2002) == 0
    # Root and the daemon are exempt unless they are in a container: that is asked once.
    assert asked(BOT, 0) == asked(BOT, 4242) == 1
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


LOGIN = Access(users=("5",), login=LoginAccess(users=("6", "no-such-user"), groups=("2003",)))


@pytest.mark.parametrize(
    ("access", "peer", "may"),
    [
        (None, Peer(5, frozenset()), False),
        (None, Peer(0, frozenset()), True),
        (None, Peer(7, frozenset()), True),  # an admin
        (LOGIN, Peer(7, frozenset()), False),  # an admin from whom the token is hidden
        (LOGIN, Peer(OWN_UID, frozenset()), True),
        (LOGIN, Peer(5, frozenset()), False),  # a reader
        (LOGIN, Peer(6, frozenset()), True),
        (LOGIN, Peer(8, frozenset((2003,))), True),
        (LOGIN, Peer(8, frozenset((2004,))), False),
        (BOT, Peer(1001, frozenset()), False),
        (LOGIN, Peer(6, frozenset(), scope=SocketScope(("a",))), True),
        (LOGIN, Peer(6, frozenset(), scope=SocketScope(("b",))), False),
        (None, Peer(0, frozenset(), scope=SocketScope(("a",))), False),
        (None, NOBODY, False),
    ],
)
def test_who_may_log_in(access: Access | None, peer: Peer, may: bool) -> None:
    """Admins who may read the token, and those of ``access.login``, who may read it only if another key says so."""
    policy = AccessPolicy(lambda: ("7",), own_uid=OWN_UID)
    assert policy.may_log_in(peer, FakeHeld(access=access), "a") is may
    assert not policy.may_read(Peer(6, frozenset()), FakeHeld(access=LOGIN), "a")


def test_the_names_of_access_login_are_looked_up_like_the_others() -> None:
    """Else nobody could log in while a directory service is slow."""
    found = {name.text for name in names_of(FakeHeld(access=LOGIN))}
    assert found == {"5", "6", "no-such-user", "2003"}


def test_admins_are_root_the_daemon_and_those_that_are_named_now() -> None:
    """A reload changes who is named."""
    admins = ["7"]
    policy = AccessPolicy(lambda: admins, own_uid=OWN_UID)
    assert [policy.is_admin(Peer(uid, frozenset())) for uid in (0, OWN_UID, 7, 8)] == [True, True, True, False]
    admins[:] = ["8"]
    assert [policy.is_admin(Peer(uid, frozenset())) for uid in (7, 8)] == [False, True]


def contained(uid: int, *groups: int) -> Peer:
    peer = Peer(uid, frozenset(groups))
    peer.__dict__["is_contained"] = True
    return peer


def test_in_a_container_nobody_is_an_admin_and_access_counts_for_every_uid() -> None:
    """Who starts a container chooses its uids: those of root, of the daemon and of admins prove nothing."""
    policy = AccessPolicy(lambda: ("root", "7"), own_uid=OWN_UID)
    for uid in (0, OWN_UID, 7, 8):
        assert not policy.is_admin(contained(uid))
        assert not policy.may_read(contained(uid), FakeHeld(access=BOT))
        assert policy.may_read(contained(uid), FakeHeld(access=None))
    assert policy.may_read(contained(0), FakeHeld(access=Access(users=("root",))))
    assert policy.may_read(contained(OWN_UID, 2002), FakeHeld(access=BOT))


def test_a_socket_of_some_tokens_serves_only_those_and_access_counts_on_top() -> None:
    """Also for root and the daemon's uid; without a name nothing is served, unless the socket is for all tokens."""
    policy = AccessPolicy(lambda: (), own_uid=OWN_UID)

    def may(uid: int, access: Access | None, name: str, *tokens: str) -> bool:
        return policy.may_read(Peer(uid, frozenset(), scope=SocketScope(tokens)), FakeHeld(access=access), name)

    for uid in (0, OWN_UID, 5):
        assert may(uid, None, "a", "a", "b")
        assert may(uid, None, "a", "*")
        assert not may(uid, None, "c", "a", "b")
        assert not may(uid, None, "", "a", "b")
        assert not may(uid, BOT, "a", "a")
        assert not may(uid, BOT, "a", "*")
    assert may(1001, BOT, "a", "a")
    assert not may(1001, BOT, "b", "a")


def test_only_root_and_the_daemon_s_uid_may_read_what_the_daemon_may() -> None:
    """Other admins may not, nor anybody in a container or on a socket without admins."""
    policy = AccessPolicy(lambda: ("7",), own_uid=OWN_UID)
    uids = (0, OWN_UID, 7, 8)
    assert [policy.is_root_or_ours(Peer(uid, frozenset())) for uid in uids] == [True, True, False, False]
    assert not any(policy.is_root_or_ours(contained(uid)) for uid in uids)
    assert not any(policy.is_root_or_ours(Peer(uid, frozenset(), scope=SocketScope(("*",)))) for uid in uids)


def test_a_socket_has_admins_only_if_it_says_so() -> None:
    """A reload changes that for connections that are open."""
    policy = AccessPolicy(lambda: ("7",), own_uid=OWN_UID)
    scope = SocketScope(("*",))
    peers = [Peer(uid, frozenset(), scope=scope) for uid in (0, OWN_UID, 7, 8)]
    assert [policy.is_admin(peer) for peer in peers] == [False, False, False, False]
    scope.admin = True
    assert [policy.is_admin(peer) for peer in peers] == [True, True, True, False]


def test_an_unknown_token_costs_what_a_hidden_one_costs() -> None:
    """The same questions to the kernel; root and the daemon know that nothing is hidden from them."""
    hidden = FakeHeld(access=BOT)

    def asked(uid: int, *, known: bool, units_before: bool) -> tuple[int, bool]:
        policy = AccessPolicy(lambda: (), own_uid=OWN_UID)
        if units_before:
            policy.may_read(Peer(STRANGER, frozenset()), hidden)
        connection = Answering(failing(errno.ENOPROTOOPT if uid in (0, OWN_UID) else errno.ESRCH))
        peer = Peer(uid, frozenset(), cast("socket.SocketType", connection))
        denied = not policy.may_read(peer, hidden, "a") if known else policy.could_be_hidden(peer, "a")
        return connection.asked, denied

    assert asked(5, known=True, units_before=True) == asked(5, known=False, units_before=True) == (1, True)
    assert asked(5, known=False, units_before=False) == (0, True)
    for uid in (0, OWN_UID):
        assert asked(uid, known=True, units_before=True) == asked(uid, known=False, units_before=True) == (1, False)
    scoped = Peer(0, frozenset(), scope=SocketScope(("a",)))
    policy = AccessPolicy(lambda: (), own_uid=OWN_UID)
    assert policy.could_be_hidden(scoped, "b")
    assert policy.could_be_hidden(scoped, "a")
    assert policy.could_be_hidden(contained(0), "a")


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


def test_an_open_token_names_nobody() -> None:
    """Nothing has to be looked up for it."""
    assert names_of(FakeHeld()) == []
    assert {one.text for one in names_of(FakeHeld(access=BOT))} == {"1001", "2002"}
