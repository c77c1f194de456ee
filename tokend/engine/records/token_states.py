"""States of the token that a provider holds, and what its sinks must hold. Pure.

    NoToken    nothing was ever held under this name; sinks keep what they have
    Withdrawn  the token was taken away; sinks must not hold it any longer
    Held       a token, valid or not

A token that arrives leads to `Held` from every state. `Record.withdrawn` leads to `Withdrawn` from every state.
Every state has ``lease``, which is None in the first two: readers look there at each request.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, TypeAlias

from tokend.machine.clock import is_plausible
from tokend.values.instant import Instant
from tokend.values.tokens import Lease

# Smaller differences between the clocks are slewing.
DRIFT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class NoToken:
    """Nothing is held."""

    lease: ClassVar[None] = None


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The token was taken away: it was forgotten, or it belongs to another account."""

    lease: ClassVar[None] = None


@dataclass(frozen=True, slots=True)
class Held:
    """A token, valid or not.

    ``lease.refresh_at`` was made of ``lead_seconds`` (None: a token without an end), ``jitter`` from [0, 1) and
    ``max_age_seconds`` (None: no greatest age).
    ``adrift`` says that the lease is from an earlier boot: its boot times are estimates (`re_anchored`).
    """

    lease: Lease
    lead_seconds: float | None = None
    jitter: float = 0.0
    adrift: bool = False
    max_age_seconds: float | None = None


TokenState: TypeAlias = NoToken | Withdrawn | Held

NO_TOKEN, WITHDRAWN = NoToken(), Withdrawn()


def re_anchored(held: Held, now: Instant) -> Held:
    """Give a lease from an earlier boot the boot times that the wall clock shows now.

    A clock that was wrong at boot is set soon after, and until the first token of this boot the wall clock is the only
    source. While it shows a time before the lease began, or an absurd one, nothing is known and nothing changes.
    """
    if not held.adrift or not is_plausible(now.wall):
        return held
    issued = held.lease.token.issued_at
    age = (now.wall - issued.wall).total_seconds()
    if age < 0 or abs(age - issued.until(now)) < DRIFT_SECONDS:
        return held
    return replace(held, lease=_dated(held.lease, now.boot - age))


def after_reboot(held: Held, now: Instant) -> Held:
    """Give a lease the boot times of a new boot. Nothing expires by an absurd clock."""
    age = (now.wall - held.lease.token.issued_at.wall).total_seconds() if is_plausible(now.wall) else 0.0
    return replace(held, lease=_dated(held.lease, now.boot - max(age, 0.0)), adrift=True)


def _dated(lease: Lease, issued_boot: float) -> Lease:
    """Move the boot times of a lease so that they begin at ``issued_boot``; its wall times and its life stay."""
    origin = lease.token.issued_at.wall

    def moved(moment: Instant | None) -> Instant | None:
        return None if moment is None else replace(moment, boot=issued_boot + (moment.wall - origin).total_seconds())

    token = replace(
        lease.token,
        issued_at=replace(lease.token.issued_at, boot=issued_boot),
        expires_at=moved(lease.token.expires_at),
    )
    return replace(lease, token=token, refresh_at=moved(lease.refresh_at))
