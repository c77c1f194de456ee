"""The journal of the sandbox."""

import time

import pytest

from tests.sandbox.player import Play
from tests.sandbox.test_faults import LOGIN, login


def test_the_journal_counts_and_holds_no_secret(play: Play) -> None:
    """Method, path, time and status; queries, bodies and the tokens in links stay out."""
    player = play()
    login(player)
    player.call("GET", "/login/secret-in-a-link?token=secret-in-a-query")
    player.call("GET", "/nowhere/secret-in-a-path")
    answer = player.control("requests")
    assert answer.json["counts"] == {"projectx": 1, "xerve": 1, "none": 1}
    assert [entry["path"] for entry in answer.json["requests"]] == [LOGIN, "/login/…", "(unknown)"]
    assert [entry["status"] for entry in answer.json["requests"]] == [200, 404, 404]
    assert answer.json["requests"][0]["time"] == pytest.approx(time.time(), abs=20)
    for secret in (b"secret-in", b"sandbox-projectx-key"):
        assert secret not in answer.body
