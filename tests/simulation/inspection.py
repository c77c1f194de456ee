"""Invariants at every inspection: nothing expires unnoticed, nobody is dead, files hold what is served."""

from typing import Any

from tests.simulation.kinds import MARK
from tests.simulation.seen import Seen
from tests.simulation.watch import PATIENCE, Watch
from tokend.engine.held.refresher import Refresher
from tokend.values.status import State


class Inspection:
    """Look at one process from outside, from time to time."""

    def __init__(self, world: Any, watch: Watch) -> None:
        self._context = world
        self._machine = world.machine
        self._watch = watch

    def look(self, process: Any) -> None:
        """Everything, once."""
        if process.dead:
            return
        entries = process.supervisor.entries
        self._watch.hold(set(entries) == set(self._context.config), "reload", "half a configuration is in force")
        for name, entry in entries.items():
            mark = entry.settings.headers[MARK]
            self._watch.hold(entry.config == self._context.config[name], mark, "old settings are in force")
            status = entry.status()
            if not entry.is_on_demand:
                self._watch.ledger(mark)
                self._look_at(process, mark, entry, status)
            else:
                rejected = entry.issuer.record.rejected
                self._watch.hold(rejected is (status.state is State.REJECTED), mark, "its state is not shown")

    def _look_at(self, process: Any, mark: str, entry: Any, status: Any) -> None:
        hold, seen, worker = self._watch.hold, self._watch.seen[mark], entry.refresher
        calm = self._calm(seen)
        lease = entry.lease
        troubled = status.state in (State.FAILING, State.REJECTED) or status.failures > 0
        hold(not troubled or status.last_error is not None, mark, "status gives no reason")
        hold(status.state is not State.REJECTED or worker.record.rejected, mark, "rejected by nothing")
        self._moves(mark, seen, worker)
        if lease is None:
            hold(status.state in (State.PENDING, State.REJECTED), mark, f"{status.state} without a token")
            return
        ends = self._machine.truth(lease.token.expires_at)
        hold(status.valid is (ends > self._machine.elapsed), mark, "a token's end is not that of the boot line")
        overdue = self._machine.elapsed - ends
        if overdue > 15 and calm > 15:
            hold(seen.told_expired == lease.generation, mark, "it expired unnoticed")
        if worker.record.token.adrift and calm > PATIENCE and self._machine.wall_error == seen.wall_error == 0:
            hold(seen.ends is None or abs(ends - seen.ends) < 2, mark, "its end was rewritten by a reboot")
        self._belongs(mark, lease, worker, seen, calm)
        lead, life = worker.record.token.lead_seconds, lease.token.life_seconds
        if calm > PATIENCE and lead is not None:
            hold(lead >= self._watch.least_lead(mark, life) - 1.0, mark, f"its lead is {lead:.0f} s of {life:.0f} s")
        if status.valid:
            self._in_its_files(mark, entry, lease, calm)

    def _calm(self, seen: Seen) -> float:
        """Seconds for which nothing happened that takes its time."""
        world, machine = self._context, self._machine
        since = max(machine.upset_at, world.began_at, seen.changed_at, world.disk_calm_at())
        return float(machine.elapsed - since)

    def _moves(self, mark: str, seen: Seen, worker: Refresher) -> None:
        """P8: an attempt that is due comes, one that is under way ends; awake seconds count."""
        awake, upcoming = self._machine.awake, worker.next_attempt()
        due = upcoming is not None and self._machine.instant().until(upcoming) <= 0.5
        # Two looks may fall into two attempts.
        turn = (worker, worker.record.generation, worker.record.last_attempt, worker.record.failures)
        if seen.turn != turn:
            seen.turn, seen.busy_since, seen.due_since = turn, None, None
        seen.busy_since = None if not worker._in_flight else seen.busy_since or awake
        seen.due_since = None if worker.is_busy or not due else seen.due_since or awake
        if self._calm(seen) > PATIENCE:
            timeout = 60 + 4 * worker.timeout_seconds
            self._watch.hold(awake - (seen.busy_since or awake) < timeout, mark, "an attempt does not end")
            self._watch.hold(awake - (seen.due_since or awake) < PATIENCE, mark, "nobody came when it was due")

    def _belongs(self, mark: str, lease: Any, worker: Refresher, seen: Seen, calm: float) -> None:
        account = self._context.specs[mark].account(self._context.secrets)
        whose = self._watch.accounts.get(lease.token.value.reveal(), account)
        if calm > PATIENCE and self._context.secrets.get(self._context.specs[mark].secret) is not None:
            self._watch.hold(whose == account, mark, f"the token of another account is served: {whose}")

    def _in_its_files(self, mark: str, entry: Any, lease: Any, calm: float) -> None:
        value = lease.token.value.reveal()
        for sink, status in zip(entry.config.sinks, entry.status().sinks, strict=True):
            held = self._machine.disk.written.get(sink.path, "").split()
            alone = sink.kind == "file"
            if calm > 2 * PATIENCE + 60 and self._machine.elapsed - self._machine.truth(lease.token.issued_at) > 60:
                self._watch.hold(value in held or not alone, mark, f"its file holds another token ({status.error})")
            if entry.is_settled() and status.required:
                self._watch.hold(value in held, mark, "it is called settled, and its file holds another token")
