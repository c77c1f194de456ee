"""Access decisions: which peer may read or manage which token, and which tokens may be handed out at all."""

import os
from collections.abc import Callable, Collection, Iterable

import structlog

from tokend.access.names import Kind, Name, Names, NamesInPlace
from tokend.access.peer import Peer
from tokend.access.units import UnitUnknownError, matches
from tokend.plugin.settings import ProviderSettings
from tokend.values.instant import Instant
from tokend.values.tokens import Lease

# A request that needs a name which was never answered waits this long. Then the name is nobody's.
NAME_SECONDS = 2.0


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


def names_of(settings: ProviderSettings) -> list[Name]:
    """Return the users and groups in ``access``, those of ``access.login`` among them."""
    access = settings.access
    if access is None:
        return []
    tables = (access,) if access.login is None else (access, access.login)
    users = (Name(Kind.USER, one) for table in tables for one in table.users)
    return [*users, *(Name(Kind.GROUP, one) for table in tables for one in table.groups)]


class AccessPolicy:
    """Decide what a peer may do. Root and the daemon's own uid may do everything, except in containers.

    In a container (`Peer.is_contained`) nobody is an administrator, and ``access`` counts for every uid. On a socket
    with a scope ``access`` counts for every uid, too, and there are administrators only if the scope says so.

    ``admins`` returns user names or numeric uids as configured now. If the host cannot name units, one warning says
    why.
    """

    def __init__(
        self, admins: Callable[[], Collection[str]], *, own_uid: int | None = None, names: Names | None = None
    ) -> None:
        self._almighty = frozenset((0, os.geteuid() if own_uid is None else own_uid))
        self._admins = admins
        self._names = names or NamesInPlace()
        self._warned: set[str] = set()
        self._uses_units = False

    def is_admin(self, peer: Peer) -> bool:
        """Return whether the peer may reload, forget, log in and out, and refresh unconditionally."""
        return (
            (peer.scope is None or peer.scope.admin)
            and (peer.uid in self._almighty or self._is_admin_uid(peer.uid))
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
            or any(self._user(name) == peer.uid for name in access.users)
            or any(self._group(name) in peer.groups for name in access.groups)
            or (bool(access.units) and self._in_units(peer, access.units))
        )

    def may_log_in(self, peer: Peer, settings: ProviderSettings, name: str = "") -> bool:
        """Return whether the peer may log in and out for the token ``name``: an administrator who may read it, and
        those of ``access.login``, also if they may not read it.
        """
        if self.is_admin(peer) and self.may_read(peer, settings, name):
            return True
        login = None if settings.access is None else settings.access.login
        if login is None or (peer.scope is not None and not peer.scope.has(name)):
            return False
        return any(self._user(one) == peer.uid for one in login.users) or any(
            self._group(one) in peer.groups for one in login.groups
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
        _ = self._user("root") == peer.uid
        _ = self._group("root") in peer.groups
        if self._uses_units:
            self._in_units(peer, ("-",))
        return True

    def has_kept_place(self, uid: int) -> bool:
        """Return whether a uid gets a connection although strangers have taken all places: root, ours, an admin."""
        return uid in self._almighty or self._is_admin_uid(uid)

    @property
    def is_unsettled(self) -> bool:
        """Whether a name was never answered, so that `settle` may have to wait."""
        return self._names.any_unanswered

    async def settle(
        self, peer: Peer, settings: Iterable[ProviderSettings] = (), *, admins: bool = False, login: bool = False
    ) -> None:
        """Wait for names that were never answered and that decide about this peer, for at most `NAME_SECONDS`.

        Those are the names in ``access`` of ``settings`` which no other rule lets the peer read (with ``login``: log
        in), and with ``admins`` those of the administrators.
        """
        needed: set[Name] = set()
        for one in settings:
            needed.update(self._unanswered_by(peer, one, login=login))
        if admins and not self.has_kept_place(peer.uid):
            needed.update(self._names.unanswered(Name(Kind.USER, name) for name in self._admins()))
        if needed:
            await self._names.wait(needed, seconds=NAME_SECONDS)

    def _unanswered_by(self, peer: Peer, settings: ProviderSettings, *, login: bool) -> Collection[Name]:
        waiting = self._names.unanswered(names_of(settings))
        if not waiting:
            return ()
        passes = self.may_log_in(peer, settings) if login else self.may_read(peer, settings)
        return () if passes else waiting

    def _is_admin_uid(self, uid: int) -> bool:
        return any(self._user(name) == uid for name in self._admins())

    def _user(self, name: str) -> int | None:
        return self._names.number(Name(Kind.USER, name))

    def _group(self, name: str) -> int | None:
        return self._names.number(Name(Kind.GROUP, name))

    def _in_units(self, peer: Peer, patterns: Collection[str]) -> bool:
        self._uses_units = True
        try:
            return peer.unit is not None and matches(peer.unit, patterns)
        except UnitUnknownError as error:
            if str(error) not in self._warned:
                self._warned.add(str(error))
                structlog.get_logger("tokend.api").warning("units.unknown", detail=str(error))
            return False
