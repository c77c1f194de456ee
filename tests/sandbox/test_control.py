"""The control requests of the sandbox."""

from typing import Any

import pytest

from tests.sandbox.player import Play
from tests.sandbox.test_faults import CREDENTIALS, login


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
        {"vendor": "tt", "mode": "error", "executed": "yes"},
        [],
    ],
)
def test_a_behaviour_that_makes_no_sense_is_refused_and_changes_nothing(play: Play, fields: Any) -> None:
    """400 with a message."""
    player = play()
    answer = player.control("behaviour", fields)
    assert answer.status == 400
    assert answer.json["error"]
    assert player.call("POST", "/ttid/ext_uat_cert/token").status == 403


def test_credentials_can_be_revoked_and_restored(play: Play) -> None:
    """The demo's story: a secret stops working, a person puts it right."""
    player = play()
    assert player.control("credentials", {"vendor": "projectx", "api_key": "another"}).json["changed"] == ["api_key"]
    assert login(player).json["errorCode"] == 3
    assert login(player, {**CREDENTIALS, "apiKey": "another"}).json["success"] is True
    player.control("credentials", {"vendor": "projectx", "restore": True})
    assert login(player).json["success"] is True


@pytest.mark.parametrize("fields", [{"secret": "x"}, {"api_key": 5}, {}, {"restore": "yes"}])
def test_credentials_that_a_vendor_does_not_have_are_refused(play: Play, fields: Any) -> None:
    """400 names what there is, never a value."""
    player = play()
    answer = player.control("credentials", {"vendor": "projectx", **fields})
    assert answer.status == 400
    assert "api_key" in answer.json["error"]
    assert "sandbox-projectx-key" not in answer.json["error"]
    assert login(player).json["success"] is True


def test_the_index_names_fields_and_never_values(play: Play) -> None:
    """GET /_sandbox explains the control endpoints."""
    answer = play().call("GET", "/_sandbox")
    assert answer.json["vendors"]["tt"] == ["api_key", "api_secret"]
    assert "POST /_sandbox/behaviour" in answer.json["control"]
    assert b"sandbox-tt-secret" not in answer.body
