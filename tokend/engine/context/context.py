"""What all providers of one daemon share while they run."""

import random as random_module
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio

from tokend.engine.context.contract import Serve
from tokend.engine.context.counters import Counters
from tokend.engine.policy.rate_limits import HostLimits, Pace
from tokend.engine.records.store import TokenStore
from tokend.machine.clock import Clock
from tokend.machine.thread_pool import Threads
from tokend.plugin.provider import Runtime
from tokend.plugin.settings import SinkSettings

# All providers look at their secrets at a start. Who waits for a thread takes 5 KB more than who waits here.
COMPARISONS = 16


@dataclass(frozen=True, slots=True)
class Context:
    """Handed to every refresher, issuance and publisher.

    ``runtime`` makes a provider's runtime from its settings. ``sink_upstream`` makes what a sink reads its secrets and
    sends its requests with, from the sink's settings. ``threads`` are the sinks' (the store has its own, so that a
    hanging sink holds no token back). ``commands`` are the threads for what a sink starts after a write, which may take
    half a minute and must not keep other sinks from writing. ``serve`` serves the sinks of the family ``served``.
    """

    clock: Clock
    store: TokenStore
    limits: HostLimits
    counters: Counters
    random: random_module.Random
    runtime: Callable[[Any], Runtime]
    sink_upstream: Callable[[SinkSettings], Runtime]
    threads: Threads
    commands: Threads
    serve: Serve
    pace: Pace = field(default_factory=Pace)
    comparing: anyio.Semaphore = field(default_factory=lambda: anyio.Semaphore(COMPARISONS, fast_acquire=True))
