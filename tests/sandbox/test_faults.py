"""Faults, credentials, the clock and the journal: the sandbox steered while it runs."""

import http.client
import time
from email.utils import parsedate_to_datetime

import pytest

LOGIN = "/api/Auth/loginKey"
CREDENTIALS = {"userName": "sandbox-user", "apiKey": "sandbox-projectx-key"}


def login(player, body=CREDENTIALS):
    """Log in to ProjectX."""
    return player.call("POST", LOGIN, body)


def behave(player, vendor="projectx", **fields):
    """Set a behaviour."""
    answer = player.control("behaviour", {"vendor": vendor, **fields})
    assert answer.status == 200, answer.body


def test_a_rejection_is_the_vendors_own_and_lasts_for_its_count(play):
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
def test_every_vendor_can_be_made_to_reject(play, vendor, path, code, status, part):
    """Each in its own words."""
    player = play()
    behave(player, vendor, mode="reject", code=code)
    answer = player.call("POST", path)
    assert answer.status == status
    assert part in answer.body


@pytest.mark.parametrize("wish", ["7", "Wed, 21 Oct 2037 07:28:00 GMT", "-1", "soon", 0])
def test_a_rate_limit_carries_retry_after_verbatim(play, wish):
    """Broken values can be played too."""
    player = play()
    behave(player, mode="rate_limit", retry_after=wish)
    answer = login(player)
    assert (answer.status, answer.headers["retry-after"]) == (429, str(wish))


def test_a_rate_limit_without_a_wish_has_no_header(play):
    """As the vendors do."""
    player = play()
    behave(player, "tt", mode="rate_limit")
    answer = player.call("POST", "/ttid/ext_uat_cert/token")
    assert (answer.status, answer.json) == (429, {"message": "Too Many Requests"})
    assert "retry-after" not in answer.headers


def test_an_error_has_the_status_that_was_asked_for(play):
    """500 unless another is named, with the vendor's body."""
    player = play()
    behave(player, mode="error", code=502)
    assert login(player).status == 502
    behave(player, "xerve", mode="error")
    assert player.call("POST", "/api/v1/generate-auth-token").json["message"] == "Failed to generate auth token"


def test_garbage_is_html_with_a_200(play):
    """A captive portal's page."""
    player = play()
    behave(player, mode="garbage")
    answer = login(player)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html")


def test_a_redirect_names_the_location_that_was_given(play):
    """307, which a careless client would follow with its secrets."""
    player = play()
    behave(player, mode="redirect", location="http://127.0.0.1:1/elsewhere")
    answer = login(player)
    assert (answer.status, answer.headers["location"]) == (307, "http://127.0.0.1:1/elsewhere")


def test_slow_answers_late_but_truly(play):
    """The delay passes before the answer does."""
    player = play()
    behave(player, mode="slow", delay="120ms", count=1)
    began = time.monotonic()
    assert login(player).json["success"] is True
    assert time.monotonic() - began >= 0.12


def test_a_truncated_answer_breaks_off(play):
    """The length promises more than comes."""
    player = play()
    behave(player, mode="truncated", count=1)
    with pytest.raises(http.client.IncompleteRead):
        login(player)
    assert login(player).status == 200


@pytest.mark.parametrize(("mode", "sessions"), [("reset", 0), ("lost", 1)])
def test_a_lost_answer_had_its_effect_and_a_reset_had_none(play, mode, sessions):
    """Both close the connection without a word; only `lost` carries the request out."""
    player = play(projectx_limit=1)
    behave(player, mode=mode, count=1)
    with pytest.raises(http.client.RemoteDisconnected):
        login(player)
    assert login(player).status == (429 if sessions else 200)
    assert player.log("projectx")[0] == ("POST", LOGIN, 0)


