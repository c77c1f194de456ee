"""A Kubernetes sink with the engine's own runtime and a played API server, for the tests of the kind."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from tests.sinks.leases import lease
from tests.sinks.played_store import Row, Stage, staged
from tests.sinks.stores.played_kubernetes import PlayedKubernetes
from tokend.plugin.sink import Content
from tokend.sinks.stores.kubernetes import KubernetesSink

ROW = Row(KubernetesSink, PlayedKubernetes, {"key": "token"})


def run(main: Callable[[Stage], Awaitable[None]], **keys: Any) -> None:
    """Run ``main`` with a sink of these keys and its server."""

    async def whole() -> None:
        with anyio.fail_after(20):
            async with staged(ROW, **keys) as stage:
                await main(stage)

    anyio.run(whole)


async def content(stage: Stage, value: str = "planted-fake-token", *, generation: int = 7) -> Content:
    """The content with this token."""
    made: Content = await stage.sink.content(stage.runtime, lease(value, generation=generation), {})
    return made


def sent(stage: Stage) -> list[str]:
    """The methods and queries of the requests so far."""
    return [f"{one.method} {one.path.partition('?')[2]}".strip() for one in stage.store.server.requests]
