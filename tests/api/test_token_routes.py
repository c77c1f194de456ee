"""Reading a token: its forms, negotiation, generations, min_ttl, and what is never handed out."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.api.fake_engine import RAW, START, FakeEngine
from tests.httpd.served import Served, served
from tokend.api.serializers import not_ready
from tokend.values.status import Failure, LoginStatus, State


def test_a_token_is_given_as_native_json_with_headers_ready_to_send(running: Served) -> None:
    """The native object plus "headers"; the ETag is the generation; nobody may cache it."""
    reply = running.get("/v1/tokens/demo")
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["etag"] == '"17"'
    assert reply.json == {
        "version": 1,
        "name": "demo",
        "access_token": RAW,
        "token_type": "Bearer",
        "issued_at": "2025-01-01T00:00:00Z",
        "expires_at": "2025-01-01T01:00:00Z",
        "expires_at_unix": 1735693200,
        "refresh_at": "2025-01-01T00:50:00Z",
        "generation": 17,
        "fingerprint": "0123456789ab",
        "headers": {"Authorization": f"Bearer {RAW}"},
    }


def test_headers_of_the_settings_lie_on_top_of_the_tokens_own(tmp_path: Path) -> None:
    """A header of the settings replaces the token's of the same name, whatever the case, and others are added."""
    engine = FakeEngine()
    engine.hold("demo", headers={"authorization": "Custom", "X-Account": "7"})
    with served(tmp_path, engine) as running:
        assert running.get("/v1/tokens/demo").json["headers"] == {"authorization": "Custom", "X-Account": "7"}


@pytest.mark.parametrize(
    ("accept", "plain"),
    [
        ("*/*", False),
        ("application/*", False),
        ("text/plain", True),
        ("text/*", True),
        ("text/plain, */*", True),
        ("application/json, text/plain, */*", False),
        ("application/json;q=0.1, text/plain;q=0.5", True),
        ("text/plain;q=0, application/json", False),
        ("TEXT/Plain; charset=utf-8", True),
    ],
)
def test_accept_chooses_between_json_and_the_raw_token(running: Served, accept: str, plain: bool) -> None:
    """text/plain is exactly the token without a newline; the higher q, then the more exact name, then JSON wins."""
    for _ in range(2):  # parsed, and recognised
        reply = running.get("/v1/tokens/demo", Accept=accept)
        assert reply.status == 200
        assert (reply.body == RAW.encode()) is plain
        assert reply.headers["content-type"].startswith("text/plain" if plain else "application/json")


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "image/*", "*/*;q=0"])
def test_an_accept_that_nothing_satisfies_is_406(running: Served, accept: str) -> None:
    """Neither JSON nor text acceptable: not_acceptable."""
    reply = running.get("/v1/tokens/demo", Accept=accept)
    assert (reply.status, reply.code) == (406, "not_acceptable")


@pytest.mark.parametrize("tag", ['"17"', 'W/"17"', '"1", "17"', "*"])
def test_a_known_generation_is_304(running: Served, tag: str) -> None:
    """If-None-Match with the present generation: 304, no body, the same ETag."""
    reply = running.get("/v1/tokens/demo", If_None_Match=tag)
    assert (reply.status, reply.body, reply.headers["etag"]) == (304, b"", '"17"')
    assert running.get("/v1/tokens/demo", If_None_Match='"16"').status == 200


def test_head_answers_like_get_without_the_body(running: Served) -> None:
    """HEAD has GET's status and headers."""
    reply, whole = running.ask("HEAD", "/v1/tokens/demo"), running.get("/v1/tokens/demo")
    assert reply.status == 200
    assert reply.headers == whole.headers


def test_min_ttl_asks_the_engine_for_a_fresh_enough_token(running: Served) -> None:
    """?min_ttl=60s is the engine's `fresh` in seconds, with the peer's rights."""
    assert running.get("/v1/tokens/demo?min_ttl=60s").json["access_token"] == RAW
    assert running.engine.calls == [("fresh", "demo", 60.0, True)]


@pytest.mark.parametrize("query", ["min_ttl=60", "min_ttl=", "min_ttl=0s", "ttl=5s", "min_ttl=5s&min_ttl=6s", "x"])
def test_a_wrong_query_is_400_and_asks_nothing(running: Served, query: str) -> None:
    """Bare numbers, unknown and repeated keys are refused."""
    reply = running.get(f"/v1/tokens/demo?{query}")
    assert (reply.status, reply.code) == (400, "bad_request")
    assert running.engine.calls == []


