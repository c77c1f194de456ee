"""`?format=aws`: a key pair as AWS's SDKs read it from a container's endpoint."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.api.fake_engine import RAW, FakeEngine
from tests.httpd.served import Reply, Served, served
from tokend.access.peer import Peer
from tokend.api.serializers import status_row
from tokend.values.status import (
    ClientReports,
    Failure,
    HookStatus,
    LoginStatus,
    PluginStatus,
    SinkStatus,
    State,
    StatusWarning,
)

KEYS = {"AccessKeyId": "AKIAFAKE", "SecretAccessKey": "fake-secret"}
TARGET = "/v1/tokens/demo?format=aws"


def read(directory: Path, value: str, target: str = TARGET, *, endless: bool = False, **headers: str) -> Reply:
    """Hold a token and ask for it."""
    engine = FakeEngine()
    entry = engine.hold("demo", value=value)
    if endless:
        assert entry.lease is not None
        entry.lease = replace(entry.lease, token=replace(entry.lease.token, expires_at=None))
    with served(directory, engine) as running:
        return running.get(target, **headers)


@pytest.mark.parametrize(
    ("more", "session"),
    [({"Token": "t"}, "t"), ({"SessionToken": "s"}, "s"), ({"Token": "t", "SessionToken": "s"}, "t"), ({}, "")],
)
@pytest.mark.parametrize("accept", ["application/json", "*/*", "text/plain"])
def test_a_key_pair_is_given_with_all_four_members(
    tmp_path: Path, more: dict[str, str], session: str, accept: str
) -> None:
    """botocore and the SDK for JavaScript insist on Token and Expiration; ours counts, not what was written inside."""
    reply = read(tmp_path, json.dumps({**KEYS, **more, "Expiration": "theirs", "Version": 1}), Accept=accept)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert reply.json == {**KEYS, "Token": session, "Expiration": "2025-01-01T01:00:00Z"}
    assert (reply.headers["etag"], reply.headers["cache-control"]) == ('"17"', "no-store")


def test_one_without_an_end_is_asked_for_again_after_an_hour(tmp_path: Path) -> None:
    """No Expiration is no credential to most of them, and a changed key pair has to be noticed."""
    assert read(tmp_path, json.dumps(KEYS), endless=True).json["Expiration"] == "2025-01-01T01:00:00Z"


@pytest.mark.parametrize(
    "value", ["opaque", "7", "[]", "{}", '"AccessKeyId"', json.dumps({**KEYS, "AccessKeyId": 7}), "[" * 100_000,
              json.dumps({**KEYS, "Token": ["x"]}), json.dumps({"AccessKeyId": "a"})]
)  # fmt: skip
def test_what_is_no_key_pair_is_406_and_not_quoted(tmp_path: Path, value: str) -> None:
    """The representation cannot be had; the sentence says what it would take."""
    reply = read(tmp_path, value)
    assert (reply.status, reply.json["code"]) == (406, "not_acceptable")
    assert reply.json["detail"] == "'demo' is no AWS key pair: a JSON object with AccessKeyId and SecretAccessKey"


def test_it_is_combined_with_min_ttl_and_generations(tmp_path: Path) -> None:
    """A promise is a promise in every form."""
    value: Any = json.dumps(KEYS)
    assert read(tmp_path, value, TARGET + "&min_ttl=5m").json["AccessKeyId"] == "AKIAFAKE"
    assert read(tmp_path, value, TARGET, If_None_Match='"17"').status == 304


@pytest.mark.parametrize("form", ["json", "raw", "AWS", ""])
def test_no_other_form_is_known(tmp_path: Path, form: str) -> None:
    """JSON and the raw token are chosen by Accept."""
    reply = read(tmp_path, json.dumps(KEYS), f"/v1/tokens/demo?format={form}")
    assert (reply.status, reply.json["errors"]) == (400, {"format": ["must be aws"]})


def test_the_list_shows_rows_without_secrets(running: Served) -> None:
    """Exactly the documented keys, for every kind."""
    reply = running.get("/v1/tokens")
    assert RAW.encode() not in reply.body
    assert reply.json["version"] == 1
    rows = {one["name"]: one for one in reply.json["tokens"]}
    assert rows["demo"] == {
        "name": "demo",
        "kind": "fake",
        "state": "valid",
        "valid": True,
        "expires_at": "2025-01-01T01:00:00Z",
        "refresh_at": "2025-01-01T00:50:00Z",
        "generation": 17,
        "fingerprint": "0123456789ab",
    }
    assert rows["wallet"]["state"] == "on_demand"
    assert rows["wallet"]["generation"] is None


FAILING_SINK = SinkStatus(
    "raw",
    "raw-1",
    "/run/x",
    "/run/x",
    "failing",
    True,
    None,
    "no space",
    repairs=2,
    found_uid=4242,
    hook=HookStatus("running", datetime(2025, 1, 1, 0, 0, 5, tzinfo=UTC)),
)


def test_status_shows_how_everything_fares(running: Served) -> None:
    """The row plus required, seconds_left, failures, last_error, next_attempt_at, sinks; and the configuration."""
    at = datetime(2025, 1, 1, 0, 0, 5, tzinfo=UTC)
    running.engine.entries["demo"].changes = {
        "state": State.FAILING,
        "failures": 2,
        "last_error": Failure("transient", "timed out", at),
        "next_attempt_at": at,
        "paused_until": at,
        "paused_by": "api.example",
        "paused_token": "hidden",
        "reports": ClientReports(3, at, "unauthorized", 4242),
        "warnings": (StatusWarning("odd_secret", "key: it ends with spaces"),),
        "login": LoginStatus("ok", "fake-person", at, None, ("write",), "tokend login demo"),
        "sinks": (FAILING_SINK,),
    }
    running.config_error = "c.toml:1:1: bad"
    status = running.get("/v1/status").json
    assert (status["version"], status["ready"]) == (1, True)
    assert status["config"] == {"loaded_at": "2025-01-01T00:00:00Z", "error": "c.toml:1:1: bad", "restart_needed": []}
    row = next(one for one in status["tokens"] if one["name"] == "demo")
    listed = next(one for one in running.get("/v1/tokens").json["tokens"] if one["name"] == "demo")
    more = {"required", "seconds_left", "failures", "last_error", "next_attempt_at", "sinks"}
    more |= {"paused_until", "paused_by", "paused_token", "reports", "warnings", "login"}
    assert row == {**listed, **{key: row[key] for key in more}}
    assert (row["paused_until"], row["paused_by"]) == ("2025-01-01T00:00:05Z", "api.example")
    known = running.engine.entries["demo"].status()
    assert row["paused_token"] == "hidden"  # the peer is an admin
    assert status_row(known, readable={"demo"})["paused_token"] is None
    assert status_row(known, readable={"demo", "hidden"})["paused_token"] == "hidden"
    reports = {"count": 3, "last_at": "2025-01-01T00:00:05Z", "reason": "unauthorized"}
    assert row["reports"] == {**reports, "uid": 4242}
    assert row["warnings"] == [{"code": "odd_secret", "message": "key: it ends with spaces"}]
    assert "uid" not in status_row(running.engine.entries["demo"].status(), admin=False)["reports"]
    assert row["seconds_left"] == 3600.0
    assert row["required"] is True
    assert row["login"] == {
        "state": "ok",
        "subject": "fake-person",
        "obtained_at": "2025-01-01T00:00:05Z",
        "ends_at": None,
        "scopes_missing": ["write"],
        "command": "tokend login demo",
    }
    assert row["failures"] == 2
    assert row["last_error"] == {"class": "transient", "detail": "timed out", "at": "2025-01-01T00:00:05Z"}
    assert row["next_attempt_at"] == "2025-01-01T00:00:05Z"
    assert row["sinks"] == [
        {
            "kind": "raw",
            "label": "raw-1",
            "target": "/run/x",
            "path": "/run/x",
            "state": "failing",
            "last_success_at": None,
            "error": "no space",
            "repairs": 2,
            "found_uid": 4242,
            "hook": {"state": "running", "since": "2025-01-01T00:00:05Z"},
            "generation": None,
            "store_version": None,
            "drift": None,
            "remark": None,
        }
    ]


def test_plug_ins_are_shown_to_admins_only(running: Served) -> None:
    """Their files are nobody else's business. A token that was left out is a reason not to be ready."""
    assert "plugins" not in running.get("/v1/status").json
    running.plugins = (
        PluginStatus("/p/acme.py", None, None, error="it is broken"),
        PluginStatus(None, "acme-tokend", "1.0", ("a", "b"), ("c",)),
    )
    running.left_out = frozenset({"here"})
    file: dict[str, Any] = {
        "file": "/p/acme.py",
        "package": None,
        "version": None,
        "providers": [],
        "sinks": [],
        "error": "it is broken",
    }
    package = {"package": "acme-tokend", "version": "1.0", "providers": ["a", "b"], "sinks": ["c"], "error": None}
    assert running.get("/v1/status").json["plugins"] == [file, {"file": None, **package}]
    running.engine.ready = False
    (reason,) = [one for one in running.get("/readyz").json["reasons"] if one["token"] == "here"]
    assert (reason["state"], reason["sink"]) == ("pending", None)
    assert reason["detail"] == "its kind, that of one of its sinks, or its vendor cannot be used"


