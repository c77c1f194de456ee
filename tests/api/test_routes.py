"""Refusals: unknown and hidden tokens, foreign verbs, web pages; and the answer to a request that meets a bug."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.api.fake_engine import FakeEngine
from tests.httpd.served import Served, eventually, logged, served
from tokend.plugin.settings import Access


@pytest.mark.parametrize("path", ["/v1/tokens/nope", "/v1/tokens/..", "/v1/tokens/%2e%2e%2fstatus", "/v1/tokens/"])
def test_an_unknown_name_is_unknown_token(running: Served, path: str) -> None:
    """Names are looked up, never interpreted: traversal is just an unknown name."""
    reply = running.get(path)
    assert (reply.status, reply.code) == (404, "unknown_token")


@pytest.mark.parametrize(
    "path",
    [
        "/", "/v1", "/v1/tokens/demo/nope", "/v1/tokens/demo/refresh/x", "/v1/../v1/status", "/v1/tokens/demo/",
        "/v1/tokens/demo//", "/v1/tokens/demo/refresh/", "/livez/", "//livez", "/v1//tokens",
    ],
)  # fmt: skip
def test_an_unknown_path_is_404_but_not_about_tokens(running: Served, path: str) -> None:
    """A path that nobody has is bad_request with status 404: unknown_token is kept for tokens."""
    reply = running.get(path)
    assert (reply.status, reply.code) == (404, "bad_request")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/v1/tokens/demo", "GET, HEAD"),
        ("POST", "/v1/status", "GET, HEAD"),
        ("GET", "/v1/tokens/demo/refresh", "POST"),
        ("PUT", "/v1/reload", "POST"),
        ("OPTIONS", "/livez", "GET, HEAD"),
        ("BREW", "/v1/status", "GET, HEAD"),
        ("BREW", "/v1/reload", "POST"),
        ("get", "/v1/tokens/demo/forget", "POST"),
        ("M-SEARCH", "/v1/tokens/demo", "GET, HEAD"),
        ("OPTIONS", "/v1/tokens/demo/login/an-id", "GET, HEAD, POST, DELETE"),
    ],
)
def test_a_foreign_verb_is_405_with_allow(running: Served, method: str, path: str, allow: str) -> None:
    """not_supported, and Allow lists what the path has."""
    reply = running.ask(method, path)
    assert (reply.status, reply.code, reply.headers["allow"]) == (405, "not_supported", allow)
    assert reply.json["detail"] == f"{method} is not possible here; allowed: {allow}"


def test_a_verb_that_http_does_not_have_is_a_request_like_any_other(running: Served) -> None:
    """Its path, its headers and its body are read; what follows on the connection is answered, too."""
    assert running.ask("BREW", "/v1/nothing").status == 404
    assert running.ask("BREW", "/v1/status", Origin="x").code == "denied"
    with running.client() as client:
        head = b"BREW /v1/status HTTP/1.1\r\nContent-Length: 26\r\n\r\n"
        client.send(head + b"POST /v1/reload HTTP/1.1\r\n" + b"GET /livez HTTP/1.1\r\n\r\n")
        assert [client.reply().status for _ in range(2)] == [405, 200]
        client.send(b"BREW /livez HTTP/1.1\r\nContent-Le")
        client.send(b"ngth: 70000\r\n\r\n")
        assert client.reply().code == "too_large"
    assert running.engine.calls == []


def test_kinds_refuse_what_they_cannot_do(running: Served) -> None:
    """GET, refresh and forget of an on-demand token and issue of a held one: 405, and the detail shows the way."""
    reply = running.get("/v1/tokens/wallet")
    assert (reply.status, reply.code) == (405, "not_supported")
    assert "/v1/tokens/wallet/issue" in reply.json["detail"]
    assert "allow" in reply.headers
    for path in ("wallet/refresh", "wallet/forget", "demo/issue"):
        reply = running.post(f"/v1/tokens/{path}", {"a": "b"})
        assert (reply.status, reply.code) == (405, "not_supported")
    assert running.engine.calls == []


@pytest.mark.parametrize("header", ["Origin", "Referer", "Sec_Fetch_Site"])
@pytest.mark.parametrize("path", ["/v1/tokens/demo", "/livez"])
def test_web_pages_are_refused(running: Served, header: str, path: str) -> None:
    """A request with a browser's headers gets nothing, not even where the same path was just served."""
    assert running.get(path).status == 200
    reply = running.get(path, **{header: "x"})
    assert (reply.status, reply.code) == (403, "denied")


