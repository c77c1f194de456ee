"""Meaning of each answer without a token."""

from dataclasses import replace
from typing import Any

import pytest

from tests.providers.live import NOW, at
from tests.providers.oauth2.asking import settings
from tokend.plugin.http_exchange import UpstreamReply
from tokend.providers.oauth2.answers import _read
from tokend.providers.oauth2.refusals import Exchange, refuse
from tokend.values.errors import (
    AttemptError,
    ClockError,
    LoginRefusedError,
    LostAnswerError,
    RateLimitedError,
    RejectedError,
    TransientError,
)
from tokend.values.secret import Secret

LOGIN = Exchange("login.example:443", (Secret("fake-secret"),), is_of_login=True, may_spend=True)
POLL = Exchange("login.example:443", is_of_login=True, is_begun=True)
CLIENT = Exchange("login.example:443")
SIGNED = Exchange("login.example:443", signed_at=at(NOW).wall.timestamp())
HTML = {"content-type": "text/html"}


def refused(
    status: int, body: bytes, sent: Exchange = LOGIN, *, offset: float = 0.0, rows: Any = (), **headers: str
) -> AttemptError:
    """Return the error for an answer."""
    named, date = {k.replace("_", "-"): v for k, v in headers.items()}, at(NOW + offset).wall
    reply = UpstreamReply(status, named, body, at(NOW), date, offset)
    made = settings(grant="device_code", client_secret=None, device_url="https://a.example", errors=rows)
    try:
        refuse(_read(reply, made.answer, made.errors, sent.host), sent)
    except AttemptError as error:
        assert "planted" not in str(error)
        return error


def code(name: str) -> bytes:
    return b'{"error":"' + name.encode() + b'","error_description":"planted"}'


@pytest.mark.parametrize(
    "name", ["invalid_grant", "interaction_required", "login_required", "consent_required", "bad_refresh_token"]
)
@pytest.mark.parametrize("status", [200, 400, 401, 403])
def test_the_server_refuses_the_login(name: str, status: int) -> None:
    """Whatever the status below 500; without a login the client's proof is refused."""
    error = refused(status, code(name))
    assert isinstance(error, LoginRefusedError)
    assert name in str(error)
    assert type(refused(status, code(name), CLIENT)) is RejectedError


@pytest.mark.parametrize(
    "name", ["invalid_client", "unauthorized_client", "invalid_scope", "unsupported_grant_type", "invalid_target"]
)
@pytest.mark.parametrize("sent", [LOGIN, CLIENT])
def test_the_server_refuses_the_client(name: str, sent: Exchange) -> None:
    """The login stays."""
    for status in (200, 400, 401):
        assert type(refused(status, code(name), sent)) is RejectedError


@pytest.mark.parametrize("body", [b"", b"{}", b"Unauthorized", b'{"message":"x"}', b'{"error":{"code":1}}'])
def test_401_without_a_code_is_about_the_client(body: bytes) -> None:
    """A page is not: it may be anybody's."""
    assert type(refused(401, body)) is RejectedError
    assert isinstance(refused(401, b"<html>log in</html>"), TransientError)


def test_the_words_of_a_refusal_hide_what_the_answer_brings() -> None:
    """A server may give a token and refuse it in one answer."""
    body = b'{"access_token":"obviously-fake-at","refresh_token":"obviously-fake-rt","error":"invalid_scope",'
    body += b'"error_description":"not obviously-fake-at, nor obviously-fake-rt"}'
    assert refused(200, body).said == "not ***, nor ***: invalid_scope"
    rows = [{"when": "error", "means": "rejected"}]
    assert refused(200, body, rows=rows).said == "not ***, nor ***: invalid_scope"


def test_401_with_an_unknown_code_decides_nothing_about_a_login() -> None:
    """For a client without a login it is a refusal: some servers have words of their own."""
    assert type(refused(401, code("planted_code"))) is TransientError
    assert type(refused(401, code("planted_code"), CLIENT)) is RejectedError
    assert type(refused(401, code("temporarily_unavailable"), CLIENT)) is TransientError


def test_a_clock_that_is_far_from_ours_may_be_why_a_signature_is_refused() -> None:
    """Only what has times: a secret or a refresh token has none."""
    assert isinstance(refused(401, code("invalid_client"), SIGNED, offset=3600.0), ClockError)
    assert isinstance(refused(401, code("invalid_client"), SIGNED, offset=30.0), ClockError)
    assert type(refused(401, code("invalid_client"), SIGNED, offset=3.0)) is RejectedError
    # It was signed by the upstream's clock already: the clock is no reason a second time.
    corrected = replace(SIGNED, signed_at=at(NOW + 3600).wall.timestamp())
    assert type(refused(401, code("invalid_client"), corrected, offset=3600.0)) is RejectedError
    assert type(refused(401, code("invalid_client"), CLIENT, offset=3600.0)) is RejectedError
    assert isinstance(refused(400, code("invalid_grant"), LOGIN, offset=3600.0), LoginRefusedError)


