"""Access decisions: which peer may read or manage which token, and which tokens may be handed out at all."""

import grp
import os
import pwd
import time
from collections.abc import Callable, Collection

import structlog

from tokend.access.peer import Peer
from tokend.access.units import UnitUnknownError, matches
from tokend.plugin.settings import Access
from tokend.values.instant import Instant
from tokend.values.tokens import Lease

# A change of the user database is noticed after this long; a lookup per request would hammer LDAP.
NAMES_KEPT_SECONDS = 30.0


def answerable(lease: Lease | None, now: Instant) -> bool:
    """Tell whether a lease may be handed out now: there is one, and its token has not expired."""
    return lease is not None and lease.token.is_valid(now)


class PeerRules:
    """Decide what a peer may do. Root and the daemon's own uid may do everything.

    ``admins`` gives user names or numeric uids as configured now. Why no peer's unit can be told is warned of once.
    """

    def __init__(self, admins: Callable[[], Collection[str]], *, own_uid: int | None = None) -> None:
        self._almighty = frozenset((0, os.geteuid() if own_uid is None else own_uid))
        self._admins = admins
        self._users = _Names(lambda name: pwd.getpwnam(name).pw_uid)
        self._groups = _Names(lambda name: grp.getgrnam(name).gr_gid)
        self._warned: set[str] = set()

    def is_admin(self, peer: Peer) -> bool:
        """Tell whether the peer may reload, forget, and refresh unconditionally."""
        return peer.uid in self._almighty or any(self._users.number(name) == peer.uid for name in self._admins())

    def may_read(self, peer: Peer, access: Access | None) -> bool:
        """Tell whether the peer may see a token at all; without a table whoever may connect may read."""
        return (
            access is None
            or peer.uid in self._almighty
            or any(self._users.number(name) == peer.uid for name in access.users)
            or any(self._groups.number(name) in peer.groups for name in access.groups)
            or (bool(access.units) and self._in_units(peer, access.units))
        )

    def _in_units(self, peer: Peer, patterns: Collection[str]) -> bool:
        try:
            return peer.unit is not None and matches(peer.unit, patterns)
        except UnitUnknownError as error:
            if str(error) not in self._warned:
                self._warned.add(str(error))
                structlog.get_logger("tokend.api").warning("units.unknown", detail=str(error))
            return False


class _Names:
    """Names to numbers, remembered for a short while; a numeric name is itself, an unknown one is nobody's (None)."""

    def __init__(self, look_up: Callable[[str], int]) -> None:
        self._look_up = look_up
        self._known: dict[str, tuple[float, int | None]] = {}

    def number(self, name: str) -> int | None:
        now = time.monotonic()
        until, number = self._known.get(name, (0.0, None))
        if now >= until:
            number = self._fresh(name)
            self._known[name] = (now + NAMES_KEPT_SECONDS, number)
        return number

    def _fresh(self, name: str) -> int | None:
        try:
            return self._look_up(name)
        except (KeyError, OSError, ValueError):
            return int(name) if name.isascii() and name.isdigit() else None
