"""Narrow types in tests: each function fails the test where its argument is something else."""

from typing import TypeVar

from tokend.engine.held.held_provider import HeldProvider
from tokend.engine.on_demand.on_demand_provider import OnDemandProvider
from tokend.engine.running_provider import RunningProvider

T = TypeVar("T")


def present(value: T | None) -> T:
    """Return ``value``, which must not be None."""
    assert value is not None
    return value


def held(provider: RunningProvider) -> HeldProvider:
    """Return a provider that holds a token."""
    assert isinstance(provider, HeldProvider)
    return provider


def on_demand(provider: RunningProvider) -> OnDemandProvider:
    """Return a provider that issues tokens per query."""
    assert isinstance(provider, OnDemandProvider)
    return provider