def test_others_see_no_plug_ins(tmp_path: Path) -> None:
    """Neither their files nor which tokens a start went on without."""
    with served(tmp_path, FakeEngine(), identify=lambda _: Peer(54321, frozenset())) as running:
        running.plugins = (PluginStatus("/p/acme.py", None, None),)
        running.left_out = frozenset({"here"})
        running.engine.ready = False
        assert "plugins" not in running.get("/v1/status").json
        assert "here" not in str(running.get("/readyz").json)


def test_a_permanent_remark_is_a_note_in_status(running: Served) -> None:
    """Only where there is one: the documented row has no such key."""
    running.engine.entries["demo"].changes = {"note": "cannot be renewed"}
    rows = {one["name"]: one for one in running.get("/v1/status").json["tokens"]}
    assert rows["demo"]["note"] == "cannot be renewed"
    assert "note" not in rows["wallet"]


def test_the_vendors_words_are_shown_to_admins_only(running: Served) -> None:
    """They may name another caller's user; what tokend itself says is for all who may see the token."""
    at = datetime(2025, 1, 1, 0, 0, 5, tzinfo=UTC)
    running.engine.entries["demo"].changes = {"last_error": Failure("rejected", "answered 401", at, "Account locked")}
    (row,) = [row for row in running.get("/v1/status").json["tokens"] if row["name"] == "demo"]
    assert row["last_error"]["detail"] == "answered 401; the upstream said: Account locked"
    shown = status_row(running.engine.entries["demo"].status(), admin=False)
    assert shown["last_error"] == {"class": "rejected", "detail": "answered 401", "at": "2025-01-01T00:00:05Z"}
