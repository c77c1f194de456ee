"""Access decisions: users, groups, units."""

import errno
import socket
from typing import cast

from tests.access.test_units import Answering, failing
from tests.httpd.served import logged
from tokend.access.peer import Peer
from tokend.access.policy import PeerRules
from tokend.plugin.settings import Access

STRANGER = 54321
BOT = Access(users=("1001",), groups=("2002",), units=("bot.service", "bot@*.service"))


def test_one_of_the_units_passes() -> None:
    """As `units` of credentials.sock: `*`, `?`, capitals count; a peer without a unit never passes, not even `*`."""

    class InUnit(Peer):
        unit: str | None = None  # type: ignore[assignment]

    def may(unit: str | None, *patterns: str) -> bool:
        peer = InUnit(STRANGER, frozenset((STRANGER,)))
        peer.__dict__["unit"] = unit
        return PeerRules(lambda: ()).may_read(peer, Access(units=patterns or BOT.units))

    assert may("bot.service")
    assert may("bot@1.service")
    assert may("other.service", "*")
    assert not may("other.service")
    assert not may("Bot.service")
    assert not may("xbot.service")
    assert not may(None, "*")
    assert not PeerRules(lambda: ()).may_read(Peer(STRANGER, frozenset()), Access(units=("*",)))


def test_the_unit_is_asked_for_only_where_nothing_else_passes_and_once() -> None:
    """Users, groups, root, the daemon and tokens without units cost nothing; the answer is the connection's."""
    rules = PeerRules(lambda: (), own_uid=4242)

    def asked(access: Access | None, uid: int = STRANGER, *groups: int) -> int:
        connection = Answering(failing(errno.ESRCH))
        peer = Peer(uid, frozenset(groups), cast("socket.SocketType", connection))
        rules.may_read(peer, access)
        rules.may_read(peer, access)
        return connection.asked

    assert asked(BOT) == 1
    assert asked(BOT, 1001) == asked(BOT, STRANGER, 2002) == asked(BOT, 0) == asked(BOT, 4242) == 0
    assert asked(None) == asked(Access(users=("1001",))) == asked(Access()) == 0


def test_a_host_that_does_not_tell_is_warned_of_once() -> None:
    """An old kernel: nobody passes by units, the others do, and one line says what to do."""
    rules = PeerRules(lambda: ())
    with logged() as lines:
        for _ in range(3):
            connection = cast("socket.SocketType", Answering(failing(errno.ENOPROTOOPT)))
            assert not rules.may_read(Peer(STRANGER, frozenset(), connection), Access(units=("*",)))
            assert rules.may_read(Peer(1001, frozenset(), connection), BOT)
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("units.unknown", "warning")
    assert "Linux 6.5" in line["detail"]
