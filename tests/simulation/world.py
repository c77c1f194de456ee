"""One simulated world: a machine, some hosts, a configuration and its secrets, made from one seed."""

import random
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.fakes import FakeConfig
from tests.simulation.hosts import Host
from tests.simulation.inspection import Inspection
from tests.simulation.kinds import Spec, configured
from tests.simulation.machine import DAY, Machine, SimulatedLoop, Trace
from tests.simulation.watch import Watch
from tokend.plugin.settings_base import Percentage

LEADS = (None, None, timedelta(seconds=30), timedelta(hours=1), timedelta(days=500), Percentage(0.01), Percentage(0.99))
# Each simulated host has one size: seconds-long tokens and events by the second, or tokens for months.
LIVES = ((1, 10), (10, 120), (120, 3600), (3600, 2 * DAY), (3600, 2 * DAY), (DAY, 399 * DAY))


class World:
    """Everything that outlives a process, and who watches."""

    def __init__(self, loop: SimulatedLoop, seed: int, *, keep_trace: bool = False) -> None:
        self.draw = random.Random(seed)
        self.machine = Machine(loop, random.Random(self.draw.random()))
        self.trace = Trace(self.machine, keep_trace)
        self.secrets: dict[Path, str | None] = {}
        self.specs: dict[str, Spec] = {}  # by mark, also of those that are not configured any more
        self.names: dict[str, str] = {}  # by mark, of those that are
        self.config: Mapping[str, Any] = {}
        self.in_files: dict[tuple[str, str], tuple[str, int]] = {}
        self.asked = 0
        self.began_at = 0.0
        self.slow: dict[str, tuple[float, float]] = {}  # pool: share of its calls that take up to so long
        self._slow_at = -1.0
        self.scale = self.draw.choice(LIVES)
        self.hosts: dict[str, Host] = {}
        for number in range(self.draw.randint(1, 3)):
            self._new_host(f"h{number}.example")
        self.watch = Watch(self)
        self.inspection = Inspection(self, self.watch)
        for _ in range(self.draw.choice([1, 2, 2, 3, 4])):
            self.add()
        self.rebuild()

    def life(self, spec: Spec) -> float:
        """The life of its tokens, in seconds."""
        return spec.life if spec.kind == "jwt" else self.hosts[spec.host].life

    def _new_host(self, name: str) -> None:
        life = self.draw.uniform(*self.scale)
        self.hosts[name] = Host(
            name,
            self.machine,
            random.Random(self.draw.random()),
            life=life,
            says=self.draw.choice(["field", "jwt", "both"]) if life > 30 else "field",
            latency=self.draw.choice([0.05, 0.5, 2.0, 20.0]) if life > 100 else 0.05,
            skew=self.draw.choice([0.0] * 4 + [-4000.0, 90.0, 86400.0]),
        )

    # ------------------------------------------------------------ the configuration

    def add(self, name: str | None = None) -> str:
        """Write one more provider's table; returns its mark."""
        mark = f"m{len(self.specs)}"
        host = self.draw.choice(sorted(self.hosts))
        kind = self.draw.choice(
            ["projectx", "projectx", "projectx", "tt", "tt", "tt", "jwt", "auth-token", "auth-token"]
        )
        user = f"{kind}-{self.draw.randrange(3)}"
        shared = [spec for spec in self.specs.values() if (spec.kind, spec.host, spec.user) == (kind, host, user)]
        secret = shared[0].secret if shared else Path(f"/secrets/{mark}")
        files = tuple(f"{mark}-{number}" for number in range(self.draw.choice([0, 1, 1, 2])))
        spec = Spec(
            mark, kind, host, user, secret,
            life=max(2, min(self.draw.uniform(*self.scale), 300 * DAY)),
            lead=self.draw.choice(LEADS),
            removes=self.draw.random() < 0.3,
            validates=self.draw.random() < 0.3,
            timeout=30.0 if self.hosts[host].latency > 2 else self.draw.choice([5.0, 30.0]),
            files=() if kind == "auth-token" else files,
            with_others=tuple(self.names)[:1] if self.draw.random() < 0.2 else (),
        )  # fmt: skip
        self.specs[mark] = spec
        self.names[mark] = name or f"p{len(self.specs)}"
        if not shared:
            self.secrets[secret] = f"fake-secret-{mark}"
        self.accept(spec)
        return mark

    def accept(self, spec: Spec) -> None:
        """Let the host know this account by its present secret."""
        if spec.kind in ("projectx", "tt"):
            self.hosts[spec.host].keys[spec.user] = self.secrets[spec.secret] or ""

    def rebuild(self) -> FakeConfig:
        """The configuration as it is written now."""
        held = {mark: name for mark, name in self.names.items() if self.specs[mark].kind != "auth-token"}
        self.config = {name: configured(name, self.specs[mark], held) for mark, name in self.names.items()}
        return FakeConfig(self.config)

    def held(self) -> list[str]:
        """The marks of the configured held providers."""
        return [mark for mark in self.names if self.specs[mark].kind != "auth-token"]

    # ------------------------------------------------------------ the disk's moods

    def disk_delay(self, pool: str) -> float:
        """How long the next call in a thread of this pool takes."""
        share, longest = self.slow.get(pool, (0.0, 0.0))
        if share == 0.0 or self.draw.random() >= share:
            return 0.0
        delay = self.draw.uniform(0, longest)
        self._slow_at = max(self._slow_at, self.machine.elapsed + delay)
        return delay

    def disk_calm_at(self) -> float:
        """Since when the disk does what it is asked for."""
        return max(self._slow_at, self.machine.disk.trouble_at)
