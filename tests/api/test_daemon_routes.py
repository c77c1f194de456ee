"""List, status, health, counts, metrics, audit lines and the description: the daemon as a whole, without secrets."""

from tests.httpd.served import Served


def test_health_follows_the_engine(running: Served) -> None:
    """livez is 200 while anything answers; readyz is the engine's word."""
    assert running.get("/livez").status == 200
    assert running.get("/readyz").json == {"ready": True}
    running.engine.ready = False
    reply = running.get("/readyz")
    assert (reply.status, reply.json) == (503, {"ready": False})


def test_openapi_lists_every_route(running: Served) -> None:
    """The description and the routing table name the same paths and methods."""
    from tokend.api.routes import PLACES, TOKEN_PLACES

    expected = {f"/{path}": set(methods) for path, methods in PLACES.items()}
    for tail, methods in TOKEN_PLACES.items():
        expected["/v1/tokens/{name}" + (f"/{tail}" if tail else "")] = set(methods)
    paths = running.get("/openapi.json").json["paths"]
    assert {path: {method.upper() for method in methods} for path, methods in paths.items()} == expected
