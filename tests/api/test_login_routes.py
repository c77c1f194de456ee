"""Routes about logins: who may use them, what they take, and that no secret is in an answer."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.described import NAMED, agrees
from tests.api.fake_engine import FakeEngine
from tests.api.fake_logins import BROWSER_URL, DEVICE_URL, LOGIN_ID
from tests.httpd.served import Reply, Served, eventually, served
from tokend.engine.context.contract import LogoutAnswer
from tokend.plugin.settings import Access, LoginAccess
from tokend.values.errors import ThrottledError, WrongAddressError

LOGIN = "/v1/tokens/demo/login"
ONE = f"{LOGIN}/{LOGIN_ID}"
LOCAL = "http://127.0.0.1:8400/"


def test_a_browser_login_is_begun_finished_and_shown(running: Served) -> None:
    """201, then 200; every answer is as the document describes it, and holds neither verifier nor code."""
    begun = running.post(LOGIN, {"flow": "browser", "redirect_uri": LOCAL, "other_account": True})
    agrees(running, begun, f"{NAMED}/login", "post")
    assert (begun.status, begun.json) == (
        201,
        {
            "version": 1,
            "login_id": LOGIN_ID,
            "flow": "browser",
            "url": BROWSER_URL,
            "redirect_uri": LOCAL,
            "paste_only": False,
            "expires_at": "2025-01-01T00:10:00Z",
        },
    )
    pending = running.get(ONE)
    agrees(running, pending, f"{NAMED}/login/{{id}}")
    assert (pending.json["state"], pending.json["error"], pending.json["subject"]) == ("pending", None, None)
    done = running.post(ONE, {"redirected_to": LOCAL + "?code=fake-code&state=fake-state"})
    agrees(running, done, f"{NAMED}/login/{{id}}", "post")
    assert (done.status, done.json["state"], done.json["subject"]) == (200, "done", "alice")
    assert running.get(ONE).json["state"] == "done"
    assert running.engine.calls == [
        ("begin login", "demo", "browser", LOCAL, True),
        ("finish login", "demo", LOGIN_ID, LOCAL + "?code=fake-code&state=fake-state"),
    ]
    for answer in (begun, pending, done):
        assert b"fake-verifier" not in answer.body
        assert b"fake-code" not in answer.body


def test_a_login_whose_address_proves_nothing_awaits_the_persons_confirmation(running: Served) -> None:
    """The begin says that only the person may bring the address, and the account is shown before it is confirmed."""
    running.engine.logins.returns_state = False
    begun = running.post(LOGIN, {"flow": "browser"})
    agrees(running, begun, f"{NAMED}/login", "post")
    assert begun.json["paste_only"] is True
    waits = running.post(ONE, {"redirected_to": LOCAL + "?code=fake-code"})
    agrees(running, waits, f"{NAMED}/login/{{id}}", "post")
    assert (waits.json["state"], waits.json["subject"], waits.json["awaits_confirmation"]) == ("pending", "alice", True)
    for body in ({"confirmed": False}, {"confirmed": 1}, {"confirmed": True, "redirected_to": LOCAL}):
        refused = running.post(ONE, body)
        assert (refused.status, list(refused.json["errors"])) == (400, ["confirmed"])
    assert running.get(ONE).json["awaits_confirmation"] is True
    done = running.post(ONE, {"confirmed": True})
    agrees(running, done, f"{NAMED}/login/{{id}}", "post")
    assert (done.json["state"], done.json["subject"], done.json["awaits_confirmation"]) == ("done", "alice", False)
    assert running.engine.calls[-1] == ("confirm login", "demo", LOGIN_ID)


def test_a_device_login_shows_the_code_for_the_person_only(running: Served) -> None:
    """The device code stays in the daemon; a cancelled login says so."""
    begun = running.post(LOGIN, {"flow": "device"})
    agrees(running, begun, f"{NAMED}/login", "post")
    assert begun.json["verification_uri"] == DEVICE_URL
    assert (begun.json["user_code"], begun.json["verification_uri_complete"]) == ("ABCD", None)
    assert b"fake-device-code" not in begun.body
    cancelled = running.ask("DELETE", ONE)
    agrees(running, cancelled, f"{NAMED}/login/{{id}}", "delete")
    assert (cancelled.json["state"], cancelled.json["error"]) == ("failed", "it was cancelled")


def test_a_body_is_not_needed_to_begin(running: Served) -> None:
    """The daemon takes the flow that the kind prefers."""
    assert running.post(LOGIN).status == 201
    assert running.engine.calls == [("begin login", "demo", None, None, False)]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"flow": "carrier pigeon"}, "flow"),
        ({"flow": 1}, "flow"),
        ({"redirect_uri": 1}, "redirect_uri"),
        ({"redirect_uri": "https://evil.example/"}, "redirect_uri"),
        ({"redirect_uri": "http://127.0.0.1@evil.example/"}, "redirect_uri"),
        ({"redirect_uri": "http://127.0.0.1/#fragment"}, "redirect_uri"),
        ({"redirect_uri": "ftp://127.0.0.1/"}, "redirect_uri"),
        ({"redirect_uri": "http://127.0.0.1/" + "x" * 9000}, "redirect_uri"),
        ({"other_account": "yes"}, "other_account"),
        ({"scope": "all"}, "scope"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_begun(running: Served, body: Any, field: str) -> None:
    """A code may be sent to this machine only, or where the configuration says."""
    reply = running.post(LOGIN, body)
    assert (reply.status, reply.code, list(reply.json["errors"])) == (400, "bad_request", [field])
    assert running.engine.calls == []


@pytest.mark.parametrize("body", [None, {}, {"redirected_to": ""}, {"redirected_to": 1}, {"redirected_to": "x" * 8193}])
def test_an_address_is_needed_and_its_length_has_a_limit(running: Served, body: Any) -> None:
    """8192 characters; nothing is finished."""
    running.post(LOGIN)
    reply = running.post(ONE, body)
    assert (reply.status, list(reply.json["errors"])) == (400, ["redirected_to"])
    assert running.get(ONE).json["state"] == "pending"


def test_a_wait_ends_with_the_login_or_with_its_time(running: Served) -> None:
    """`Prefer: wait`: as soon as it has ended; else what is known then."""
    running.post(LOGIN)
    assert running.get(ONE, Prefer="wait=0").json["state"] == "pending"
    answers: list[Reply] = []
    waiting = threading.Thread(target=lambda: answers.append(running.get(ONE, Prefer="wait=60")))
    waiting.start()
    session = running.engine.logins.session
    assert session is not None
    assert eventually(lambda: bool(session.ended._waiters))
    running.ask("DELETE", ONE)
    waiting.join()
    assert answers[0].json["state"] == "failed"


def test_errors_of_the_engine_have_their_codes(running: Served) -> None:
    """A busy provider is 429 with Retry-After, a foreign address 400."""
    running.engine.raises = ThrottledError("a login of demo is under way", retry_at=1735689660.0)
    busy = running.post(LOGIN)
    assert (busy.status, busy.code, busy.headers["retry-after"]) == (429, "rate_limited", "60")
    agrees(running, busy, f"{NAMED}/login", "post")
    running.post(LOGIN)
    running.engine.raises = WrongAddressError("this address belongs to another login")
    wrong = running.post(ONE, {"redirected_to": LOCAL})
    assert (wrong.status, wrong.code) == (400, "bad_request")
    agrees(running, wrong, f"{NAMED}/login/{{id}}", "post")
    unknown = running.get(f"{LOGIN}/{'M' * 32}")
    assert (unknown.status, unknown.code) == (404, "unknown_token")
    for path in (f"{LOGIN}/", f"{LOGIN}%2F%7Bid%7D"):
        assert running.get(path).code == "bad_request"
    assert running.ask("PUT", ONE).headers["allow"] == "GET, HEAD, POST, DELETE"


@pytest.mark.parametrize("answer", [LogoutAnswer(True, True), LogoutAnswer(False, False, "host did not confirm")])
def test_a_logout_says_what_it_has_done(running: Served, answer: LogoutAnswer) -> None:
    """Both are a 200: the token is withdrawn in any case."""
    running.engine.logins.answer = answer
    reply = running.post("/v1/tokens/demo/logout", {"force": True})
    agrees(running, reply, f"{NAMED}/logout", "post")
    assert reply.json == {
        "version": 1,
        "name": "demo",
        "confirmed": answer.confirmed,
        "dropped": answer.dropped,
        "detail": answer.detail,
    }
    assert running.engine.calls == [("log out", "demo", True)]
    assert running.post("/v1/tokens/demo/logout", {"force": "yes"}).status == 400


def test_nobody_logs_in_for_a_token_that_is_issued_on_demand(running: Served) -> None:
    """405, as for its refresh."""
    for path in ("login", "logout"):
        assert running.post(f"/v1/tokens/wallet/{path}").code == "not_supported"


# ------------------------------------------------------------------ access


@pytest.fixture
def as_nobody(tmp_path: Path) -> Iterator[Served]:
    """A server where the peer is no admin. It may read `demo`, and log in for `hidden` and `both`."""
    mine = str(os.geteuid())
    engine = FakeEngine()
    engine.hold("demo", access=Access(users=(mine,), login=LoginAccess(users=("nobody-like-this",))))
    engine.hold("hidden", access=Access(login=LoginAccess(users=(mine,))))
    engine.hold("both", access=Access(users=(mine,), login=LoginAccess(groups=(str(os.getegid()),))))
    with served(tmp_path, engine, admins=(), own_uid=54321) as running:
        running.inside(lambda: setattr(running.service.policy, "_almighty", frozenset()))
        yield running


def test_those_of_access_login_may_log_in_and_out_and_no_more(as_nobody: Served) -> None:
    """A reader may not; a peer of `access.login` may, also if the token itself is hidden from it."""
    for path in ("login", "logout", f"login/{LOGIN_ID}"):
        reply = as_nobody.post(f"/v1/tokens/demo/{path}")
        assert (reply.status, reply.code) == (403, "denied")
        assert "access.login of demo" in reply.json["detail"]
    for name in ("hidden", "both"):
        assert as_nobody.post(f"/v1/tokens/{name}/login").status == 201
        assert as_nobody.get(f"/v1/tokens/{name}/login/{LOGIN_ID}").status == 200
        assert as_nobody.post(f"/v1/tokens/{name}/logout").status == 200
    assert as_nobody.get("/v1/tokens/hidden").status == 404
    assert as_nobody.post("/v1/tokens/hidden/forget").status == 404
    assert as_nobody.post("/v1/tokens/both/forget").status == 403
    assert as_nobody.post("/v1/tokens/none/login").status == 404


def test_a_right_that_a_reload_takes_ends_a_wait(as_nobody: Served) -> None:
    """Access is looked at when the answer is ready."""
    as_nobody.post("/v1/tokens/both/login")
    entry, session = as_nobody.engine.entries["both"], as_nobody.engine.logins.session
    assert session is not None
    answers: list[Reply] = []
    path = f"/v1/tokens/both/login/{LOGIN_ID}"
    waiting = threading.Thread(target=lambda: answers.append(as_nobody.get(path, Prefer="wait=60")))
    waiting.start()
    assert eventually(lambda: bool(session.ended._waiters))
    entry.settings = entry.settings.model_copy(update={"access": None})
    as_nobody.inside(session.ended.set)
    waiting.join()
    assert answers[0].status == 403


def test_a_login_whose_time_is_over_before_the_answer_has_nothing_to_open(running: Served) -> None:
    """The server gave a device code without a life."""
    logins = running.engine.logins
    begin = logins.begin

    async def begin_and_end(*args: Any, **more: Any) -> Any:
        session = await begin(*args, **more)
        session.end("expired")
        return session

    logins.begin = begin_and_end  # type: ignore[method-assign]
    assert running.post(LOGIN).status == 400
