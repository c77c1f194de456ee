"""Difference between an upstream's clock and this machine's, and the warning about it. Pure."""

from datetime import datetime

from tokend.values.instant import Instant
from tokend.values.status import StatusWarning

# Vendors' signatures and JWTs tolerate a minute or more (`plugin.response_status`): a smaller difference is harmless.
FAR_SECONDS = 60.0
CODE = "upstream_clock"


def clock_warnings(host: str | None, upstream_now: datetime, now: Instant) -> tuple[StatusWarning, ...]:
    """Warn of an upstream's clock that is far from ours; nothing for kinds without an upstream."""
    offset = (upstream_now - now.wall).total_seconds()
    if host is None or abs(offset) < FAR_SECONDS:
        return ()
    side = "ahead of" if offset > 0 else "behind"
    text = f"the clock of {host} is {_minutes(abs(offset))} {side} this machine's: tokend corrects times by it"
    return (StatusWarning(CODE, f"{text}; find out with `timedatectl` which of the two is wrong"),)


def _minutes(seconds: float) -> str:
    """Say a difference in hours and minutes: its seconds are no more exact than the network."""
    hours, minutes = divmod(round(seconds / 60), 60)
    return " ".join(f"{number} {unit}" for number, unit in ((hours, "h"), (minutes, "min")) if number)
