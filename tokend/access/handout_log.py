"""Audit lines of tokens that were handed out: to whom, which generation, on which way; never the value.

One line per uid and token a second at most. The first hand-out is logged at once, those of the rest of the second in
one line at its end, with their number: none is lost.
"""

import asyncio
from dataclasses import dataclass, field

from tokend.access.peer import NOBODY, Peer
from tokend.access.units import UnitUnknownError
from tokend.machine.logs import get_unfiltered_logger

# Minimum time between two lines of a uid and a token.
LINE_SECONDS = 1.0

_log = get_unfiltered_logger()


@dataclass(slots=True, eq=False)
class _Pending:
    """Hand-outs of one uid and token that are not logged yet, and the end of the second."""

    timer: asyncio.TimerHandle
    count: int = 0
    generation: int | None = None
    # Each once, in the order of the first hand-out.
    units: dict[str, None] = field(default_factory=dict)
    ways: dict[str, None] = field(default_factory=dict)


class HandoutLog:
    """The log of hand-outs of one daemon, on the running loop, while it is ``on``."""

    def __init__(self, *, on: bool = False) -> None:
        self.on = on
        self._pending: dict[tuple[int, str], _Pending] = {}

    def switch(self, on: bool) -> None:
        """Log hand-outs from now on, or none."""
        self.on = on
        if not on:
            self.close()

    def record(self, peer: Peer, token: str, generation: int | None, way: str, *, unit: str | None = None) -> None:
        """Record that the peer got a token: logged now, or with others at the end of the second.

        ``generation`` is None for on-demand tokens. ``unit`` is the one that systemd asks for; without it the peer's
        own counts, where it is known.
        """
        if not self.on:
            return
        unit = unit or _unit_of(peer)
        key = peer.uid, token
        if (pending := self._pending.get(key)) is None:
            _write(key, 1, unit, generation, way)
            self._pending[key] = _Pending(self._later(key))
            return
        pending.count += 1
        pending.generation = generation
        pending.ways[way] = None
        if unit is not None:
            pending.units[unit] = None

    def close(self) -> None:
        """Log what is not logged yet."""
        for key, pending in self._pending.items():
            pending.timer.cancel()
            _write_pending(key, pending)
        self._pending.clear()

    def _later(self, key: tuple[int, str]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(LINE_SECONDS, self._end, key)

    def _end(self, key: tuple[int, str]) -> None:
        pending = self._pending.pop(key)
        _write_pending(key, pending)
        if pending.count:  # the next line is a second away again
            self._pending[key] = _Pending(self._later(key))


def _write_pending(key: tuple[int, str], pending: _Pending) -> None:
    if pending.count:
        _write(key, pending.count, ",".join(pending.units) or None, pending.generation, ",".join(pending.ways))


def _write(key: tuple[int, str], count: int, unit: str | None, generation: int | None, way: str) -> None:
    uid, token = key
    fields = {"uid": None if uid == NOBODY.uid else uid, "unit": unit, "token": token, "generation": generation}
    _log.info("token.handed_out", **fields, way=way, count=count)


def _unit_of(peer: Peer) -> str | None:
    try:
        return peer.unit
    except UnitUnknownError:
        return None
