"""Days of tokens in a store that misbehaves by a seed: in the end it has the newest token, and little was sent."""

import random
from typing import Any

import anyio
import pytest

from tests.expecting import present
from tests.fakes import HOUR, FakeHeld, Upstream, World, literal, provider
from tests.publishing_sinks import PASSWORD, Network, StoreSink
from tests.virtual import VirtualClock, run_virtually, until
from tokend.engine.supervisor import Supervisor
from tokend.values.errors import ReaderError

HOST = "127.0.0.1:1"
FOREIGN = "somebody else's"


def sinks(draw: random.Random) -> list[StoreSink]:
    keys: list[dict[str, Any]] = [
        {},
        {"tokens": ("b",)},
        {"min_interval": "10m"},
        {"drift_interval": "5m", "drift": draw.choice(["repair", "report"])},
        {"value": "{{ access_token }} until {{ expires_at_unix }}", "timeout": "5s"},
    ]
    return [StoreSink(key=f"key-{number}", auth=literal(PASSWORD), **one) for number, one in enumerate(keys)]


async def trouble(draw: random.Random, world: World, network: Network, supervisor: Supervisor) -> None:
    """One thing that happens, for a while."""
    store, key = network.store, f"key-{draw.randrange(5)}"
    what = draw.choice(
        ["status", "dead", "lost", "hanging", "password", "foreign", "gone", "renew", "forget", "sync", "slow"]
    )
    if what == "status":
        store.failing, store.pause = draw.choice([413, 429, 500, 503]), draw.choice(["", "30"])
    elif what == "dead":
        network.dead[HOST] = []
    elif what in {"lost", "hanging"}:
        (network.losing if what == "lost" else network.hanging).add(draw.choice(["GET", "PUT", "DELETE"]))
    elif what == "password":
        store.password = "planted-fake-other-password"
    elif what == "slow":
        network.latency_seconds = draw.choice([0.01, 3.0])
    elif what == "foreign":
        store.versions += 1
        store.held[key] = (store.versions, FOREIGN)
    elif what == "gone":
        store.held.pop(key, None)
    else:
        await asked(draw, supervisor, what)
    await anyio.sleep(draw.choice([1, 30, 600, 3600]))
    store.failing, store.password = None, PASSWORD
    network.dead.clear()
    network.hanging.clear()


async def asked(draw: random.Random, supervisor: Supervisor, what: str) -> None:
    """A person asks for something; that it is refused now is no failure."""
    try:
        if what == "renew":
            await supervisor.refresh(draw.choice("ab"), if_generation=None, reason="", admin=True)
        elif what == "forget":
            await supervisor.forget(draw.choice("ab"))
        else:
            await supervisor.sync("a", None, take_over=draw.random() < 0.5)
    except ReaderError:
        pass


@pytest.mark.parametrize("seed", range(12))
def test_a_store_that_misbehaves_has_the_newest_token_in_the_end(seed: int) -> None:
    """Restarts at any moment; keys of others stay; no loop without a pause; the upstreams notice nothing."""

    async def main(clock: VirtualClock) -> None:
        draw = random.Random(seed)
        world = World(clock, seed=seed)
        world.network = network = Network(clock)
        store = network.store
        store.held["other"] = (0, FOREIGN)
        world.upstreams["two"] = Upstream(clock, life=6 * HOUR)
        wanted = sinks(draw)
        configured = provider("a", FakeHeld(on_expiry="remove"), *wanted), provider("b", FakeHeld(base_url="two"))
        began = clock.instant()
        while began.until(clock.instant()) < 24 * HOUR:
            async with world.running(*configured) as supervisor:
                for _ in range(draw.randrange(1, 12)):
                    await trouble(draw, world, network, supervisor)
        network.latency_seconds = 0.05
        hours = began.until(clock.instant()) / HOUR
        async with world.running(*configured) as supervisor:
            await anyio.sleep(HOUR)
            await supervisor.sync("a", None, take_over=True)
            await until(lambda: supervisor.ready, seconds=HOUR)
            await anyio.sleep(900)  # min_interval
            lease, other = (present(supervisor.entries[name].lease) for name in "ab")
            token = lease.token.value.reveal()
            assert store.held.pop("other") == (0, FOREIGN)
            assert {key: value for key, (_, value) in store.held.items()} == {
                "key-0": token,
                "key-1": {"a": token, "b": other.token.value.reveal()},
                "key-2": token,
                "key-3": token,
                "key-4": f"{token} until {int(present(lease.token.expires_at).wall.timestamp())}",
            }
            assert [one.state for one in supervisor.entries["a"].status().sinks] == ["ok"] * 5
            settled = len(store.requests)
            await anyio.sleep(240)
            assert len(store.requests) <= settled + 1
        assert network.begun < 80 * hours

    run_virtually(main)
