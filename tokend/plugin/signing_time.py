"""Errors for a refusal of something that was signed here with a time: wrong credentials, or a wrong clock."""

from typing import NoReturn

from tokend.plugin.http_exchange import UpstreamReply
from tokend.values.errors import ClockError, RejectedError

# Less is no difference: `Date` has whole seconds, signed times are rounded down, and a few seconds are tolerated.
LEAST_SECONDS = 6.0


def refuse_signed(reply: UpstreamReply, message: str, *, signed_at: float) -> NoReturn:
    """Raise `ClockError` if the signed time differs measurably from the reply's `Date`, else `RejectedError`.

    ``signed_at`` is the present moment in Unix seconds by which the times were signed. An earlier reply may have
    corrected it already: then the upstream's clock is no reason a second time.
    """
    wrong_by = reply.offset - (signed_at - reply.sent_at.wall.timestamp())
    if reply.date is not None and abs(wrong_by) > LEAST_SECONDS:
        behind = f"{abs(wrong_by):.0f} s {'behind' if wrong_by > 0 else 'ahead of'} the upstream's clock"
        raise ClockError(f"{message}; its time was {behind}", offset=reply.offset)
    raise RejectedError(message)
