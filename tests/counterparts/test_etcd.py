"""The recipe for etcd, as it stands on the page, against a real etcd and its JSON gateway."""

import base64
import json
import urllib.request
from typing import Any

import anyio
import pytest

from tests.counterparts.programs import Counterpart
from tests.sinks.leases import PLANTED, lease
from tests.sinks.played_store import runtime_of
from tests.sinks.stores.test_http_recipes import RECIPES
from tests.sinks.test_sink_contract import SECOND
from tokend.plugin.sink import Content
from tokend.sinks.stores.http import HttpSink
from tokend.values.errors import SinkConflictError

KEY = base64.b64encode(b"app/token").decode()


def asked(etcd: Counterpart, call: str, **body: Any) -> Any:
    """One request to the gateway by the standard library."""
    request = urllib.request.Request(f"{etcd.url}/v3/kv/{call}", json.dumps(body).encode())  # noqa: S310  (loopback)
    with urllib.request.urlopen(request) as reply:  # noqa: S310
        return json.loads(reply.read())


def held(etcd: Counterpart) -> str | None:
    """The value of the recipe's key."""
    found = asked(etcd, "range", key=KEY).get("kvs")
    return None if not found else base64.b64decode(found[0]["value"]).decode()


def test_the_recipe_writes_compares_reads_and_removes(etcd: Counterpart) -> None:
    """Each write in one transaction; another writer's value stays, and other keys too."""
    keys = json.loads(json.dumps(RECIPES["etcd"]).replace("https://etcd.example:2379", etcd.url))
    del keys["auth"]
    sink = HttpSink.model_validate(keys, context={"directory": "/nowhere"})
    other = base64.b64encode(b"app/token2").decode()
    asked(etcd, "put", key=other, value=KEY)

    async def main() -> None:
        runtime = runtime_of(sink)

        async def content(value: str) -> Content:
            return await sink.content(runtime, lease(value), {})

        empty = await sink.inspect(runtime)
        assert empty is not None
        assert empty.digest is None
        first = await sink.put(runtime, await content(PLANTED), empty)
        assert held(etcd) == PLANTED
        assert await sink.inspect(runtime) == first
        second = await sink.put(runtime, await content(SECOND), first)
        assert held(etcd) == SECOND
        assert await sink.inspect(runtime) == second
        asked(etcd, "put", key=KEY, value=KEY)
        with pytest.raises(SinkConflictError):
            await sink.put(runtime, await content(PLANTED), second)
        assert held(etcd) == "app/token"
        for _ in range(2):
            assert (await sink.remove(runtime, None)).digest is None
            assert held(etcd) is None

    anyio.run(main)
    assert asked(etcd, "range", key=other)["count"] == "1"
