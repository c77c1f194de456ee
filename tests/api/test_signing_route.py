"""POST /v1/tokens/{name}/sign: what a call may look like, and what reaches the engine of it."""

import os
from typing import Any

import pytest

from tests.httpd.served import Served
from tokend.plugin.request_signing import CallToSign
from tokend.values import errors

SIGN = "/v1/tokens/wallet/sign"


def signed(running: Served, **body: Any) -> CallToSign:
    """Return the call that reached the engine."""
    running.engine.calls.clear()
    reply = running.post(SIGN, {"method": "GET", "path": "/x", **body})
    assert reply.status == 200, reply.json
    ((_, name, call),) = running.engine.calls
    assert name == "wallet"
    assert isinstance(call, CallToSign)
    return call


def test_the_answer_is_the_headers_and_the_engine_gets_the_normalised_call(running: Served) -> None:
    """Exactly one member; the caller's uid is counted."""
    reply = running.post(SIGN, {"method": "get", "path": "/api/v1/get%2Dbalance"})
    assert (reply.status, reply.json) == (200, {"headers": {"x-signature": "fake"}})
    assert running.engine.calls == [("sign", "wallet", CallToSign("GET", "/api/v1/get-balance"))]
    assert running.engine.uid == os.getuid()


@pytest.mark.parametrize(
    ("more", "pairs"),
    [
        ({}, ()),
        ({"query": None}, ()),
        ({"query": ""}, ()),
        ({"query": {}}, ()),
        ({"query": "b=2&a=1%20x+y&c="}, (("b", "2"), ("a", "1 x y"), ("c", ""))),
        ({"query": {"b": "2", "a": "1 x y"}}, (("b", "2"), ("a", "1 x y"))),
        ({"path": "/x?clientId=1"}, (("clientId", "1"),)),
        ({"path": "/x?clientId=1", "query": ""}, (("clientId", "1"),)),
    ],
)
def test_a_query_is_text_or_an_object_or_stands_in_the_path(
    running: Served, more: dict[str, Any], pairs: tuple[tuple[str, str], ...]
) -> None:
    """Names and values are decoded."""
    assert signed(running, **more).query == pairs


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (None, b""),
        ("", b""),
        (' {"a": 1}\n', b' {"a": 1}\n'),
        ({"clientId": "C ß", "amount": 12.5, "n": 3, "t": True, "z": None}, None),
        ([1, {"b": [], "a": ""}], b'[1,{"b":[],"a":""}]'),
    ],
)
def test_a_body_is_the_text_that_is_sent_or_json_as_json_stringify_writes_it(
    running: Served, body: Any, sent: bytes | None
) -> None:
    """No spaces, members in their order, characters as they are."""
    expected = '{"clientId":"C ß","amount":12.5,"n":3,"t":true,"z":null}'.encode() if sent is None else sent
    assert signed(running, method="POST", body=body).body == expected


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"method": None}, "method"),
        ({"method": 7}, "method"),
        ({"method": "G T"}, "method"),
        ({"path": ""}, "path"),
        ({"path": "/a/../b"}, "path"),
        ({"path": "//a"}, "path"),
        ({"path": "/a%2fb"}, "path"),
        ({"path": "https://elsewhere.example/x"}, "path"),
        ({"query": "novalue"}, "query"),
        ({"query": "a=1&a=2"}, "query"),
        ({"query": "a=%ff"}, "query"),
        ({"query": 7}, "query"),
        ({"query": {"a": 1}}, "query"),
        ({"query": {f"a{n}": "1" for n in range(101)}}, "query"),
        ({"query": "&".join(f"a{n}=1" for n in range(101))}, "query"),
        ({"path": "/x?a=1", "query": "b=2"}, "query"),
        ({"body": 7}, "body"),
        ({"more": "x"}, "more"),
    ],
)
def test_a_call_that_is_not_clear_reaches_nobody(running: Served, more: dict[str, Any], field: str) -> None:
    """400, with a text for the field."""
    reply = running.post(SIGN, {"method": "GET", "path": "/x", **more})
    assert (reply.status, reply.code) == (400, "bad_request")
    assert set(reply.json["errors"]) == {field}
    assert running.engine.calls == []


def test_what_the_engine_refuses_is_answered_with_its_status(running: Served) -> None:
    """405 without sign_paths, 403 for another call, 400 for what the signature would not cover, 429."""
    for error, status in (
        (errors.NotSupportedError("signs no calls"), 405),
        (errors.DeniedError("GET /x is not in sign_paths"), 403),
        (errors.InvalidParametersError({"body": ["is not covered"]}), 400),
        (errors.ThrottledError("too often", retry_at=0.0), 429),
    ):
        running.engine.raises = error
        assert running.post(SIGN, {"method": "GET", "path": "/x"}).status == status
