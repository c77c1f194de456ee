"""P3: what each provider asked its upstream, held against the budgets of docs/promises.md. Times are the truth."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.machine import HOUR

# Rounding of instants, and a server's whole seconds.
GRAIN = 0.01


@dataclass
class Attempt:
    """One attempt of a held provider."""

    mark: str
    account: str
    asks: list[float] = field(default_factory=list)  # when its requests left
    result: str = "under way"


@dataclass
class Ledger:
    """One provider's requests. ``hold(condition, what)`` notes what no promise allows."""

    hold: Callable[[bool, str], None]
    local: bool = False
    pace: float = 1.0
    last: Attempt | None = None  # the last one that asked something
    run: list[float] = field(default_factory=list)  # requests since the last success
    ends: list[float] = field(default_factory=list)  # of the token held during this run, as it is believed
    wishes: list[float] = field(default_factory=list)  # of readers and persons
    orders: list[float] = field(default_factory=list)  # of persons: each may cost a request beyond the budget
    refusals: int = 0
    allowed: int = 2
    secrets: int = 0  # how often the credentials were replaced
    unsettled: bool = False  # a refusal came that is not yet stored
    pauses: dict[str, float] = field(default_factory=dict)  # host: until when it asked this one to leave it alone

    # ------------------------------------------------------------ what happens

    def asked(self, attempt: Attempt, now: float, *, reason: str | None) -> None:
        """A request leaves; ``reason`` is why the attempt was due, None if it is unknown."""
        if self.local:
            return
        if not attempt.asks:
            self._first(attempt, now, reason)
        attempt.asks.append(now)
        self.last = attempt
        self.run.append(now)
        self._judge(now)

    def _first(self, attempt: Attempt, now: float, reason: str | None) -> None:
        self.hold(reason is not None, "it asked without a reason")
        if self.last is None:
            return
        gap = now - self.last.asks[0]
        since = now - self.last.asks[-1]
        fine = self.last.result == "token"
        # On demand and after a failure, or with a reason of the timer's own.
        least = self.pace if fine and reason == "timer" else max(self.pace, 5.0)
        self.hold(gap >= least - GRAIN, f"asked again ({reason}) {gap:.2f} s after {self.last.result}")
        self.hold(since >= self.pace - GRAIN, f"asked again {since:.2f} s after a request")

    def _judge(self, now: float) -> None:
        """Hold the outage against its budgets."""
        self._forget_old(now)
        begun = self.run[0]
        first = [ask for ask in self.run if ask < begun + HOUR]
        if now < begun + HOUR:
            self.hold(len(first) <= 80 + self._orders(begun), f"{len(first)} requests in an outage's first hour")
            return
        since = max(now - HOUR, begun + HOUR)
        hour = [ask for ask in self.run if ask > since]
        near = any(since - HOUR <= end <= now + HOUR for end in self.ends)
        most = (40 if near else 20) + self._orders(since)
        what = "around the expiry" if near else "of an outage"
        self.hold(len(hour) <= most, f"{len(hour)} requests in an hour {what}, {most} are allowed")

    def _orders(self, since: float) -> int:
        return sum(order >= since - 60 for order in self.orders)

    def _forget_old(self, now: float) -> None:
        if len(self.run) > 400:
            del self.run[1:200]
        self.wishes = self.wishes[-50:]
        self.orders = self.orders[-50:]

    def succeeded(self, attempt: Attempt, ends: float | None) -> None:
        """A token came."""
        attempt.result = "token"
        self.run, self.ends = [], [] if ends is None else [ends]
        self.refusals, self.allowed, self.unsettled = 0, 2, False

    def refused(self) -> None:
        """The upstream refused the credentials, and the answer arrived."""
        self.refusals += 1
        self.unsettled = True
        self.hold(self.refusals <= self.allowed, f"{self.refusals} refusals of the same credentials")

    # ------------------------------------------------------------ what excuses

    def wished(self, now: float) -> None:
        """A reader, or a person, wants an attempt."""
        self.wishes.append(now)

    def requested(self, now: float, *, new_credentials: bool = False, other_way: bool = False) -> None:
        """A person changed something, or resumed it.

        With the flags, the credentials have changed; requests go elsewhere from here on, or in another way: the outage
        was another one's.
        """
        if other_way:
            self.run, self.ends = [], []
        self.wished(now)
        self.orders.append(now)
        # Each of several wishes may cause an attempt, before the first of them was refused.
        self.allowed = max(self.allowed + 1, self.refusals + 1)
        if new_credentials:
            self.secrets += 1
            self.refusals, self.allowed = 0, 2

    def died(self) -> None:
        """The process was killed: what it had learned and not stored is forgotten."""
        self.allowed += self.unsettled
        self.unsettled = False

    def forgotten(self) -> None:
        """The disk lost what was stored."""
        self.last, self.run, self.refusals, self.allowed = None, [], 0, 2


def is_verdict(reply: Any) -> bool:
    """Return whether a simulated host's reply refuses the credentials."""
    return (reply.status == 401 and reply.body == b"{}") or reply.body in (
        b'{"success":false,"errorCode":3}',
        b'{"status":"Fail"}',
    )
