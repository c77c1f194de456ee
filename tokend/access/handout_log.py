"""Audit lines of tokens that were handed out: to whom, which generation, on which way; never the value.

One line per uid and token a second at most. The first hand-out is logged at once, those of the rest of the second in
one line at its end, with their number: none is lost.
"""

from dataclasses import dataclass, field
from functools import partial

from tokend.access.peer import NOBODY, Peer
from tokend.access.units import UnitUnknownError
from tokend.machine.counted_log import CountedLog
from tokend.machine.logs import get_unfiltered_logger

_log = get_unfiltered_logger()


@dataclass(slots=True, eq=False)
class _Facts:
    """What the hand-outs of one line have in common or not: each unit and way once, in the order of the first one."""

    generation: int | None = None
    units: dict[str, None] = field(default_factory=dict)
    ways: dict[str, None] = field(default_factory=dict)


class HandoutLog:
    """The log of hand-outs of one daemon, while it is ``on``. ``lines`` must have a line of its own for each key."""

    def __init__(self, lines: CountedLog, *, on: bool = False) -> None:
        self.on = on
        self._lines = lines
        self._facts: dict[tuple[int, str], _Facts] = {}

    def switch(self, on: bool) -> None:
        """Log hand-outs from now on, or none."""
        self.on = on
        if not on:
            self._lines.flush()

    def record(self, peer: Peer, token: str, generation: int | None, way: str, *, unit: str | None = None) -> None:
        """Record that the peer got a token: logged now, or with others at the end of the second.

        ``generation`` is None for on-demand tokens. ``unit`` is the one that systemd asks for; without it the peer's
        own counts, where it is known.
        """
        if not self.on:
            return
        key = peer.uid, token
        facts = self._facts.setdefault(key, _Facts())
        facts.generation = generation
        facts.ways[way] = None
        if (unit := unit or _unit_of(peer)) is not None:
            facts.units[unit] = None
        self._lines.line(key, partial(self._write, key))

    def _write(self, key: tuple[int, str], count: int) -> None:
        (uid, token), facts = key, self._facts.pop(key)
        _log.info(
            "token.handed_out",
            uid=None if uid == NOBODY.uid else uid,
            unit=",".join(facts.units) or None,
            token=token,
            generation=facts.generation,
            way=",".join(facts.ways),
            count=count,
        )


def _unit_of(peer: Peer) -> str | None:
    try:
        return peer.unit
    except UnitUnknownError:
        return None
