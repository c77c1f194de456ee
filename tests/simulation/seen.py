"""Last observation of one provider."""

from dataclasses import dataclass, field

from tokend.engine.records.record import Record


@dataclass
class Seen:
    """What was last seen of one provider."""

    value: str | None = None
    generation: int = 0
    ends: float | None = None
    adrift: bool = False  # what was believed of that end was a boot clock's word
    wall_error: float = 0.0  # when its token was made
    told_expired: int = 0
    may_lose: bool = False
    given: str | None = None  # the token that the upstream gave last
    forgotten: set[str] = field(default_factory=set)  # tokens that a person had dropped
    forgetting: bool = False  # a person's wish to forget it is being carried out
    changed_at: float = -1.0
    turn: object = None
    due_since: float | None = None
    busy_since: float | None = None
    record: Record | None = None  # the last one in this process
    before: Record | None = None  # the one before its last request was noted
