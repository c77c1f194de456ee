"""A simulated world with the store of `publishing_sinks`, and what its tests ask of it."""

from typing import Any

from tests.fakes import World, literal
from tests.publishing_sinks import PASSWORD, Network, Store, StoreSink
from tests.virtual import VirtualClock
from tokend.engine.supervisor import Supervisor
from tokend.values.status import SinkStatus


def store_sink(key: str = "app", **keys: Any) -> StoreSink:
    """A sink with the store's password, or with the given keys."""
    return StoreSink(key=key, **{"auth": literal(PASSWORD), **keys})


def world_with_store(clock: VirtualClock) -> tuple[World, Network, Store]:
    """The simulation, the way from it to the store, and the store."""
    world = World(clock)
    world.network = Network(clock)
    return world, world.network, world.network.store


def row(supervisor: Supervisor, name: str = "a", index: int = 0) -> SinkStatus:
    """The status of a sink."""
    return supervisor.entries[name].status().sinks[index]


async def renew(supervisor: Supervisor, name: str = "a") -> None:
    """Have a newer token."""
    await supervisor.refresh(name, if_generation=None, reason="", admin=True)
