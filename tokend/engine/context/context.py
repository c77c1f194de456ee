"""Objects that all running providers of one daemon share."""

import random as random_module
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio

from tokend.engine.context.contract import Engine, Serve
from tokend.engine.context.counters import Counters
from tokend.engine.context.host_backoff import HostBackoff
from tokend.engine.context.reports import Reports
from tokend.engine.context.warnings import Warnings
from tokend.engine.policy.rate_limits import HostLimits, RequestRate
from tokend.engine.policy.turns import Turns
from tokend.engine.records.store import TokenStore
from tokend.machine.clock import Clock
from tokend.machine.thread_pool import Threads
from tokend.plugin.provider import ConnectedRuntime, Runtime
from tokend.plugin.settings import SinkSettings
from tokend.values.status import Failure

# Limit of concurrent reconciliations. At a start all providers read their secrets in threads; a task that waits for a
# thread takes 5 KB more memory than a task that waits for this semaphore.
RECONCILIATIONS = 16


@dataclass(frozen=True, slots=True)
class Context:
    """The shared objects that every refresher, issuer and publisher gets.

    ``runtime`` makes a provider's runtime from its settings. ``sink_upstream`` makes the runtime with which a sink
    reads its secrets and sends its requests, from the sink's settings. ``threads`` run the calls of sinks; the store
    has threads of its own, so that a hanging sink delays no token. ``commands`` run the programs that a sink starts
    after a write: they may take half a minute and must not delay other sinks. ``looks`` look at the targets of sinks.
    ``serve`` serves the sinks of the family ``served``. ``hosts`` are those of stores. ``engine`` returns the engine
    itself, for a sink whose credential is another provider's token. ``warnings`` are about providers, for their status.
    ``reports`` are those of clients, and count into ``counters``. ``unsafe`` has the providers whose settings somebody
    else may have written: they make no attempt. ``logging_in`` has the providers for which a person is logging in.
    """

    clock: Clock
    store: TokenStore
    limits: HostLimits
    hosts: HostBackoff
    counters: Counters
    random: random_module.Random
    runtime: Callable[[Any], Runtime]
    sink_upstream: Callable[[SinkSettings], ConnectedRuntime]
    threads: Threads
    commands: Threads
    looks: Threads
    serve: Serve
    engine: Callable[[], Engine]
    warnings: Warnings = field(default_factory=Warnings)
    reports: Reports = field(default_factory=lambda: Reports(Counters()))
    unsafe: dict[str, Failure] = field(default_factory=dict)
    logging_in: set[str] = field(default_factory=set)
    request_rate: RequestRate = field(default_factory=RequestRate)
    turns: Turns = field(default_factory=Turns)
    reconciling: anyio.Semaphore = field(default_factory=lambda: anyio.Semaphore(RECONCILIATIONS, fast_acquire=True))
