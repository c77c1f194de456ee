"""The tokens that one target must hold: the sink's own and the others of its content, and the wanted state now."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tokend.engine.context.context import Context
from tokend.engine.records.record import Record
from tokend.machine.event import Event
from tokend.values.instant import Instant
from tokend.values.tokens import Lease, unix

Leases: TypeAlias = tuple[Lease, dict[str, Lease]]
"""The lease of a sink's own token, and those of its other tokens by name."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The wanted state of the target: one lease of each name, or nothing. No write is needed for an equal state.

    ``generations`` are those of the sink's token and of the other tokens, in this order, and ``ends`` their ends in
    Unix seconds: the same token may get a later end.
    """

    action: Literal["write", "remove"]
    generations: tuple[int, ...]
    ends: tuple[int | None, ...]

    def renews(self, other: "Wanted | None") -> bool:
        """Return whether this is ``other`` with another end of a token."""
        return other is not None and (self.action, self.generations) == (other.action, other.generations)


class TargetTokens:
    """The records of the token ``name`` and of ``others``.

    ``removes`` returns, for a token's name, whether the sink must remove the token at its end.
    """

    __slots__ = ("_context", "_removes", "name", "others")

    def __init__(self, name: str, others: tuple[str, ...], *, removes: Callable[[str], bool], context: Context) -> None:
        self.name = name
        self.others = tuple(dict.fromkeys(other for other in others if other != name))
        self._removes = removes
        self._context = context

    def changed(self) -> Event:
        """Return the event of the next change of any of the tokens. Take it before reading anything else."""
        return self._context.store.changed(self.name, *self.others)

    def to_write(self) -> Wanted:
        """Return the state in which the target holds the present tokens."""
        return self._wanted("write")

    def wanted(self, now: Instant) -> tuple[Wanted | None, str | None]:
        """Return the wanted state: write if all tokens are valid, remove if one must not be there any longer.

        The state is None if the target must stay as it is. The second value says what the sink waits for, or is None.
        """
        missing, older = [], []
        for name, record in self._records().items():
            if record.is_outdated:
                older.append(name)
            if record.lease is None:
                if record.withdrawn:
                    return self._wanted("remove"), None
                missing.append(name)
            elif not record.lease.token.is_valid(now):
                if self._removes(name):
                    return self._wanted("remove"), None
                missing.append(name)
        if self.name in missing:
            return None, None
        if missing or older:
            return None, f"a valid token of {', '.join(missing)}" if missing else f"a newer token of {', '.join(older)}"
        return self.to_write(), None

    def leases(self) -> tuple[Lease | None, dict[str, Lease]]:
        """Return the lease of the sink's token, and those of the other tokens by name."""
        leases = {name: record.lease for name, record in self._records().items() if record.lease is not None}
        return leases.pop(self.name, None), leases

    def valid_leases(self, now: Instant) -> Leases | None:
        """Return the leases if all of them are valid, and none is older than a token that was published."""
        lease, others = self.leases()
        if lease is None or any(one.lease is None or one.is_outdated for one in self._records().values()):
            return None
        return (lease, others) if all(one.token.is_valid(now) for one in (lease, *others.values())) else None

    def _wanted(self, action: Literal["write", "remove"]) -> Wanted:
        records = self._records().values()
        return Wanted(action, tuple(one.generation for one in records), tuple(_end(one.lease) for one in records))

    def _records(self) -> dict[str, Record]:
        return {name: self._context.store.get(name) for name in (self.name, *self.others)}


def _end(lease: Lease | None) -> int | None:
    ends = None if lease is None else lease.token.expires_at
    return None if ends is None else unix(ends.wall)
