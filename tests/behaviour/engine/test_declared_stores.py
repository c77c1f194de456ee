"""Lives of tokens in stores of kind ``http``: a day, restarts, an outage, a lost answer, another daemon."""

from typing import Any

import anyio

from tests.fakes import HOUR, FakeHeld, literal, provider
from tests.publishing_sinks import PASSWORD
from tests.store_world import world_with_store
from tests.virtual import VirtualClock, run_virtually, until
from tokend.sinks.stores.http import HttpSink

URL = "http://127.0.0.1:1/app"


def declared(**request: Any) -> HttpSink:
    """A sink for the store of the engine's tests: JSON texts, an ETag, ``Authorization`` without a word before it."""
    keys: dict[str, Any] = {
        "kind": "http", "auth": literal(PASSWORD), "auth_prefix": "",
        "request": {"method": "PUT", "url": URL, "text": '"{value}"', **request},
        "answer": {"version": {"header": "ETag"}},
        "inspect": {"url": URL, "answer": {"value": "@", "version": {"header": "ETag"}}},
        "remove": {"url": URL},
    }  # fmt: skip
    return HttpSink.model_validate(keys, context={"directory": "/nowhere"})


COMPARING = declared(headers={"If-Match": "{version}"})


def test_a_day_of_a_five_minute_token_is_one_request_for_each_token() -> None:
    """Also where each write names the version that it replaces: the last answer had it."""

    async def main(clock: VirtualClock) -> None:
        for sink in (declared(), COMPARING):
            world, _, store = world_with_store(clock)
            upstream = world.upstreams["one"]
            upstream.life = 300
            async with world.running(provider("a", FakeHeld(), sink)) as supervisor:
                await anyio.sleep(24 * HOUR)
                await until(lambda: supervisor.ready, seconds=5)
                assert store.sent("PUT") == upstream.made > 288
                assert store.requests.count("GET app") == 1
                assert store.held["app"][1] == f"fake-token-{upstream.made}"

    run_virtually(main)


def test_a_hundred_restarts_write_nothing_and_ask_nothing() -> None:
    """The mark of the last write fits."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        for _ in range(101):
            async with world.running(provider("a", FakeHeld(), COMPARING)) as supervisor:
                await until(lambda: supervisor.ready, seconds=5)
        assert store.requests == ["GET app", "PUT app"]

    run_virtually(main)


def test_after_an_outage_only_the_newest_token_is_written() -> None:
    """An hour of 503: the store is asked when it is back, then one write."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        world.upstreams["one"].life = 300
        async with world.running(provider("a", FakeHeld(), COMPARING)) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            store.failing = 503
            await anyio.sleep(HOUR)
            store.failing, versions = None, store.versions
            await until(lambda: supervisor.ready, seconds=400)
            assert store.versions == versions + 1
            assert store.held["app"][1] == f"fake-token-{world.upstreams['one'].made}"

    run_virtually(main)


def test_a_lost_answer_after_success_makes_no_second_version() -> None:
    """The store is asked before the next attempt."""

    async def main(clock: VirtualClock) -> None:
        world, network, store = world_with_store(clock)
        network.losing.add("PUT")
        async with world.running(provider("a", FakeHeld(), COMPARING)) as supervisor:
            await until(lambda: supervisor.ready, seconds=30)
            assert (store.versions, store.sent("PUT")) == (1, 1)

    run_virtually(main)


def test_an_old_daemon_beside_a_new_one_does_not_write_over_its_token() -> None:
    """It finds another version than its own: conflict, until an admin decides."""

    async def main(clock: VirtualClock) -> None:
        world, _, store = world_with_store(clock)
        world.upstreams["one"].life = 300
        async with world.running(provider("a", FakeHeld(), COMPARING)) as supervisor:
            await until(lambda: supervisor.ready, seconds=5)
            store.versions += 1
            store.held["app"] = (store.versions, "planted-fake-newer")
            await anyio.sleep(HOUR)
            assert store.held["app"][1] == "planted-fake-newer"
            assert supervisor.entries["a"].status().sinks[0].state == "conflict"

    run_virtually(main)