def test_a_bug_is_a_500_that_shows_nothing_and_harms_nobody(running: Served) -> None:
    """The connection survives, the answer and the log hold no value of the exception."""
    running.engine.raises = ZeroDivisionError("planted-fake-secret")
    with logged() as lines, running.client() as client:
        client.send(b"POST /v1/tokens/demo/refresh HTTP/1.1\r\n\r\n")
        reply = client.reply()
        assert (reply.status, reply.code) == (500, "internal")
        client.send(b"GET /livez HTTP/1.1\r\n\r\n")
        assert client.reply().status == 200
    assert "planted-fake-secret" not in f"{lines}{reply.body!r}"
    assert [(one["event"], one["error"]) for one in lines] == [("client.failed", "ZeroDivisionError")]
    assert "refresh_token:" in lines[0]["trace"]


def test_access_hides_tokens_as_if_they_were_not_there(tmp_path: Path) -> None:
    """For who may not read, hidden and missing names answer alike, and lists and status leave them out."""
    engine = FakeEngine()
    engine.hold("hidden", access=Access(users=("nobody-like-this",)))
    engine.hold("demo")
    engine.offer("secret-wallet", access=Access(groups=("4294967000",)))
    with served(tmp_path, engine, admins=(), own_uid=54321) as running:
        running.inside(lambda: setattr(running.service.policy, "_almighty", frozenset()))
        for path in ("", "/refresh", "/issue", "/request-id", "/forget", "/sync", "/inspect", "/login", "/logout"):
            method = "POST" if path else "GET"
            for name in ("hidden", "secret-wallet"):
                hidden = running.ask(method, f"/v1/tokens/{name}{path}")
                missing = running.ask(method, f"/v1/tokens/{'x' * len(name)}{path}")
                assert hidden.status == missing.status == 404
                assert hidden.body.replace(name.encode(), b"") == missing.body.replace(b"x" * len(name), b"")
                assert hidden.headers == missing.headers
        for path in ("/v1/tokens", "/v1/status"):
            assert [one["name"] for one in running.get(path).json["tokens"]] == ["demo"]
        for path in (
            "/v1/reload",
            *(f"/v1/tokens/demo/{call}" for call in ("forget", "refresh", "sync", "inspect", "login", "logout")),
        ):
            reply = running.post(path)
            assert (reply.status, reply.code) == (403, "denied")
        assert running.post("/v1/tokens/demo/refresh", {"if_generation": 1}).status == 200
        running.config_error = "c.toml:1:1: [providers.hidden]"
        assert "hidden" not in running.get("/v1/status").json["config"]["error"]
        assert running.engine.calls == [("refresh", "demo", 1, "", False)]


@pytest.mark.parametrize(("method", "path"), [("GET", "?min_ttl=1s"), ("POST", "/refresh")])
def test_a_token_that_a_reload_hides_meanwhile_is_not_handed_out(tmp_path: Path, method: str, path: str) -> None:
    """Access is looked at when the answer is ready, not only when the question came."""
    engine = FakeEngine()
    engine.hold("demo")
    with served(tmp_path, engine, own_uid=54321, admins=()) as running, running.client() as client:
        running.inside(lambda: setattr(running.service.policy, "_almighty", frozenset()))
        running.inside(lambda: setattr(running.engine, "gate", asyncio.Event()))
        body = b'{"if_generation":1}'
        client.send(f"{method} /v1/tokens/demo{path} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        assert eventually(lambda: bool(engine.calls))
        running.inside(lambda: engine.hold("demo"))
        hidden = engine.entries["demo"].settings.model_copy(update={"access": Access(users=("nobody-like-this",))})
        running.inside(lambda: setattr(engine.entries["demo"], "settings", hidden))
        gate = engine.gate
        assert gate is not None
        running.inside(gate.set)
        assert client.reply().code == "unknown_token"


def test_each_denial_is_a_warning_and_a_flood_of_them_one_line_a_second(tmp_path: Path) -> None:
    """Issue 4: uid, token and reason of a hidden token, an admin's call and a web page; the rest is counted."""
    engine = FakeEngine()
    engine.hold("hidden", access=Access(users=("nobody-like-this",)))
    engine.hold("demo")
    with logged() as lines, served(tmp_path, engine, admins=(), own_uid=54321) as running:
        running.inside(lambda: setattr(running.service.policy, "_almighty", frozenset()))
        for _ in range(3):
            assert running.get("/v1/tokens/hidden").status == 404
        engine.clock.now = engine.clock.now.after(1)
        assert running.post("/v1/tokens/demo/forget").status == 403
        engine.clock.now = engine.clock.now.after(1)
        assert running.get("/livez", Origin="https://evil.example").status == 403
        assert running.get("/v1/tokens/none").status == 404
    denied = [line for line in lines if line["event"] == "client.denied"]
    assert {(line["log_level"], line["uid"]) for line in denied} == {("warning", os.geteuid())}
    assert [(line.get("token"), line["unsaid_before"]) for line in denied] == [("hidden", 0), ("demo", 2), (None, 0)]
    assert "evil.example" not in str(lines)
