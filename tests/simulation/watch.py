"""Invariants at every moment: docs/promises.md P2, P6, P7 and P8. The module of requests checks P3."""

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

from tests.simulation.kinds import MARK, Spec
from tests.simulation.ledger import GRAIN, Attempt, Ledger, is_verdict
from tests.simulation.seen import Seen
from tokend.engine.held.refresher import Refresher
from tokend.engine.policy.refresh_timing import was_stepped_back
from tokend.plugin.response_status import retry_after
from tokend.plugin.settings_base import Percentage
from tokend.values.errors import AttemptError
from tokend.values.status import State
from tokend.values.tokens import Lease, Token

# How long a change may take to be carried out where nothing hinders it.
PATIENCE = 30.0
CALLS: ContextVar[list[float] | None] = ContextVar("CALLS", default=None)
"""The calls of the `issue` that this task waits for."""


class Watch:
    """Look at everything; ``broken`` lists what no promise allows."""

    def __init__(self, world: Any) -> None:
        self._context = world
        self._machine = world.machine
        self.broken: list[str] = []
        self.accounts: dict[str, str] = {}  # token: whose it is
        self.ledgers: dict[str, Ledger] = {}
        self.seen: dict[str, Seen] = {}
        self.known: set[str] = set()  # tokens
        self.order: dict[tuple[str, str], int] = {}  # name and token (minted in one second, two may be one): generation
        self.owners: dict[str, dict[str, float]] = {}  # token: for whom it was got, and when it ends
        self.generations: dict[str, int] = {}  # by name
        self._under_way: dict[str, Attempt] = {}

    def forget(self, mark: str) -> None:
        """What is known of this provider is not known to the daemon any more."""
        self.ledger(mark).forgotten()
        self.seen[mark] = Seen(may_lose=True)
        name = self._context.names.get(mark, "")
        self.generations.pop(name, None)
        for place in [place for place in self._context.in_files if place[1] == name]:
            del self._context.in_files[place]

    def hold(self, condition: bool, mark: str, what: str) -> None:
        """Note it unless it holds."""
        if not condition:
            self.broken.append(f"{self._machine.elapsed:.3f}: {mark}: {what}")
            self._context.trace.add(f"BROKEN {mark}: {what}")

    def ledger(self, mark: str) -> Ledger:
        """One provider's requests."""
        if mark not in self.ledgers:
            spec: Spec = self._context.specs[mark]
            self.ledgers[mark] = Ledger(
                lambda condition, what: self.hold(condition, mark, what),
                local=spec.kind == "jwt",
                pace=10.0 if spec.kind == "tt" else 1.0,
            )
            self.seen[mark] = Seen()
        return self.ledgers[mark]

    # ------------------------------------------------------------ requests

    def begins(self, process: Any, mark: str) -> Attempt:
        """An attempt begins."""
        attempt = Attempt(mark, self._context.specs[mark].account(self._context.secrets))
        self._under_way[mark] = attempt
        return attempt

    def sent(self, process: Any, mark: str, host: Any, weather: str) -> None:
        """A request leaves."""
        now, spec = self._machine.elapsed, self._context.specs[mark]
        self._context.trace.add(f"{mark} asks {host.name} ({weather})")
        self._context.asked += 1
        ledger = self.ledger(mark)
        if spec.kind == "auth-token":
            calls = CALLS.get()
            if calls is not None:
                self._respects_pauses(mark, host, now, first=not calls)
                calls.append(now)
                self.hold(len(calls) <= 3, mark, f"{len(calls)} calls for one issue")
            return
        attempt = self._under_way[mark]
        if spec.kind == "tt" and not attempt.asks:
            self._takes_turns(mark, spec, now)
        self._respects_pauses(mark, host, now, first=not attempt.asks)
        ledger.asked(attempt, now, reason=self._reason(process, mark, ledger))

    def _takes_turns(self, mark: str, spec: Spec, now: float) -> None:
        """The vendor counts a key's requests, from any sender."""
        for other in self._context.names:
            theirs, last = self._context.specs[other], self.ledger(other).last
            shares = (theirs.kind, theirs.host, theirs.user) == (spec.kind, spec.host, spec.user)
            if other != mark and shares and last is not None:
                gap = now - last.asks[-1]
                self.hold(gap >= 10 - GRAIN, mark, f"asked {gap:.2f} s after {other}, which has the same key")

    def _respects_pauses(self, mark: str, host: Any, now: float, *, first: bool) -> None:
        left = host.paused_until - now
        self.hold(not first or left <= GRAIN, mark, f"asked {host.name} {left:.1f} s before its pause ended")

    def _reason(self, process: Any, mark: str, ledger: Ledger) -> str | None:
        record, now = self.seen[mark].before, self._machine.instant()
        if record is None:
            return "start"
        lease = record.lease
        if record.next_attempt is not None:
            return "failure"
        if self._machine.elapsed - self._machine.upset_at < PATIENCE + 15:
            return "timer"  # it was due by a clock that has been set back meanwhile
        if lease is None or not lease.token.is_valid(now) or was_stepped_back(lease, now):
            return "timer"
        if lease.refresh_at is not None:
            wall = (lease.refresh_at.wall - now.wall).total_seconds()
            if min(now.until(lease.refresh_at), wall) <= GRAIN:
                return "timer"
        last = -1e9 if ledger.last is None else ledger.last.asks[0]
        return "wish" if any(wish >= last - PATIENCE for wish in ledger.wishes) else None

    def replied(self, mark: str, host: Any, reply: Any, *, extends: bool, secrets: int) -> None:
        """A reply arrives: to a request that ``extends`` a token, or to a login with the so-manieth ``secrets``."""
        ledger = self.ledger(mark)
        self._context.trace.add(f"{mark} is answered {reply.status}")
        if reply.status == 429 and (asked := retry_after(reply)) is not None:
            host.paused_until = max(host.paused_until, self._machine.elapsed + asked - GRAIN)
            ledger.unsettled = True
        if is_verdict(reply) and not extends:
            if secrets == ledger.secrets:
                ledger.refused()
            host.trouble_at = self._machine.elapsed

    def failed(self, attempt: Attempt, error: AttemptError) -> None:
        """An attempt failed."""
        attempt.result = error.reason
        self._context.trace.add(f"{attempt.mark} failed: {error.reason}")

    def gave(self, attempt: Attempt, token: Token) -> None:
        """An attempt brought a token."""
        mark, value, spec = attempt.mark, token.value.reveal(), self._context.specs[attempt.mark]
        ends = None if token.expires_at is None else self._machine.truth(token.expires_at)
        self.accounts.setdefault(value, attempt.account)
        if spec.kind != "jwt":
            host = self._context.hosts[spec.host]
            made = host.made[value]
            # A token that had ended when it arrived is not kept.
            believable = made.usable or not token.is_valid(self._machine.instant())
            self.hold(believable, mark, "it believed what cannot be true")
            # A clock that is off by a little, or a reply that was long on its way, says nothing of skew.
            late = 7.0 + host.latency + spec.timeout
            # (The same token again keeps the end that it had.)
            upset = attempt.asks and self._machine.upset_at >= attempt.asks[0]
            # An end by a clock that has been set since says nothing.
            unknowable = upset or value in self.known or made.skew != host.skew
            believed = unknowable or ends is None or ends <= made.ends + late
            self.hold(believed, mark, "a token is said to live longer than it does")
        self._context.trace.add(f"{mark} got a token")
        self.seen[mark].given = value
        # What is refused on arrival is a failure yet.
        if ends is None or ends > self._machine.elapsed:
            self.ledger(mark).succeeded(attempt, ends)

    # ------------------------------------------------------------ what is held, and said

    def noticed(self, process: Any, name: str) -> None:
        """Something about a provider changed."""
        entry = process.supervisor.entries.get(name)
        if entry is None or entry.is_on_demand:
            return
        mark = entry.settings.headers[MARK]
        ledger, seen, worker, now = self.ledger(mark), self.seen[mark], entry.refresher, self._machine.instant()
        lease, record = worker.lease, worker.record
        if seen.record is not None and record.last_attempt is not seen.record.last_attempt:
            seen.before = seen.record
        if seen.record is None or record.failures != seen.record.failures or record.next_attempt is None:
            ledger.unsettled = False
        seen.record = record
        if lease is None:
            lost = seen.value is not None and seen.ends is not None and seen.ends > self._machine.elapsed
            self.hold(not lost or seen.may_lose, mark, "its token was taken away")
            seen.value = None  # should it come again, it is a new one
        else:
            self._holds_lease(mark, seen, lease, record.token.adrift, now)
            if not lease.token.is_valid(now):
                if seen.told_expired != lease.generation:
                    self._ran_out(mark, seen, lease, worker)
                seen.told_expired = lease.generation
            else:
                seen.told_expired = 0
        troubled = worker.state in (State.FAILING, State.REJECTED) or record.failures > 0
        reason = record.last_error or worker.reconciliation.unreadable
        self.hold(not troubled or reason is not None, mark, "trouble without a reason")
        dead = worker.state is not State.REJECTED and worker.next_attempt() is None and lease is None
        self.hold(not dead, mark, "nobody will ask again")

    def _holds_lease(self, mark: str, seen: Seen, lease: Lease, adrift: bool, now: Any) -> None:
        expires = lease.token.expires_at
        assert expires is not None
        ends, value = self._machine.truth(expires), lease.token.value.reveal()
        self.hold(lease.generation >= self.generations.get(lease.name, 0), mark, "its generation fell")
        self.generations[lease.name] = lease.generation
        if value != seen.value:
            worse = seen.ends is not None and ends < seen.ends - 10 and not (seen.may_lose or seen.adrift)
            # A token that the upstream has just given replaces the old one, also when it ends sooner (P2).
            self.hold(not worse or value == seen.given, mark, "replaced by a worse one")
            self.hold(value not in seen.forgotten, mark, "a token that was forgotten is held again")
            # A reload while it was on its way: it is made and saved under the old lead, and looked at again at once.
            if value not in self.known and seen.changed_at < self._machine.truth(lease.token.issued_at):
                self._has_lead(mark, lease)
            seen.may_lose &= seen.forgetting or self.accounts.get(value) != self._context.specs[mark].account(
                self._context.secrets
            )
            seen.wall_error, seen.ends = self._machine.wall_error, ends
            self._context.trace.add(f"{mark} holds another token")
        elif not (adrift or seen.adrift) and seen.ends is not None:
            self.hold(abs(ends - seen.ends) < 1, mark, f"its end was rewritten by {ends - seen.ends:.1f} s")
        ledger = self.ledger(mark)
        if not ledger.ends or abs(ledger.ends[-1] - ends) > 1:
            ledger.ends.append(ends)
        seen.generation, seen.value, seen.ends, seen.adrift = lease.generation, value, ends, adrift
        self.known.add(value)
        self.order[lease.name, value] = lease.generation
        self.owners.setdefault(value, {})[mark] = ends

    def _has_lead(self, mark: str, lease: Lease) -> None:
        """It is replaced in its second half, early enough."""
        token, life = lease.token, lease.token.life_seconds
        if life is None or lease.refresh_at is None:
            return
        age = token.issued_at.until(lease.refresh_at)
        self.hold(age >= 0.44 * life, mark, f"it is to be replaced after {age:.1f} s of {life:.1f} s")
        late = life - age < self.least_lead(mark, life) - GRAIN
        self.hold(not late, mark, f"it is to be replaced {life - age:.0f} s before the end of {life:.0f} s")

    def least_lead(self, mark: str, life: float) -> float:
        """How long before the end of such a life its token must be replaced."""
        lead = self._context.specs[mark].lead
        if isinstance(lead, Percentage):
            wanted = float(lead) * life
        else:
            wanted = 0.2 * life if lead is None else lead.total_seconds()
        return min(wanted, 0.5 * life)

    def _ran_out(self, mark: str, seen: Seen, lease: Lease, worker: Refresher) -> None:
        """P2: with a good upstream, a good disk and a good clock no token runs out."""
        spec, expires = self._context.specs[mark], lease.token.expires_at
        assert expires is not None
        self._context.trace.add(f"{mark} ran out")
        lead = 0.0 if lease.refresh_at is None else lease.refresh_at.until(expires)
        if lease.refresh_at is None or lead < 100 or worker.state is State.REJECTED or seen.may_lose:
            return
        host = self._context.hosts.get(spec.host)
        calm = max(
            -1.0 if host is None or spec.kind == "jwt" else host.not_well_until(),
            self._machine.upset_at, self._machine.disk.trouble_at, seen.changed_at, self._context.began_at,
        )  # fmt: skip
        due = self._machine.truth(lease.refresh_at)
        self.hold(calm >= due - 60, mark, "it ran out although all was well")

    # ------------------------------------------------------------ files

    def wrote(self, path: str, leases: Sequence[Lease]) -> None:
        """A sink wrote."""
        self._context.trace.add(f"{path} is written")
        now = self._machine.instant()
        delayed = "files" in self._context.slow or self._machine.upset_at == self._machine.elapsed
        self.hold(delayed or all(lease.token.is_valid(now) for lease in leases), path, "a dead token is written")
        for lease in leases:
            value = lease.token.value.reveal()
            before, generation = self._context.in_files.get((path, lease.name), (None, 0))
            # That of now: where the wall clock was set back, a token that is signed here may be made a second time.
            written = self.order.get((lease.name, value), 0)
            if before is not None and self.accounts.get(before) == self.accounts.get(value):
                self.hold(written >= generation, path, "an older token replaced a newer one")
            self._context.in_files[path, lease.name] = value, written

    def removed(self, path: str) -> None:
        """A sink took the token away."""
        self._context.trace.add(f"{path} is removed")
        values = self._machine.disk.written.get(path, "").split()
        self.hold(not values or any(map(self._may_go, values)), path, "a valid token was taken out of its file")

    def _may_go(self, value: str) -> bool:
        """Return whether a token must not be in a file any more."""
        owners = self.owners.get(value, {})
        return not owners or any(self._may_lose(value, mark, ends) for mark, ends in owners.items())

    def _may_lose(self, value: str, mark: str, ends: float) -> bool:
        spec = self._context.specs.get(mark)
        if spec is None or self.accounts.get(value) != spec.account(self._context.secrets):
            return True
        if spec.with_others and self.seen[mark].changed_at == self._machine.elapsed:
            return True  # it has just become a file of several, and one of the others may have run out
        return ends <= self._machine.elapsed + GRAIN or self.seen[mark].may_lose or self.seen[mark].value != value
