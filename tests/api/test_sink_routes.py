"""Routes `sync` and `inspect` of a token's sinks: for admins, of held tokens."""

from typing import Any

import pytest

from tests.api.fake_engine import START
from tests.httpd.served import Served
from tokend.values.status import SinkStatus

STORE = SinkStatus(
    "vault", "vault-2", "vault:secret/app#token", None, "ok", True, START.wall, None,
    generation=17, store_version="3", drift="none", remark="last writer wins",
)  # fmt: skip
FILE = SinkStatus("raw", "raw-1", "/run/x", "/run/x", "failing", False, None, "no space")


@pytest.fixture
def written(running: Served) -> Served:
    running.engine.entries["demo"].changes.update(sinks=(FILE, STORE))
    return running


@pytest.mark.parametrize(
    ("body", "call"),
    [
        (None, ("sync", "demo", None, False)),
        ({}, ("sync", "demo", None, False)),
        ({"sink": None}, ("sync", "demo", None, False)),
        ({"sink": "vault-2", "take_over": True}, ("sync", "demo", "vault-2", True)),
    ],
)
def test_a_sync_is_passed_to_the_engine_and_answered_with_the_status(written: Served, body: Any, call: Any) -> None:
    """The row of /v1/status, after the writes."""
    reply = written.post("/v1/tokens/demo/sync", body)
    assert reply.status == 200
    assert written.engine.calls == [call]
    row = dict(reply.json)
    assert row.pop("version") == 1
    assert row == next(one for one in written.get("/v1/status").json["tokens"] if one["name"] == "demo")
    assert row["sinks"][1] == {
        "kind": "vault",
        "label": "vault-2",
        "target": "vault:secret/app#token",
        "path": None,
        "state": "ok",
        "last_success_at": "2025-01-01T00:00:00Z",
        "error": None,
        "repairs": 0,
        "found_uid": None,
        "hook": None,
        "generation": 17,
        "store_version": "3",
        "drift": "none",
        "remark": "last writer wins",
    }


@pytest.mark.parametrize(
    ("body", "field", "text"),
    [
        ({"sink": "vault-1"}, "sink", "must be one of raw-1, vault-2"),
        ({"sink": 2}, "sink", "must be one of raw-1, vault-2"),
        ({"sink": ""}, "sink", "must be one of raw-1, vault-2"),
        ({"take_over": 1}, "take_over", "must be true or false"),
        ({"take_over": None}, "take_over", "must be true or false"),
        ({"label": "raw-1"}, "label", "unknown key"),
    ],
)
def test_a_wrong_sync_is_400_with_the_field(written: Served, body: Any, field: str, text: str) -> None:
    """Nothing is written."""
    reply = written.post("/v1/tokens/demo/sync", body)
    assert (reply.status, reply.code, reply.json["errors"]) == (400, "bad_request", {field: [text]})
    assert written.engine.calls == []


def test_a_token_without_sinks_has_none_to_name(running: Served) -> None:
    """The text says so; a sync of all its sinks is done at once."""
    assert running.post("/v1/tokens/demo/sync", {"sink": "raw-1"}).json["errors"] == {"sink": ["demo has no sink"]}
    assert running.post("/v1/tokens/demo/sync").json["sinks"] == []


def test_an_inspection_is_answered_with_the_status(written: Served) -> None:
    """It takes no body."""
    reply = written.post("/v1/tokens/demo/inspect")
    assert (reply.status, [sink["drift"] for sink in reply.json["sinks"]]) == (200, [None, "none"])
    assert written.engine.calls == [("inspect", "demo")]
    assert written.post("/v1/tokens/demo/inspect", {"sink": "raw-1"}).status == 400


@pytest.mark.parametrize("action", ["sync", "inspect"])
def test_a_token_that_is_issued_on_demand_has_no_sinks(running: Served, action: str) -> None:
    """405; and 404 for a token that is not there, 405 for a GET."""
    reply = running.post(f"/v1/tokens/wallet/{action}")
    assert (reply.status, reply.code) == (405, "not_supported")
    assert running.post(f"/v1/tokens/nosuch/{action}").code == "unknown_token"
    assert running.get(f"/v1/tokens/demo/{action}").status == 405
    assert running.engine.calls == []
