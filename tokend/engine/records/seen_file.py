"""`SeenFile`: what a provider's record remembers of its login file. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tokend.engine.records.codec_values import count, text
from tokend.engine.records.login_record import NO_LOGINS, LoginRecord
from tokend.engine.records.login_states import LoginMoves


@dataclass(frozen=True, slots=True)
class SeenFile:
    """The login file at ``path`` as it was read last: an older one is refused.

    ``number`` is the number of its last write, 0 before it was there. ``withdrawals`` counts the times that a logout,
    or the login of another account, took the token from everybody. ``own`` are the logins of the record itself: one
    moves into the file where that has none.
    """

    path: str
    number: int = 0
    withdrawals: int = 0
    own: LoginRecord = NO_LOGINS

    def moved(self, moves: LoginMoves) -> "SeenFile":
        """Give the own logins the boot times of another boot."""
        return replace(self, own=self.own.moved(moves))


def dump_seen(seen: SeenFile) -> dict[str, Any]:
    """Encode all but ``own``."""
    return {"path": seen.path, "number": seen.number, "withdrawals": seen.withdrawals}


def load_seen(document: Mapping[str, Any], own: LoginRecord) -> SeenFile:
    """Decode what `dump_seen` encoded. Raises LookupError or TypeError for anything else."""
    return SeenFile(text(document["path"]), count(document["number"]), count(document["withdrawals"]), own)
