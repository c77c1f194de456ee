"""Routing of the sandbox, its latency and its lasting faults."""

import time

import pytest

from tests.sandbox.player import Play
from tests.sandbox.test_faults import login


def test_latency_delays_every_answer(play: Play) -> None:
    """--latency."""
    player = play(latency=0.1)
    began = time.monotonic()
    login(player)
    assert time.monotonic() - began >= 0.1


@pytest.mark.parametrize("path", ["/", "/nowhere", "/api/auth/loginkey", "/_sandbox/nowhere", "/_sandboxed"])
def test_an_unknown_path_is_a_404(play: Play, path: str) -> None:
    """Paths are exact."""
    assert play().call("GET", path).status == 404


def test_an_unknown_path_is_answered_with_the_paths_that_there_are(play: Play) -> None:
    """Each can be called as it stands there; none has a placeholder."""
    player = play()
    answer = player.call("GET", "/nosuch")
    assert answer.status == 404
    assert set(answer.json["paths"]) == {
        "projectx", "partner", "tt", "wallet", "xerve", "railway", "vault", "github", "google", "oauth2"
    }  # fmt: skip
    for call in (call for calls in answer.json["paths"].values() for call in calls):
        method, path = call.split(" ")
        assert not set("<>{}…") & set(path)
        assert player.call(method, path).status not in (404, 405), call
    assert player.control("").json["paths"] == answer.json["paths"]
