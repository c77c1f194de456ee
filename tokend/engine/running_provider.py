"""The interface of a configured provider while it runs, and the choice of its class.

The engine's other modules and the servers know this interface only; `HeldProvider` and `OnDemandProvider` implement it.
"""

from collections.abc import Iterator, Mapping
from typing import Protocol

from anyio.abc import TaskGroup

from tokend.config import ProviderConfig
from tokend.engine.context.context import Context
from tokend.engine.context.contract import Entry, SinkReport
from tokend.engine.held.exchange_guard import ExchangeUnderWay
from tokend.engine.held.held_provider import HeldProvider
from tokend.engine.on_demand.on_demand_provider import OnDemandProvider
from tokend.engine.tasks.heartbeat import Monitored
from tokend.engine.tasks.worker_group import WorkerGroup
from tokend.plugin.request_signing import CallToSign
from tokend.plugin.settings import HeldSettings, OnDemandSettings
from tokend.values.secret import Secret
from tokend.values.tokens import Lease, Token


class RunningProvider(Entry, Protocol):
    """One configured provider. Implementers must not know their sinks but by `SinkReport`, nor other providers."""

    @property
    def config(self) -> ProviderConfig:
        """The configuration in force."""

    @property
    def is_required(self) -> bool:
        """Whether the daemon is ready only with this provider's token."""

    @property
    def removes_expired(self) -> bool:
        """Whether sinks must not hold the token after its end."""

    @property
    def is_rejected(self) -> bool:
        """Whether the credentials are rejected."""

    @property
    def monitored(self) -> Iterator[Monitored]:
        """The loops whose heartbeat the watchdog checks."""

    def start(self, tasks: TaskGroup, workers: WorkerGroup) -> None:
        """Start its tasks, once: loops in ``workers``, others in ``tasks``."""

    async def finish(self) -> None:
        """Return when nothing is under way that must not be cut: an exchange of a login."""

    @property
    def exchange_under_way(self) -> ExchangeUnderWay | None:
        """The exchange that must not be cut, None if there is none."""

    def stop(self) -> None:
        """Stop its loops. Token and state stay."""

    async def reconfigure(self, config: ProviderConfig) -> None:
        """Apply a configuration of the same kind and name."""

    def connection_changed(self) -> None:
        """React to the new content of a file that decides how the upstream is reached. Returns at once."""

    def secrets_changed(self) -> None:
        """React to the new content of a secret. Returns at once."""

    async def outdated(self, generation: int) -> None:
        """Note that a newer token than the one held was published, with this generation: the saved state is old."""

    def is_settled(self) -> bool:
        """Return whether a single run has nothing to wait for: a valid token is in every required sink."""

    def has_given_up(self) -> bool:
        """Return whether only a person can change that it is not settled."""

    def was_tried(self) -> bool:
        """Return whether a single run has done for it what it does for a token that is not required."""

    async def fresh(self, min_ttl: float, *, admin: bool) -> Lease:
        """See `contract.Engine.fresh`; here and below `NotSupportedError` where the class cannot do it."""

    async def refresh(self, if_generation: int | None, *, admin: bool) -> Lease:
        """See `contract.Engine.refresh`."""

    async def resume(self) -> None:
        """See `contract.Engine.resume`."""

    async def issue(self, parameters: Mapping[str, str], uid: int) -> Token:
        """See `contract.Engine.issue`."""

    async def sign(self, call: CallToSign, uid: int) -> Mapping[str, Secret | str]:
        """See `contract.Engine.sign`."""

    async def forget(self) -> None:
        """See `contract.Engine.forget`."""


def make(config: ProviderConfig, context: Context, sinks: SinkReport) -> RunningProvider:
    """Make a provider of the class that its settings are for. Raises `TypeError` for settings of neither class."""
    # The only place that asks for the class.
    if isinstance(config.settings, HeldSettings):
        return HeldProvider(config, context, sinks)
    if isinstance(config.settings, OnDemandSettings):
        return OnDemandProvider(config, context, sinks)
    raise TypeError(f"kind {config.settings.kind} is neither held nor on demand")
