"""What all providers of one daemon share while they run."""

import random as random_module
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tokend.clock import Clock
from tokend.engine.schedule import HostLimits
from tokend.engine.store import TokenStore
from tokend.interfaces import Runtime, Serve, Threads
from tokend.metrics import Counters


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Handed to every refresher, issuance and publisher. ``runtime`` makes a provider's runtime from its settings;
    ``threads`` are the sinks' (the store has its own, so that a hanging sink holds no token back); ``commands`` are for
    what a sink starts after a write, which may take half a minute and must not keep other sinks from writing; ``serve``
    serves the sinks that are asked instead of written to."""

    clock: Clock
    store: TokenStore
    limits: HostLimits
    counters: Counters
    random: random_module.Random
    runtime: Callable[[Any], Runtime]
    threads: Threads
    commands: Threads
    serve: Serve
