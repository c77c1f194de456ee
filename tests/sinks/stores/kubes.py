"""A Kubernetes sink with the engine's own runtime and a played API server, for the tests of the kind."""

from functools import partial

from tests.sinks import played_store
from tests.sinks.played_store import Row, Stage
from tests.sinks.stores.played_kubernetes import PlayedKubernetes
from tokend.sinks.stores.kubernetes import KubernetesSink

ROW = Row(KubernetesSink, PlayedKubernetes, {"key": "token"})


run = partial(played_store.run, ROW)


def sent(stage: Stage) -> list[str]:
    """The methods and queries of the requests so far."""
    return [f"{one.method} {one.path.partition('?')[2]}".strip() for one in stage.store.server.requests]
