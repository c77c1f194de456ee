"""Status of one provider and of one sink, as values. They never hold a secret."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class State(StrEnum):
    """The states of a provider. The validity of its token is a separate field."""

    PENDING = "pending"
    VALID = "valid"
    FAILING = "failing"
    EXPIRED = "expired"
    REJECTED = "rejected"
    LOGIN_REQUIRED = "login_required"
    ON_DEMAND = "on_demand"


@dataclass(frozen=True, slots=True)
class Failure:
    """The last error: its class (`TokendError.reason`), the operator's sentence, and when (aware UTC)."""

    reason: str
    detail: str
    at: datetime


@dataclass(frozen=True, slots=True)
class SinkStatus:
    """One sink. ``label`` is its kind and index (``raw-1``); ``state`` is ``pending``, ``ok``, ``failing``.

    ``path`` is the file or socket on this machine, None for remote sinks. ``required`` says whether the sink counts for
    readiness; ``error`` is the operator's sentence or None.
    """

    kind: str
    label: str
    target: str
    path: str | None
    state: str
    required: bool
    last_success_at: datetime | None
    error: str | None


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """One provider. Times are aware UTC; ``seconds_left`` is boot time and never below 0.

    ``note`` is a permanent remark for the operator (for example: the token cannot be renewed), or None.
    """

    name: str
    kind: str
    state: State
    valid: bool
    expires_at: datetime | None
    refresh_at: datetime | None
    generation: int | None
    fingerprint: str | None
    required: bool
    seconds_left: float | None
    failures: int
    last_error: Failure | None
    next_attempt_at: datetime | None
    sinks: tuple[SinkStatus, ...]
    note: str | None = None
