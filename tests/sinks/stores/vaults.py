"""A vault sink with the engine's own runtime and a played server, for the tests of the kind."""

from typing import Any

from tests.sinks import played_store
from tests.sinks.played_store import Main, Row, Stage
from tests.sinks.stores.played_vault import PlayedVault, PlayedVaultOfVersion1
from tokend.sinks.stores.vault import VaultSink

VERSION_2 = Row(VaultSink, PlayedVault)
VERSION_1 = Row(VaultSink, PlayedVaultOfVersion1, {"kv_version": 1, "update": "whole", "mount": "kv1"})


def run(main: Main, row: Row = VERSION_2, **keys: Any) -> None:
    """Run ``main`` with a sink of these keys and its server."""
    played_store.run(row, main, **keys)


def sent(stage: Stage) -> list[str]:
    """The requests so far, as ``METHOD part``."""
    return [
        f"{one.method} {one.path.removeprefix('/v1/').partition('/')[2].removesuffix('app') or '-'}"
        for one in stage.store.server.requests
    ]
