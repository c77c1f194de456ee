"""Faults, credentials, the clock and the journal: the sandbox steered while it runs."""

import http.client
import time
from typing import Any

import pytest

from tests.sandbox.player import Answer, Play, Player

LOGIN = "/api/Auth/loginKey"
CREDENTIALS = {"userName": "sandbox-user", "apiKey": "sandbox-projectx-key"}


def login(player: Player, body: Any = CREDENTIALS) -> Answer:
    """Log in to ProjectX."""
    return player.call("POST", LOGIN, body)


def behave(player: Player, vendor: str = "projectx", **fields: Any) -> None:
    """Set a behaviour."""
    answer = player.control("behaviour", {"vendor": vendor, **fields})
    assert answer.status == 200, answer.body


def test_a_rejection_is_the_vendors_own_and_lasts_for_its_count(play: Play) -> None:
    """Two logins fail with the code, the third works."""
    player = play()
    behave(player, mode="reject", code=7, count=2)
    assert [login(player).json["errorCode"] for _ in range(3)] == [7, 7, 0]


@pytest.mark.parametrize(
    ("vendor", "path", "code", "status", "part"),
    [
        ("projectx", "/api/Auth/validate", 2, 200, b'"errorCode":2'),
        ("projectx", "/api/Account/search", None, 401, b""),
        ("partner", "/portfolio", None, 401, b"Invalid Token"),
        ("tt", "/ttid/ext_uat_cert/token", "StatusFail", 401, b'"StatusFail"'),
        ("tt", "/ttid/ext_uat_cert/token", 400, 400, b'"Fail"'),
        ("wallet", "/api/wallet/transfer", None, 401, b"Invalid token"),
        ("xerve", "/api/v1/generate-auth-token", None, 401, b"Invalid signature"),
        ("xerve", "/api/v1/generate-auth-token", 400, 400, b"Validation failed"),
    ],
)
def test_every_vendor_can_be_made_to_reject(
    play: Play, vendor: str, path: str, code: Any, status: int, part: bytes
) -> None:
    """Each in its own words."""
    player = play()
    behave(player, vendor, mode="reject", code=code)
    answer = player.call("POST", path)
    assert answer.status == status
    assert part in answer.body


@pytest.mark.parametrize("wish", ["7", "Wed, 21 Oct 2037 07:28:00 GMT", "-1", "soon", 0])
def test_a_rate_limit_carries_retry_after_verbatim(play: Play, wish: Any) -> None:
    """Broken values can be played too."""
    player = play()
    behave(player, mode="rate_limit", retry_after=wish)
    answer = login(player)
    assert (answer.status, answer.headers["retry-after"]) == (429, str(wish))


def test_a_rate_limit_without_a_wish_has_no_header(play: Play) -> None:
    """As the vendors do."""
    player = play()
    behave(player, "tt", mode="rate_limit")
    answer = player.call("POST", "/ttid/ext_uat_cert/token")
    assert (answer.status, answer.json) == (429, {"message": "Too Many Requests"})
    assert "retry-after" not in answer.headers


def test_an_error_has_the_status_that_was_asked_for(play: Play) -> None:
    """500 unless another is named, with the vendor's body."""
    player = play()
    behave(player, mode="error", code=502)
    assert login(player).status == 502
    behave(player, "xerve", mode="error")
    assert player.call("POST", "/api/v1/generate-auth-token").json["message"] == "Failed to generate auth token"


def test_garbage_is_html_with_a_200(play: Play) -> None:
    """A captive portal's page."""
    player = play()
    behave(player, mode="garbage")
    answer = login(player)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html")


def test_a_redirect_names_the_location_that_was_given(play: Play) -> None:
    """307, which a careless client would follow with its secrets."""
    player = play()
    behave(player, mode="redirect", location="http://127.0.0.1:1/elsewhere")
    answer = login(player)
    assert (answer.status, answer.headers["location"]) == (307, "http://127.0.0.1:1/elsewhere")


def test_slow_answers_late_but_truly(play: Play) -> None:
    """The delay passes before the answer does."""
    player = play()
    behave(player, mode="slow", delay="120ms", count=1)
    began = time.monotonic()
    assert login(player).json["success"] is True
    assert time.monotonic() - began >= 0.12


def test_a_truncated_answer_breaks_off(play: Play) -> None:
    """The length promises more than comes."""
    player = play()
    behave(player, mode="truncated", count=1)
    with pytest.raises(http.client.IncompleteRead):
        login(player)
    assert login(player).status == 200


@pytest.mark.parametrize(("mode", "sessions"), [("reset", 0), ("lost", 1)])
def test_a_lost_answer_had_its_effect_and_a_reset_had_none(play: Play, mode: str, sessions: int) -> None:
    """Both close the connection without a word; only `lost` carries the request out."""
    player = play(projectx_limit=1)
    behave(player, mode=mode, count=1)
    with pytest.raises(http.client.RemoteDisconnected):
        login(player)
    assert login(player).status == (429 if sessions else 200)
    assert player.log("projectx")[0] == ("POST", LOGIN, 0)


def test_a_behaviour_can_be_for_one_path_and_can_be_ended(play: Play) -> None:
    """Other paths and other vendors go on."""
    player = play()
    behave(player, mode="error", path="/api/Auth/validate")
    assert login(player).status == 200
    assert player.call("POST", "/api/Auth/validate").status == 500
    behave(player, mode=None)
    assert player.call("POST", "/api/Auth/validate").status == 401


def test_random_failures_follow_their_seed(play: Play) -> None:
    """The same seed fails the same requests; some fail and some do not."""

    def run(seed: int) -> Any:
        player = play(fail_rate=0.5, seed=seed)
        return [player.call("GET", "/portfolio").status for _ in range(20)]

    assert run(1) == run(1)
    assert set(run(1)) == {401, 503}