def test_a_behaviour_can_be_for_one_path_and_can_be_ended(play):
    """Other paths and other vendors go on."""
    player = play()
    behave(player, mode="error", path="/api/Auth/validate")
    assert login(player).status == 200
    assert player.call("POST", "/api/Auth/validate").status == 500
    behave(player, mode=None)
    assert player.call("POST", "/api/Auth/validate").status == 401


@pytest.mark.parametrize(
    "fields",
    [
        {"vendor": "nobody", "mode": "error"},
        {"mode": "error"},
        {"vendor": "tt", "mode": "sulk"},
        {"vendor": "tt", "mode": ["error"]},
        {"vendor": "tt", "mode": "error", "count": 0},
        {"vendor": "tt", "mode": "error", "count": True},
        {"vendor": "tt", "mode": "slow", "delay": "5"},
        {"vendor": "tt", "mode": "slow", "delay": [1]},
        {"vendor": "tt", "mode": "rate_limit", "retry_after": "1\r\nX: y"},
        {"vendor": "tt", "mode": "reject", "code": "Ok"},
        {"vendor": "tt", "mode": "error", "speed": 1},
        [],
    ],
)
def test_a_behaviour_that_makes_no_sense_is_refused_and_changes_nothing(play, fields):
    """400 with a message."""
    player = play()
    answer = player.control("behaviour", fields)
    assert answer.status == 400
    assert answer.json["error"]
    assert player.call("POST", "/ttid/ext_uat_cert/token").status == 403


def test_credentials_can_be_revoked_and_mended(play):
    """The demo's story: a secret stops working, a person puts it right."""
    player = play()
    assert player.control("credentials", {"vendor": "projectx", "api_key": "another"}).json["changed"] == ["api_key"]
    assert login(player).json["errorCode"] == 3
    assert login(player, {**CREDENTIALS, "apiKey": "another"}).json["success"] is True
    player.control("credentials", {"vendor": "projectx", "restore": True})
    assert login(player).json["success"] is True


@pytest.mark.parametrize("fields", [{"secret": "x"}, {"api_key": 5}, {}, {"restore": "yes"}])
def test_credentials_that_a_vendor_does_not_have_are_refused(play, fields):
    """400 names what there is, never a value."""
    player = play()
    answer = player.control("credentials", {"vendor": "projectx", **fields})
    assert answer.status == 400
    assert "api_key" in answer.json["error"]
    assert "sandbox-projectx-key" not in answer.json["error"]
    assert login(player).json["success"] is True


def test_the_clock_can_be_shifted_at_the_start_and_while_it_runs(play):
    """Date and the sandbox's own time move together."""
    player = play(clock_skew=-7200.0)
    assert parsedate_to_datetime(login(player).headers["date"]).timestamp() == pytest.approx(time.time() - 7200, abs=20)
    assert player.control("clock", {"skew": 3600}).status == 200
    assert parsedate_to_datetime(login(player).headers["date"]).timestamp() == pytest.approx(time.time() + 3600, abs=20)
    assert player.control("clock", {"skew": "1h"}).status == 400


def test_the_journal_counts_and_holds_no_secret(play):
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


def test_random_failures_follow_their_seed(play):
    """The same seed fails the same requests; some fail and some do not."""

    def run(seed):
        player = play(fail_rate=0.5, seed=seed)
        return [player.call("GET", "/portfolio").status for _ in range(20)]

    assert run(1) == run(1)
    assert set(run(1)) == {401, 503}


def test_latency_delays_every_answer(play):
    """--latency."""
    player = play(latency=0.1)
    began = time.monotonic()
    login(player)
    assert time.monotonic() - began >= 0.1


def test_the_index_names_fields_and_never_values(play):
    """GET /_sandbox explains the control endpoints."""
    answer = play().call("GET", "/_sandbox")
    assert answer.json["vendors"]["tt"] == ["api_key", "api_secret"]
    assert "POST /_sandbox/behaviour" in answer.json["control"]
    assert b"sandbox-tt-secret" not in answer.body
