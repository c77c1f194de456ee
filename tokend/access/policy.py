"""Access decisions: which peer may read or manage which token, and which tokens may be handed out at all."""

import grp
import os
import pwd
import time
from collections.abc import Callable, Collection

import structlog

from tokend.access.peer import Peer
from tokend.access.units import UnitUnknownError, matches
from tokend.plugin.settings import ProviderSettings
from tokend.values.instant import Instant
from tokend.values.tokens import Lease

# A change of the user database is noticed after this time; a lookup per request would overload LDAP.
NAMES_KEPT_SECONDS = 30.0


def answerable(lease: Lease | None, now: Instant) -> bool:
    """Return whether a lease may be handed out now: there is one, and its token has not expired."""
    return lease is not None and lease.token.is_valid(now)


def is_public(settings: ProviderSettings) -> bool:
    """Return whether every peer that can connect may read the token: it has no ``access`` table."""
    return settings.access is None


def unit_may_read(unit: str, settings: ProviderSettings) -> bool:
    """Return whether systemd may hand a token to a unit as a credential.

    Only ``access.units`` counts: without it, no unit gets the token on credentials.sock.
    """
    access = settings.access
    return access is not None and matches(unit, access.units)


class AccessPolicy:
    """Decide what a peer may do. Root and the daemon's own uid may do everything, except in containers.

    In a container (`Peer.is_contained`) nobody is an administrator, and ``access`` counts for every uid. On a socket
    with a scope ``access`` counts for every uid, too, and there are administrators only if the scope says so.

    ``admins`` returns user names or numeric uids as configured now. If the host cannot name units, one warning says
    why.
    """

    def __init__(self, admins: Callable[[], Collection[str]], *, own_uid: int | None = None) -> None:
        self._almighty = frozenset((0, os.geteuid() if own_uid is None else own_uid))
        self._admins = admins
        self._users = _Names(lambda name: pwd.getpwnam(name).pw_uid)
        self._groups = _Names(lambda name: grp.getgrnam(name).gr_gid)
        self._warned: set[str] = set()
        self._uses_units = False

    def is_admin(self, peer: Peer) -> bool:
        """Return whether the peer may reload, forget, and refresh unconditionally."""
        return (
            (peer.scope is None or peer.scope.admin)
            and (peer.uid in self._almighty or any(self._users.number(name) == peer.uid for name in self._admins()))
            and not peer.is_contained
        )

    def is_root_or_ours(self, peer: Peer) -> bool:
        """Return whether the peer may read what the daemon may read: root's uid or the daemon's own, and an admin."""
        return peer.uid in self._almighty and self.is_admin(peer)

    def may_read(self, peer: Peer, settings: ProviderSettings, name: str = "") -> bool:
        """Return whether the peer may read the token ``name``, and see that there is one.

        Without an ``access`` table, every peer that can connect may. Without ``name``, a peer of a socket that is for
        some tokens may not.
        """
        access, scope = settings.access, peer.scope
        if scope is not None and not scope.has(name):
            return False
        return (
            access is None
            or (peer.uid in self._almighty and scope is None and not peer.is_contained)
            or any(self._users.number(name) == peer.uid for name in access.users)
            or any(self._groups.number(name) in peer.groups for name in access.groups)
            or (bool(access.units) and self._in_units(peer, access.units))
        )

    def could_be_hidden(self, peer: Peer, name: str) -> bool:
        """Return whether a token that does not exist might exist and be hidden, as far as the peer knows.

        Does the work of `may_read` for a hidden token, so that the time of an answer does not say which tokens exist.
        Units are looked at if any token has had some.
        """
        scope = peer.scope
        if scope is not None and not scope.has(name):
            return True
        if peer.uid in self._almighty and scope is None and not peer.is_contained:
            return False
        _ = self._users.number("root") == peer.uid
        _ = self._groups.number("root") in peer.groups
        if self._uses_units:
            self._in_units(peer, ("-",))
        return True

    def _in_units(self, peer: Peer, patterns: Collection[str]) -> bool:
        self._uses_units = True
        try:
            return peer.unit is not None and matches(peer.unit, patterns)
        except UnitUnknownError as error:
            if str(error) not in self._warned:
                self._warned.add(str(error))
                structlog.get_logger("tokend.api").warning("units.unknown", detail=str(error))
            return False


class _Names:
    """Names to numbers, kept for a short while. A numeric name is its own number; an unknown name has none (None)."""

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
