"""`?format=aws`: a key pair as AWS's SDKs read it from a container's endpoint."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.api.fake_engine import FakeEngine
from tests.httpd.served import Reply, served

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