@pytest.mark.parametrize(
    ("status", "body", "headers", "spent"),
    [
        (500, b"planted", {}, True),
        (503, code("invalid_grant"), {}, True),
        (502, b"<html>", HTML, True),
        (302, b"", {"location": "https://planted.example"}, True),
        (307, code("invalid_grant"), {}, True),
        (200, b"<html>maintenance", HTML, True),
        (403, b"<html>portal", HTML, True),
        (400, b"<html>proxy", HTML, True),
        (200, b"All is well", {"content-type": "text/plain"}, False),
        (400, b"Bad Request", {}, False),
        (403, b"{}", {}, False),
        (404, b"", {}, False),
        (407, b"", {}, False),
        (400, code("invalid_request"), {}, False),
        (400, code("temporarily_unavailable"), {}, False),
        (400, code("server_error"), {}, False),
        (400, code("planted_code"), {}, False),
        (200, code("planted_code"), {}, False),
        (400, b'{"error":7}', {}, False),
    ],
)
def test_what_decides_nothing_is_transient(status: int, body: bytes, headers: dict[str, Any], spent: bool) -> None:
    """The refresh token stays. A 5xx, a redirect or a page may have hidden that it was spent."""
    named: dict[str, Any] = {name.replace("-", "_"): value for name, value in headers.items()}
    error = refused(status, body, **named)
    assert type(error) is TransientError
    assert error.may_be_spent is spent


@pytest.mark.parametrize("body", [b"", b'{"access_token":"x', b"{}", b"[]", b'"x"', b'{"a":1,"a":1}', b'{"a":NaN}'])
def test_a_success_of_unacceptable_json_is_a_lost_answer(body: bytes) -> None:
    """The token may have been spent; where nothing could be spent it is transient."""
    assert isinstance(refused(200, body), LostAnswerError)
    assert type(refused(200, body, CLIENT)) is TransientError


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"null", "application/json"),
        (b"7", "application/json; charset=utf-8"),
        (b"All is well", "application/token+json"),
        ('{"access_token":"fake"}'.encode("utf-16"), "text/plain"),
        ('{"access_token":"fake"}'.encode("utf-16-be"), "application/json"),
        ("\ufeff" + "fake", "text/plain"),
    ],
    ids=["null", "number", "text as JSON", "UTF-16", "UTF-16 without its mark", "UTF-8 with a mark"],
)
def test_a_success_in_another_encoding_or_of_no_object_is_a_lost_answer(body: bytes | str, kind: str) -> None:
    """It is the server's own JSON, not text for people: the refresh token may have been spent."""
    sent = body.encode() if isinstance(body, str) else body
    assert isinstance(refused(200, sent, content_type=kind), LostAnswerError)


def test_a_pause_is_a_pause() -> None:
    """429 whatever it says, and slow_down."""
    for body in (b"planted", code("invalid_grant"), b""):
        error = refused(429, body, retry_after="77")
        assert isinstance(error, RateLimitedError)
        assert error.retry_after == 77
    assert isinstance(refused(400, code("slow_down")), RateLimitedError)


def test_what_ends_a_login_under_way() -> None:
    """A device's code; of a refresh such words decide nothing."""
    for name in ("access_denied", "expired_token"):
        assert isinstance(refused(400, code(name), POLL), LoginRefusedError)
        assert type(refused(403, code(name), LOGIN)) is TransientError


@pytest.mark.parametrize(
    ("means", "wanted"),
    [
        ("rejected", RejectedError),
        ("login_required", LoginRefusedError),
        ("rate_limited", RateLimitedError),
        ("transient", TransientError),
        ("clock", ClockError),
    ],
)
def test_a_row_has_its_meaning(means: str, wanted: type[AttemptError]) -> None:
    """Whatever the status."""
    rows = [{"when": "fault.code == 'X'", "means": means}]
    assert type(refused(500, b'{"fault":{"code":"X"}}', rows=rows)) is wanted


def test_the_pause_of_a_row_counts_without_one_of_the_server() -> None:
    """Retry-After counts before."""
    rows = [{"status": [418, 419], "means": "rate_limited", "pause": "90s"}]
    error = refused(419, b"", rows=rows)
    assert isinstance(error, RateLimitedError)
    assert error.retry_after == 90
    asked = refused(418, b"", rows=rows, retry_after="30")
    assert isinstance(asked, RateLimitedError)
    assert asked.retry_after == 30
