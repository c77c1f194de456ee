"""Routes with effects: refresh, issue, request-id, forget, reload, and the bodies that they take."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from tests.api.fake_engine import RAW, START
from tests.httpd.served import Served, eventually
from tokend.values import errors
from tokend.values.secret import Secret
from tokend.values.status import State
from tokend.values.tokens import Token


def test_refresh_passes_generation_and_reason_to_the_engine(running: Served) -> None:
    """The body is optional for admins; the answer is the token."""
    assert running.post("/v1/tokens/demo/refresh").json["generation"] == 17
    body = {"if_generation": 16, "reason": "unauthorized"}
    assert running.post("/v1/tokens/demo/refresh", body).json["access_token"] == RAW
    assert running.engine.calls == [
        ("refresh", "demo", None, "", True),
        ("refresh", "demo", 16, "unauthorized", True),
    ]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"if_generation": "17"}, "if_generation"),
        ({"if_generation": True}, "if_generation"),
        ({"if_generation": 1.5}, "if_generation"),
        ({"reason": 5}, "reason"),
        ({"reason": "x" * 201}, "reason"),
        ({"generation": 17}, "generation"),
    ],
)
def test_a_wrong_refresh_body_is_400_with_the_field(running: Served, body: Any, field: str) -> None:
    """Each error stands under its field."""
    reply = running.post("/v1/tokens/demo/refresh", body)
    assert (reply.status, reply.code) == (400, "bad_request")
    assert list(reply.json["errors"]) == [field]
    assert running.engine.calls == []


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"null",
        b'"x"',
        b"{",
        b"\xff",
        b'{"a":NaN}',
        b'{"a":"1","a":"2"}',
        b'{"a":"\\ud800"}',
        b"[" * 60000,
        b"9" * 6000,
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        "{}".encode("utf-32-le"),
    ],
)
def test_a_body_that_is_no_json_object_is_400(running: Served, body: bytes) -> None:
    """Lists, NaN, duplicates, lone surrogates, depth, endless numbers and other encodings are refused alike."""
    for path in ("demo/refresh", "wallet/issue"):
        reply = running.post(f"/v1/tokens/{path}", body)
        assert (reply.status, reply.code) == (400, "bad_request")


def test_a_body_of_another_type_is_415(running: Served) -> None:
    """A body must say that it is JSON; a charset beside it is fine."""
    reply = running.post("/v1/tokens/demo/refresh", {}, Content_Type="application/x-www-form-urlencoded")
    assert (reply.status, reply.code) == (415, "unsupported_media_type")
    assert running.post("/v1/tokens/demo/refresh", {}, Content_Type="Application/JSON; charset=utf-8").status == 200


def test_a_body_that_names_no_type_is_taken_for_json(running: Served) -> None:
    """Ordinary clients forget the header (http.client adds none), and JSON is all that a body can be."""
    with running.client() as client:
        client.send(b'POST /v1/tokens/wallet/issue HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"a":"b"}')
        assert client.reply().status == 201
    assert running.engine.calls == [("issue", "wallet", {"a": "b"})]


def test_issue_gives_a_token_in_the_same_shape_plus_extra(running: Served) -> None:
    """201, native keys, headers, and "extra" with its secrets revealed to who asked."""
    running.engine.issued = Token(
        Secret("fake-issued"),
        "Bearer",
        START,
        START.after(60),
        {"Authorization": Secret("Bearer fake-issued")},
        {"loginLink": Secret("https://fake.example/login"), "user": {"id": 7}},
    )
    reply = running.post("/v1/tokens/wallet/issue", {"amount": "0.001", "url": "/x"})
    held = running.get("/v1/tokens/demo").json
    assert reply.status == 201
    assert reply.json.keys() == held.keys() | {"extra"}
    assert reply.json["access_token"] == "fake-issued"
    assert reply.json["headers"] == {"Authorization": "Bearer fake-issued"}
    assert reply.json["extra"] == {"loginLink": "https://fake.example/login", "user": {"id": 7}}
    assert running.engine.calls == [("issue", "wallet", {"amount": "0.001", "url": "/x"})]
    assert running.engine.uid == os.getuid()  # whose queries are counted


def test_a_refresh_lets_rejected_credentials_of_an_on_demand_token_be_tried_again(running: Served) -> None:
    """For admins; the answer is the state. Where nothing is rejected it is a 405 as before."""
    running.engine.entries["wallet"].changes["state"] = State.REJECTED
    reply = running.post("/v1/tokens/wallet/refresh", {"reason": "command line"})
    assert (reply.status, reply.json) == (200, {"version": 1, "name": "wallet", "state": "on_demand"})
    reply = running.post("/v1/tokens/wallet/refresh")
    assert (reply.status, reply.code) == (405, "not_supported")
    assert running.engine.calls == [("resume", "wallet")]


def test_issue_parameters_are_strings(running: Served) -> None:
    """Anything else is named field by field and reaches nobody; a missing body is an error too."""
    reply = running.post("/v1/tokens/wallet/issue", {"amount": 0.001, "url": "/x", "y": None})
    assert (reply.status, reply.code) == (400, "bad_request")
    assert reply.json["errors"] == {"amount": ["must be a string"], "y": ["must be a string"]}
    assert running.post("/v1/tokens/wallet/issue").status == 400
    assert running.engine.calls == []


def test_more_parameters_than_any_kind_takes_are_refused_at_once(running: Served) -> None:
    """No kind looks at them, and the answer is short."""
    reply = running.post("/v1/tokens/wallet/issue", {f"name{number}": 5 for number in range(101)})
    assert (reply.status, reply.json["detail"]) == (400, "there are 101 parameters; at most 100 are allowed")
    reply = running.post("/v1/tokens/wallet/issue", {f"name{number}": 5 for number in range(100)})
    assert reply.json["detail"].endswith("name17 and 90 more")
    assert running.engine.calls == []
    assert running.post("/v1/tokens/wallet/issue", {f"name{number}": "" for number in range(100)}).status == 201


def test_of_many_unknown_keys_of_a_body_a_few_are_named(running: Served) -> None:
    """And how many there are besides."""
    reply = running.post("/v1/tokens/demo/refresh", {f"name{number}": 5 for number in range(3000)})
    assert (reply.status, len(reply.json["errors"])) == (400, 10)
    assert reply.json["detail"].endswith("name9 and 2990 more")


def test_request_ids_are_made_per_call(running: Served) -> None:
    """The answer holds exactly the id; kinds that need none say so."""
    assert running.post("/v1/tokens/demo/request-id").json == {"request_id": "app-company--1"}
    running.engine.raises = errors.NotSupportedError("this kind needs no request ids")
    reply = running.post("/v1/tokens/demo/request-id")
    assert (reply.status, reply.code) == (405, "not_supported")


def test_forget_and_reload_are_for_admins_and_reach_the_engine(running: Served) -> None:
    """Forget names the token; reload answers the plan, dry or not, and the keys that need a restart."""
    running.engine.restart_needed = ("daemon.socket",)
    running.engine.plan = ({"name": "demo", "action": "keep"},)
    assert running.post("/v1/tokens/demo/forget").status == 200
    plan = {"version": 1, "plan": [{"name": "demo", "action": "keep"}], "restart_needed": ["daemon.socket"]}
    assert running.post("/v1/reload").json == plan
    assert running.post("/v1/reload?dry_run=true").json == plan
    assert running.post("/v1/reload?dry_run=true", {"path": "/other.toml"}).json == plan
    assert running.post("/v1/reload?dry_run=maybe").status == 400
    assert running.engine.calls == [
        ("forget", "demo"),
        ("reload", False),
        ("reload", True),
        ("reload", True, Path("/other.toml")),
    ]


def test_what_has_effects_is_finished_without_its_client(running: Served) -> None:
    """A client that leaves during a POST does not interrupt it."""
    running.inside(lambda: setattr(running.engine, "gate", asyncio.Event()))
    gate = running.engine.gate
    assert gate is not None
    client = running.client()
    client.send(b"POST /v1/tokens/demo/refresh HTTP/1.1\r\n\r\n")
    assert eventually(lambda: bool(running.engine.calls))
    client.close()
    assert running.get("/livez").status == 200
    running.inside(gate.set)
    assert eventually(lambda: running.inside(running.service.requests).get(("demo", 200), 0) == 1)
    assert eventually(lambda: running.server.connections == 0)