def test_an_expired_token_is_never_handed_out(running: Served) -> None:
    """After the expiry the answer is 503 with the next attempt, also for a request text that was answered before."""
    assert running.get("/v1/tokens/demo").status == 200
    assert running.get("/v1/tokens/demo").status == 200
    entry = running.engine.entries["demo"]
    entry.changes = {"next_attempt_at": START.after(3607.5).wall, "state": State.EXPIRED}
    running.engine.clock.now = START.after(3600)
    for headers in ({}, {"Accept": "text/plain"}, {"If_None_Match": '"17"'}):
        reply = running.get("/v1/tokens/demo", **headers)
        assert (reply.status, reply.code) == (503, "token_unavailable")
        assert reply.json["retry_at"] == "2025-01-01T01:00:08Z"
        assert reply.headers["retry-after"] == "8"
        assert RAW.encode() not in reply.body


@pytest.mark.parametrize("route", ["?min_ttl=1s", "/refresh"])
def test_an_expired_lease_from_the_engine_is_not_handed_on(running: Served, route: str) -> None:
    """Whatever the engine returns, an expired token does not leave the socket."""
    running.engine.clock.now = START.after(3601)
    reply = running.ask("GET" if "?" in route else "POST", f"/v1/tokens/demo{route}")
    assert (reply.status, reply.code) == (503, "token_unavailable")


@pytest.mark.parametrize("state", [State.REJECTED, State.LOGIN_REQUIRED])
def test_where_a_person_must_act_the_code_says_so(running: Served, state: State) -> None:
    """No valid token in state rejected or login_required: login_required, with the last error in words."""
    entry = running.engine.entries["demo"]
    entry.lease = None
    entry.changes = {"state": state, "last_error": Failure("rejected", "the vendor said no", START.wall)}
    reply = running.get("/v1/tokens/demo")
    assert (reply.status, reply.code) == (503, "login_required")
    assert "the vendor said no" in reply.json["detail"]
    assert "retry_at" not in reply.json


def test_where_a_person_has_to_log_in_the_detail_is_the_command(running: Served) -> None:
    """Exactly: a program may show it, or run it."""
    entry = running.engine.entries["demo"]
    entry.lease = None
    login = LoginStatus("required", None, None, None, (), "tokend login demo")
    failure = Failure("login_required", "login.example answered invalid_grant", START.wall)
    entry.changes = {"state": State.LOGIN_REQUIRED, "last_error": failure, "login": login}
    reply = running.get("/v1/tokens/demo")
    assert (reply.status, reply.code, reply.json["detail"]) == (503, "login_required", "tokend login demo")
    assert "retry_at" not in reply.json


def test_where_nobody_can_log_in_the_detail_is_what_a_person_does(running: Served) -> None:
    """No command of tokend helps; `command` is null, and `step` beside it says the same."""
    entry = running.engine.entries["demo"]
    entry.lease = None
    login = LoginStatus("required", None, None, None, (), None, step="put it there")
    entry.changes = {"state": State.LOGIN_REQUIRED, "valid": False, "login": login}
    reply = running.get("/v1/tokens/demo")
    assert (reply.status, reply.code, reply.json["detail"]) == (503, "login_required", "put it there")
    row = next(one for one in running.get("/v1/status").json["tokens"] if one["name"] == "demo")
    assert (row["login"]["command"], row["login"]["step"]) == (None, "put it there")
    reasons = [one["detail"] for one in not_ready(replace(entry.status(), required=True), None)]
    assert reasons == ["nobody can log in for these settings: put it there"]


def test_a_new_generation_is_served_at_once(running: Served) -> None:
    """The prepared answer belongs to one lease: the next lease is the next answer, on an open connection too."""
    text = b"GET /v1/tokens/demo HTTP/1.1\r\nAccept: text/plain\r\n\r\n"
    with running.client() as client:
        for generation in range(20, 25):
            running.inside(partial(running.engine.hold, "demo", generation=generation, value=f"fake-{generation}"))
            for _ in range(2):
                client.send(text)
                reply = client.reply()
                assert (reply.body, reply.headers["etag"]) == (f"fake-{generation}".encode(), f'"{generation}"')


def test_a_removed_token_is_unknown_at_once(running: Served) -> None:
    """After a reload without the provider even a recognised request text finds nothing."""
    text = b"GET /v1/tokens/demo HTTP/1.1\r\n\r\n"
    with running.client() as client:
        for _ in range(3):
            client.send(text)
            assert client.reply().status == 200
        running.inside(lambda: running.engine.entries.pop("demo"))
        client.send(text)
        assert client.reply().status == 404
