"""Refreshing a login, the harmless request, and revocation."""

from typing import Any

import pytest

from tests.providers.live import NOW, at
from tests.providers.oauth2.asking import TOKEN, basic, form, granted, said
from tests.providers.oauth2.discovering import discover
from tests.providers.oauth2.logins import NEW, OLD, PUBLIC, SECRET, granted_by, login, refresh
from tests.upstream.loopback import Behaviour, raw, reply, reset
from tokend.values.errors import (
    LoginRefusedError,
    LostAnswerError,
    RateLimitedError,
    RejectedError,
    TransientError,
)
from tokend.values.logins import Granted


def test_a_refresh_sends_the_refresh_token_and_keeps_the_new_one() -> None:
    """RFC 6749, 6. A client without a secret sends its name."""
    outcome, loopback = refresh(granted(refresh_token=NEW, scope="a b"))
    assert isinstance(outcome, Granted), outcome
    assert outcome.token is not None
    assert outcome.token.value.reveal() == TOKEN
    assert outcome.refresh_token is not None
    assert (outcome.refresh_token.reveal(), outcome.scopes, outcome.origin) == (NEW, ("a", "b"), loopback.url)
    assert outcome.answered_at == at(NOW)
    (request,) = loopback.requests
    assert form(request) == {"grant_type": "refresh_token", "refresh_token": OLD, "client_id": "fake-client"}
    assert OLD not in repr(outcome) + repr(login())
    confidential, loopback = refresh(granted(), **SECRET)
    assert isinstance(confidential, Granted)
    assert basic(loopback.requests[0]).startswith("fake-client:")


def test_a_refresh_token_goes_to_its_origin_only() -> None:
    """Scheme, host and port; nothing is sent elsewhere."""
    outcome, loopback = refresh(granted(), kept=login("https://login.example:443"))
    assert isinstance(outcome, LoginRefusedError), outcome
    assert "https://login.example:443" in str(outcome)
    assert loopback.requests == []


