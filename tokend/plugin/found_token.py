"""A token as a program prints it or a file holds it, with what is said about its end; and its dates. Pure.

`token_formats` finds it in a text.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, TypeVar

from tokend.plugin.http_exchange import UpstreamReply
from tokend.plugin.token_expiry import MISSING, expiry
from tokend.values.errors import TransientError
from tokend.values.instant import Instant
from tokend.values.secret import Secret
from tokend.values.tokens import Token

T = TypeVar("T")
# An end that moves by less is the same end: it was computed from another reading of the clock.
SAME_END_SECONDS = 1.0
CUT = "the beginning of a JWT, whose rest is missing: discarded"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a token comes from: its name for messages, and the verb: it ``printed`` a token, or it ``holds`` one."""

    name: str
    does: Literal["printed", "holds"]

    def fault(self, text: str) -> TransientError:
        """Return the error for a text that has a fault."""
        return TransientError(f"{self.name} {self.does} {text}")

    def said(self, call: Callable[[], T]) -> T:
        """Call, and say of this source what errors say of an upstream that has answered."""
        try:
            return call()
        except TransientError as error:
            told = error.detail.replace(" answered without a token", f" {self.does} no token")
            raise TransientError(told.replace(" answered with ", f" {self.does} ")) from None


@dataclass(frozen=True, slots=True)
class FoundToken:
    """A token and what is said beside it. ``ends`` are absolute times, ``lasts`` a number of seconds, as they came."""

    source: Source
    value: Secret
    token_type: str = "Bearer"  # noqa: S105  (a scheme's name)
    ends: tuple[Any, ...] = ()
    lasts: Any = MISSING
    headers: Mapping[str, Secret] | None = None
    extra: Mapping[str, Secret] = field(default_factory=dict)

    def token(
        self, *, now: Instant, counted_from: Instant, lifetime: timedelta | None = None, previous: Token | None = None
    ) -> Token:
        """Date the token at ``now``. Lifetimes count from ``counted_from``; ``lifetime`` counts if no end is said.

        The earliest end counts, a JWT's own included. ``previous`` is the valid token held. If it is the same token,
        an absolute end, or another ``lifetime``, may give it another end (`Token.is_extended`); the seconds of a
        cached answer do not.
        """
        # What a program has printed is whole.
        if previous is not None and self.source.does == "holds" and _is_shorter_jwt(self.value, previous.value):
            raise self.source.fault(CUT)
        same = previous if previous is not None and previous.value == self.value else None
        absolute = self._absolute_end(now)
        relative = None if self.lasts is MISSING else self._expiry(counted_from, relative=self.lasts)
        told = [end for end in (absolute, relative) if end is not None]
        issued = counted_from if absolute is None and (relative is not None or lifetime is not None) else now
        if not told and lifetime is not None:
            issued = issued if same is None else same.issued_at
            told.append(issued.after(lifetime.total_seconds()))
        end = min(told, key=lambda one: one.boot, default=None)
        if end is not None and now.until(end) <= 0:
            raise self.source.fault("a token that has expired already: discarded")
        # A text that says no end at all does not make the token endless.
        may_move = absolute is not None or (relative is None and end is not None)
        return Token(
            value=self.value,
            token_type=self.token_type,
            issued_at=issued,
            expires_at=end,
            headers=self._headers(),
            extra=dict(self.extra),
            is_extended=same is not None and may_move and _differ(same.expires_at, end),
        )

    def _absolute_end(self, now: Instant) -> Instant | None:
        """Return the earliest of the absolute ends and the JWT's own."""
        found = [self._expiry(now, absolute=one) for one in (*self.ends, MISSING)]
        return min((one for one in found if one is not None), key=lambda one: one.boot, default=None)

    def _expiry(self, sent_at: Instant, **said: Any) -> Instant | None:
        return self.source.said(lambda: expiry(_answered_at(sent_at), self.value, host=self.source.name, **said))

    def _headers(self) -> dict[str, Secret]:
        if self.headers is not None:
            return dict(self.headers)
        return {"Authorization": Secret(f"{self.token_type} {self.value.reveal()}")}


def _is_shorter_jwt(value: Secret, before: Secret) -> bool:
    """Return whether a JWT has the header of the one before and a shorter signature: one key's are equally long."""
    parts, known = value.reveal().split("."), before.reveal().split(".")
    return len(parts) == len(known) == 3 and parts[0] == known[0] and len(parts[2]) < len(known[2])


def _differ(before: Instant | None, now: Instant | None) -> bool:
    if before is None or now is None:
        return before is not now
    return abs(before.until(now)) > SAME_END_SECONDS


def _answered_at(moment: Instant) -> UpstreamReply:
    """Return a reply of that moment, by our own clock: `expiry` reads times of replies."""
    return UpstreamReply(200, {}, b"", moment, None, 0.0)
