"""A vault sink with the engine's own runtime and a played server, for the tests of the kind."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from tests.sinks.leases import lease
from tests.sinks.played_store import Row, Stage, staged
from tests.sinks.stores.played_vault import PlayedVault, PlayedVaultOfVersion1
from tokend.plugin.sink import Content
from tokend.sinks.stores.vault import VaultSink

VERSION_2 = Row(VaultSink, PlayedVault)
VERSION_1 = Row(VaultSink, PlayedVaultOfVersion1, {"kv_version": 1, "update": "whole", "mount": "kv1"})


def run(main: Callable[[Stage], Awaitable[None]], row: Row = VERSION_2, **keys: Any) -> None:
    """Run ``main`` with a sink of these keys and its server."""

    async def whole() -> None:
        with anyio.fail_after(20):
            async with staged(row, **keys) as stage:
                await main(stage)

    anyio.run(whole)


async def content(stage: Stage, value: str = "planted-fake-token", *, generation: int = 7) -> Content:
    """The content with this token."""
    made: Content = await stage.sink.content(stage.runtime, lease(value, generation=generation), {})
    return made


def sent(stage: Stage) -> list[str]:
    """The requests so far, as ``METHOD part``."""
    return [
        f"{one.method} {one.path.removeprefix('/v1/').partition('/')[2].removesuffix('app') or '-'}"
        for one in stage.store.server.requests
    ]
