"""One finding of `tokend doctor`."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["info", "warning", "error"]
NOTHING_TO_DO = "nothing to do"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, and what to do. ``code`` is for programs; an error is why tokens are missing or will be."""

    level: Level
    code: str
    message: str
    advice: str = NOTHING_TO_DO
