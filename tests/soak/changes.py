"""Changes while the soak runs: the configuration (a provider added, changed, renamed, removed; a file that is
no TOML) by each way to a reload, and credentials that are revoked and restored. Each change says whether it took
effect."""

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

from tests.soak import plan
from tests.soak.plan import Provider
from tests.soak.stage import Stage

# How long an effect may take on a machine that is busy; a revoked key shows at the next refresh, or after a backoff.
EFFECT_SECONDS, REVOKED_SECONDS = 30.0, 420.0
# A list of a thousand tokens takes the daemon some milliseconds: often enough not to be a load of its own.
LOOK_SECONDS = 1.0


class EventBus:
    """A course of changes, one `step` at a time. ``done`` counts them, ``failed`` has those without effect."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._number = 0
        self._steps = (self._add, self._change, self._break, self._rename, self._revoke, self._remove, self._mend)
        self._ways = (self._by_itself, self._by_signal, self._by_request)
        # Held while a change is made; and whether the configuration is one that no daemon starts with.
        self.undisturbed, self.is_broken = threading.Lock(), False
        self.done: Counter[str] = Counter()
        self.failed: list[str] = []
        self._spare = stage.soak.spare()
        self._revocable = stage.soak.revocable()

    def step(self, stop: threading.Event) -> None:
        """Make the next change and see that it takes effect; give up at ``stop``."""
        step, way = self._steps[self._number % len(self._steps)], self._ways[self._number % len(self._ways)]
        name = step.__name__.strip("_")
        started = time.monotonic()
        with self.undisturbed:
            self.is_broken = step == self._break
            effect = step()
            way()
        longest = REVOKED_SECONDS if step == self._revoke else EFFECT_SECONDS
        while not _holds(effect):
            if time.monotonic() - started > longest:
                self.failed.append(f"{name} number {self._number} ({way.__name__.strip('_').replace('_', ' ')})")
                break
            if stop.wait(LOOK_SECONDS):
                return
        self.done[name] += 1
        self._number += 1

    # -------------------------------------------------------------- ways to a reload

    def _by_itself(self) -> None:
        """The daemon watches its files."""

    def _by_signal(self) -> None:
        self._stage.daemon.send_signal(signal.SIGHUP)

    def _by_request(self) -> None:
        self._stage.ask("POST", "/v1/reload")

    # -------------------------------------------------------------- changes; each gives what proves that it took effect

    def _turn(self, choices: Sequence[Provider]) -> Provider:
        return choices[self._number // len(self._steps) % len(choices)]

    def _add(self) -> Callable[[], bool]:
        provider = self._turn(self._spare)
        self._stage.save("spare.toml", self._stage.table(provider))
        return lambda: provider.name in self._stage.rows()

    def _change(self) -> Callable[[], bool]:
        provider, value = self._turn(self._spare), f"n{self._number}"
        self._stage.save("spare.toml", self._stage.table(provider, more=f'headers = {{ X-Soak = "{value}" }}'))

        def carried() -> bool:
            status, body = self._stage.ask("GET", f"/v1/tokens/{provider.name}")
            return status == 200 and json.loads(body)["headers"].get("X-Soak") == value

        return carried

    def _rename(self) -> Callable[[], bool]:
        """Repair the broken file, under another name."""
        provider = self._turn(self._spare)
        self._stage.save("spare.toml", self._stage.table(provider, name=f"{provider.name}-renamed"))
        return lambda: provider.name not in self._stage.rows() and f"{provider.name}-renamed" in self._stage.rows()

    def _remove(self) -> Callable[[], bool]:
        provider = self._turn(self._spare)
        self._stage.drop("spare.toml")
        return lambda: f"{provider.name}-renamed" not in self._stage.rows()

    def _break(self) -> Callable[[], bool]:
        self._stage.save("spare.toml", '[providers.broken]\nkind = "projectx\n')
        return lambda: json.loads(self._stage.ask("GET", "/v1/status")[1])["config"]["error"] is not None

    def _revoke(self) -> Callable[[], bool]:
        provider = self._turn(self._revocable)
        self._stage.secret(provider, plan.REVOKED_KEY)
        # Asked for at its next refresh, and refused then.
        return lambda: self._stage.rows()[provider.name]["state"] == "rejected"

    def _mend(self) -> Callable[[], bool]:
        provider = self._turn(self._revocable)
        self._stage.secret(provider, plan.GOOD_KEY)
        return lambda: self._stage.rows()[provider.name]["state"] in ("valid", "failing", "pending", "expired")


def _holds(effect: Callable[[], bool]) -> bool:
    try:
        return effect()
    except (OSError, KeyError, ValueError):  # also while the daemon is away
        return False
