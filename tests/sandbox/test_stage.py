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
