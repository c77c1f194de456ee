"""KV version 1: the whole secret is replaced, and others' keys stay in it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.sinks.leases import PLANTED
from tests.sinks.played_server import Answer
from tests.sinks.played_store import Stage, content_of
from tests.sinks.stores.played_vault import PlayedVaultOfVersion1
from tests.sinks.stores.vaults import VERSION_1, run, sent
from tokend.values.errors import SinkError, SinkRejectedError


def test_the_life_that_is_left_is_written_beside_the_value() -> None:
    """``ttl``, by which the server says to its readers when to come again."""

    async def main(stage: Stage) -> None:
        made = await content_of(stage)
        ends = stage.runtime.clock.instant().after(300.9)
        await stage.sink.put(stage.runtime, type(made)(made.values, 7, ends), None)
        assert stage.store.whole["ttl"] == "300s"
        await stage.sink.put(stage.runtime, type(made)(made.values, 7, None), None)
        assert "ttl" not in stage.store.whole
        past = stage.runtime.clock.instant().after(-10)
        await stage.sink.put(stage.runtime, type(made)(made.values, 7, past), None)
        assert stage.store.whole["ttl"] == "1s"

    run(main, VERSION_1)


def test_a_removal_leaves_the_others_keys_or_deletes_the_secret() -> None:
    """`ttl` goes with our keys; an empty secret would be a lie."""

    async def main(stage: Stage) -> None:
        await stage.sink.put(stage.runtime, await content_of(stage), None)
        await stage.sink.remove(stage.runtime, None)
        assert stage.store.whole == {"other": "somebody else's", "number": 2.5}
        stage.store.whole = {"token": PLANTED, "ttl": "3s"}
        await stage.sink.remove(stage.runtime, None)
        assert stage.store.whole is None
        await stage.sink.remove(stage.runtime, None)
        assert (await stage.sink.inspect(stage.runtime)).digest is None

    run(main, VERSION_1)


def test_a_secret_of_ours_alone_is_not_read() -> None:
    """One request, and no policy for reading."""

    async def main(stage: Stage) -> None:
        stage.store.denied.add("GET ")
        await stage.sink.put(stage.runtime, await content_of(stage), None)
        assert sent(stage) == ["POST -"]
        assert stage.store.whole.keys() == {"token", "ttl"}

    run(main, VERSION_1, exclusive=True)


@pytest.mark.parametrize("denied", ["GET ", "POST "])
def test_a_missing_capability_is_named(denied: str) -> None:
    """Nothing is written without having read."""

    async def main(stage: Stage) -> None:
        stage.store.denied.add(denied)
        before = stage.store.whole
        with pytest.raises(SinkRejectedError, match=r"capability (read|create or update) on kv1/app$"):
            await stage.sink.put(stage.runtime, await content_of(stage), None)
        assert stage.store.whole == before

    run(main, VERSION_1)


def test_an_engine_of_version_2_is_recognised() -> None:
    """It warns about such paths; nothing is written."""

    async def main(stage: Stage) -> None:
        with pytest.raises(SinkError, match="of that kv_version at secret/"):
            await stage.sink.inspect(stage.runtime)
        with pytest.raises(SinkError, match="of that kv_version at secret/"):
            await stage.sink.remove(stage.runtime, None)

    run(main, kv_version=1, update="whole")


class Exact(PlayedVaultOfVersion1):
    """A server whose secret has a number with more digits than a float has."""

    def in_mount(self, method: str, part: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Answer:
        return Answer(200, b'{"data": {"other": 1.00000000000000000001}}') if method == "GET" else Answer(204)


def test_a_number_that_cannot_be_written_back_is_left_alone() -> None:
    """Others' values are not rounded."""

    async def main(stage: Stage) -> None:
        with pytest.raises(SinkError, match="cannot be written back"):
            await stage.sink.put(stage.runtime, await content_of(stage), None)
        assert sent(stage) == ["GET -"]

    run(main, replace(VERSION_1, store=Exact))