@pytest.mark.parametrize(
    "behaviour",
    [
        reset,
        raw(b""),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{"),
        reply(b'{"access_token":"' + TOKEN.encode()),
        reply(b"{}"),
        reply(b"[]"),
        reply(b""),
        reply(b"", status=204),
        granted(access_token=None, scope="x"),
        granted(access_token="plan\nted"),
        granted(access_token=17),
        reply(b"{}", headers={"Content-Encoding": "gzip"}),
        reply(b" " * 300_000),
    ],
)
def test_an_unacceptable_success_or_none_is_a_lost_answer(behaviour: Behaviour) -> None:
    """The refresh token may have been spent."""
    outcome, loopback = refresh(behaviour)
    assert isinstance(outcome, LostAnswerError), outcome
    assert len(loopback.requests) == 1
    assert OLD not in str(outcome)


@pytest.mark.parametrize(
    "members",
    [
        {"access_token": None}, {"access_token": ""}, {"access_token": 17}, {"access_token": "plan\nted"},
        {"expires_in": -1}, {"expires_in": True}, {"expires_in": 0}, {"expires_in": 10**9}, {"token_type": []},
        {"access_token": None, "error": "invalid_grant"},
    ],
)  # fmt: skip
def test_a_new_refresh_token_is_kept_whatever_stands_beside_it(members: dict[str, Any]) -> None:
    """A strict server has spent the old one. The attempt fails with the fault."""
    found = granted_by(granted(refresh_token=NEW, **members))
    assert (found.token, found.refresh_token is not None and found.refresh_token.reveal()) == (None, NEW)
    assert isinstance(found.fault, TransientError)


@pytest.mark.parametrize("said_token", [None, "", 7, True, [], "plan\nted", " x"])
def test_without_a_new_refresh_token_the_old_one_stays(said_token: Any) -> None:
    """Missing, empty or unusable."""
    assert granted_by(granted(refresh_token=said_token)).refresh_token is None


def test_an_impossible_end_beside_a_token_is_a_fault_and_not_a_loss() -> None:
    """The server has granted; the refresh token that was sent is the one to keep."""
    found = granted_by(granted(expires_in=-1))
    assert (found.token, found.refresh_token, type(found.fault)) == (None, None, TransientError)


@pytest.mark.parametrize(
    ("behaviour", "error", "spent"),
    [
        (said(400, error="invalid_grant"), LoginRefusedError, None),
        (said(200, error="bad_refresh_token"), LoginRefusedError, None),
        (said(401, error="invalid_client"), RejectedError, None),
        (reply(b"", status=401), RejectedError, None),
        (reply(b"", status=429), RateLimitedError, None),
        (said(503, error="invalid_grant"), TransientError, True),
        (reply(b"<html>", status=200), TransientError, True),
        (reply(b"", status=302), TransientError, True),
        (said(403, error="nonsense"), TransientError, False),
        (said(400, error="invalid_request"), TransientError, False),
    ],
)
def test_each_answer_has_its_meaning_for_the_login(
    behaviour: Behaviour, error: type[Exception], spent: bool | None
) -> None:
    """`refusals` has the whole table."""
    outcome, _ = refresh(behaviour)
    assert type(outcome) is error, outcome
    assert getattr(outcome, "may_be_spent", None) is spent


def test_a_maintenance_page_for_an_hour_costs_nobody_a_login() -> None:
    """Sixty of them; each is undecided."""
    for _ in range(3):
        outcome, _ = refresh(reply(b"<html>Back at noon</html>", headers={"Content-Type": "text/html"}))
        assert type(outcome) is TransientError
        assert outcome.is_sent


def test_what_fails_before_the_request_was_not_sent() -> None:
    """Discovery, and a port where nobody is."""
    outcome, loopback = refresh(reply(b"", status=500), token_url=None, issuer="URL")
    assert isinstance(outcome, TransientError), outcome
    assert not outcome.is_sent
    assert all(OLD.encode() not in request.body for request in loopback.requests)
    unreachable, _ = refresh(reset, token_url="http://127.0.0.1:1/token")
    assert type(unreachable) is TransientError
    assert not unreachable.is_sent


def test_a_row_counts_before_the_meaning_and_keeps_a_new_refresh_token() -> None:
    """A refused login stays refused."""
    rows = [{"when": "warning", "means": "transient"}, {"when": "gone", "means": "login_required"}]
    found = granted_by(granted(refresh_token=NEW, warning=True), errors=rows)
    assert (found.token, found.refresh_token is not None) == (None, True)
    outcome, _ = refresh(granted(refresh_token=NEW, gone=True), errors=rows)
    assert isinstance(outcome, LoginRefusedError)


def test_a_token_of_another_account_is_not_published() -> None:
    """``subject`` pins it; the login itself is kept."""
    keys: dict[str, Any] = {"subject": "ann", "answer": {"subject": "user.id"}}
    other = granted_by(granted(user={"id": "bob"}, refresh_token=NEW), **keys)
    assert (other.token, type(other.fault), other.subject) == (None, RejectedError, "bob")
    assert granted_by(granted(user={"id": "ann"}), **keys).token is not None
    assert granted_by(granted(), **keys).token is not None


def harmless(behaviour: Behaviour) -> Any:
    async def call(settings: Any, runtime: Any) -> Any:
        return await settings.probe_server(runtime)

    return discover(None, behaviour, call=call, **PUBLIC)


@pytest.mark.parametrize("status", [200, 302, 400, 401, 404, 405, 429])
def test_an_answer_below_500_shows_that_the_server_is_there(status: int) -> None:
    """A GET without parameters and without a secret."""
    outcome, loopback = harmless(reply(b"planted", status=status))
    assert outcome is None
    (request,) = loopback.requests
    assert (request.method, request.target, request.body) == ("GET", "/token", b"")
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    "behaviour", [reply(b"planted", status=500), reply(b"", status=503), reset, raw(b""), reply(b" " * 300_000)]
)
def test_no_answer_to_the_harmless_request_is_transient(behaviour: Behaviour) -> None:
    """Nothing was lost by it."""
    outcome, _ = harmless(behaviour)
    assert type(outcome) is TransientError


def revoke(behaviour: Behaviour, origin: str | None = None, **keys: Any) -> Any:
    async def call(settings: Any, runtime: Any) -> Any:
        return await settings.revoke(runtime, login(origin))

    return discover(None, behaviour, call=call, **{**PUBLIC, **keys})


def test_a_refresh_token_is_revoked() -> None:
    """RFC 7009; a token that is gone already needs nothing more."""
    outcome, loopback = revoke(reply(b""), **SECRET)
    assert outcome is None
    (request,) = loopback.requests
    assert request.target == "/revoke"
    assert form(request) == {"token": OLD, "token_type_hint": "refresh_token"}
    assert basic(request).startswith("fake-client:")
    assert revoke(said(400, error="invalid_token"))[0] is None


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (reply(b"<html>planted</html>"), TransientError),
        (reply(b"", status=503), TransientError),
        (reply(b"", status=302), TransientError),
        (said(401, error="invalid_client"), RejectedError),
        (said(400, error="unsupported_token_type"), TransientError),
        (said(200, error="planted"), TransientError),
        (reset, TransientError),
    ],
)
def test_a_revocation_that_is_not_confirmed_fails(behaviour: Behaviour, error: type[Exception]) -> None:
    """A captive portal confirms nothing."""
    outcome, _ = revoke(behaviour)
    assert isinstance(outcome, error), outcome


def test_a_revocation_goes_to_the_origin_of_the_refresh_token() -> None:
    """Nothing is sent elsewhere; a server without an endpoint has nothing to confirm."""
    outcome, loopback = revoke(reply(b""), origin="https://login.example:443")
    assert isinstance(outcome, RejectedError)
    assert loopback.requests == []
    outcome, loopback = revoke(reply(b""), revoke_url=None)
    assert (outcome, loopback.requests) == (None, [])
