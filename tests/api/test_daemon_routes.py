"""List, status, health, counts, metrics, audit lines and the description: the daemon as a whole, without secrets."""

from dataclasses import replace
from pathlib import Path

from tests.api.fake_engine import START, FakeEngine
from tests.httpd.served import Served, served
from tokend.access.peer import Peer
from tokend.plugin.settings import Access
from tokend.values.status import Failure, LoginStatus, SinkStatus, State


def test_health_follows_the_engine(running: Served) -> None:
    """livez is 200 while anything answers; readyz is the engine's word."""
    assert running.get("/livez").status == 200
    assert running.get("/readyz").json == {"ready": True}
    running.engine.ready = False
    reply = running.get("/readyz")
    assert (reply.status, reply.json) == (503, {"ready": False, "reasons": []})
    assert running.ask("HEAD", "/readyz").status == 503


def test_readyz_gives_the_reasons_that_the_peer_may_see(tmp_path: Path) -> None:
    """Tokens without a valid value, and required sinks that are not right; nothing of hidden or optional ones."""
    engine = FakeEngine()
    engine.ready = False
    failure = Failure("rejected", "the key was refused", START.wall)
    sinks = tuple(
        SinkStatus("raw", f"raw-{number}", "/t", "/t", state, required, None, error)
        for number, (state, required, error) in enumerate(
            [("ok", True, None), ("failing", True, "no space left"), ("failing", False, "x"), ("pending", True, None)],
            1,
        )
    )
    engine.hold("fine").changes.update(sinks=sinks[:1])
    engine.hold("written-late").changes.update(sinks=sinks)
    behind = replace(sinks[0], last_success_at=START.after(-1).wall)
    engine.hold("behind").changes.update(sinks=(behind, replace(sinks[0], last_success_at=START.wall)))
    engine.hold("optional", required=False).changes.update(valid=False, state=State.EXPIRED)
    engine.hold("hidden", access=Access(users=("nobody-like-this",))).changes.update(valid=False, state=State.EXPIRED)
    engine.hold("rejected").changes.update(valid=False, state=State.REJECTED, last_error=failure, sinks=sinks)
    login = LoginStatus("required", None, None, None, (), "tokend login personal")
    required = {"valid": False, "state": State.LOGIN_REQUIRED, "last_error": failure, "login": login}
    engine.hold("personal").changes.update(required)
    engine.hold("young").changes.update(valid=False, state=State.PENDING)
    with served(tmp_path, engine, identify=lambda _: Peer(54321, frozenset())) as running:
        reply = running.get("/readyz")
    assert reply.status == 503
    assert reply.json == {
        "ready": False,
        "reasons": [
            {"token": "behind", "state": "valid", "sink": "raw-1",
             "detail": "the sink does not hold the newest token yet"},
            {"token": "personal", "state": "login_required", "sink": None,
             "detail": "a person has to log in: tokend login personal"},
            {"token": "rejected", "state": "rejected", "sink": None, "detail": "the key was refused"},
            {"token": "written-late", "state": "valid", "sink": "raw-2", "detail": "no space left"},
            {"token": "written-late", "state": "valid", "sink": "raw-4", "detail": "the sink's state is pending"},
            {"token": "young", "state": "pending", "sink": None,
             "detail": "there is no valid token, its state is pending"},
        ],
    }  # fmt: skip


def test_openapi_lists_every_route(running: Served) -> None:
    """The description and the routing table name the same paths and methods."""
    from tokend.api.routes import PLACES, TOKEN_PLACES

    expected = {f"/{path}": set(methods) for path, methods in PLACES.items()}
    for tail, methods in TOKEN_PLACES.items():
        expected["/v1/tokens/{name}" + (f"/{tail}" if tail else "")] = set(methods)
    paths = running.get("/openapi.json").json["paths"]
    assert {path: {method.upper() for method in methods} for path, methods in paths.items()} == expected
