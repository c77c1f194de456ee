"""Refreshes of a login by ``renew``, logins that the request alone begins, and the harmless request."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.providers.http.asking import OLD, TOKEN, granted, held, said
from tests.providers.http.logging_in import REFRESH, login_of, personal, play, refresh, refreshed
from tests.providers.live import NOW, LiveRuntime, at
from tests.upstream.loopback import Behaviour, Loopback, raw, reply, reset
from tokend.providers.http.kept_token import kept, kept_token
from tokend.providers.http.kind import Http
from tokend.values.errors import (
    AttemptError,
    ClockError,
    LoginRefusedError,
    LostAnswerError,
    PersonNeededError,
    RateLimitedError,
    RejectedError,
    RejectedTwiceError,
    SecretError,
    TransientError,
)
from tokend.values.logins import Granted
from tokend.values.secret import Secret

NEWER = "obviously-fake-newer-refresh-token"
BY_TOKEN: dict[str, Any] = {
    "answer": {"token": "token", "expires_in": "life", "extra": {"site": "site"}},
    "renew": {"method": "GET", "json": None, "headers": {"X-Old": "{token}", "X-Site": "{extra.site}"}},
}
# A person's: what it refuses is not asked for again without one.
PERSONS: dict[str, Any] = {
    "login": {"url": "https://v.example/?s={state}", "redirect_uri": "http://127.0.0.1/", "callback": ["code"]},
    "request": {"json": {"code": "{login.code}"}},
}


def refused(*script: Behaviour, **keys: Any) -> AttemptError:
    """The error of a refresh. It quotes nothing that was planted, and not the refresh token."""
    with pytest.raises(AttemptError) as caught:
        refresh(*script, **keys)
    assert "planted" not in str(caught.value)
    assert REFRESH not in caught.value.whole
    return caught.value


def test_the_refresh_token_is_sent_and_its_successor_is_kept() -> None:
    """With its end; the token is kept beside it, for a `renew` that needs it."""
    done, loopback = refresh(granted(again=NEWER, ends=86400, site="s"))
    (request,) = loopback.requests
    assert (request.method, request.target, json.loads(request.body)) == ("POST", "/renew", {"again": REFRESH})
    assert done.refresh_token is not None
    assert (done.refresh_token.reveal(), done.refresh_ends_at, done.origin) == (NEWER, at(NOW + 86400), loopback.url)
    assert done.token is not None
    assert (done.token.value.reveal(), done.token.extra) == (TOKEN, {"site": "s"})
    assert set(done.parameters) == {"token"}
    assert NEWER not in repr(done)


def test_without_a_successor_the_refresh_token_stays() -> None:
    """Missing, empty, or nothing that could be sent."""
    for again in (None, "", 7, "a\nb"):
        done, _ = refresh(granted(again=again))
        assert (done.refresh_token, done.fault) == (None, None)


def test_a_successor_is_kept_beside_a_token_that_cannot_be_used() -> None:
    """Nobody else has it."""
    for answer in (granted(again=NEWER, token=None), granted(again=NEWER, life=-1)):
        done, _ = refresh(answer)
        assert (done.token, isinstance(done.fault, TransientError)) == (None, True)
        assert done.refresh_token is not None


def test_members_that_a_refresh_does_not_mention_are_carried_over() -> None:
    """Those of the token that the login keeps."""
    token = kept(held(site="kept", feed="no secret here"))
    done, _ = refresh(granted(site=None, feed="newer"), token=token)
    assert done.token is not None
    assert done.token.extra["site"] == "kept"
    assert "newer" not in repr(done.token)


def test_a_refresh_without_a_token_keeps_the_token_with_another_end_where_that_is_declared() -> None:
    """``token_optional``; without it the answer is lost, since the refresh token may be spent."""
    renew = {"method": "POST", "json": {"again": "{refresh_token}"}, "headers": None, "token_optional": True}
    done, _ = refresh(granted(token=None), renew=renew, token=kept(held()))
    assert done.token is not None
    assert (done.token.value.reveal(), done.token.is_extended, done.token.expires_at) == (OLD, True, at(NOW + 3600))
    same, _ = refresh(granted(token=OLD), token=kept(held()))
    assert same.token is not None
    assert same.token.is_extended
    assert isinstance(refused(granted(token=None), **PERSONS), LostAnswerError)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (said(401, message="planted"), LoginRefusedError),
        (said(403, message="planted"), TransientError),
        (said(400, code="dead"), LoginRefusedError),
        (said(400, code="client"), RejectedError),
        (said(400, code="planted"), TransientError),
        (said(429), RateLimitedError),
        (said(503), TransientError),
        (reply(b"", status=302), TransientError),
        (said(200), LostAnswerError),
        (reply(b"<html>planted</html>", headers={"Content-Type": "text/html"}), LostAnswerError),
        (reply(b"{}", headers={"Content-Encoding": "gzip"}), LostAnswerError),
        (reply(b" " * 70_000), LostAnswerError),
        (said(200, headers={"Date": "Tue, 14 Nov 2023 22:13:20 GMT"}, code="clock"), ClockError),
    ],
)
def test_what_an_answer_means_for_a_persons_login(answer: Behaviour, expected: type[Exception]) -> None:
    """Credentials that a status refuses are the login's; rows say what they say; the rest decides nothing."""
    rows = [
        {"when": "code == 'dead'", "means": "login_required"},
        {"when": "code == 'client'", "means": "rejected"},
        {"when": "code == 'clock'", "means": "clock"},
    ]
    assert type(refused(answer, errors=rows, **PERSONS)) is expected


@pytest.mark.parametrize(
    ("answer", "may_be_spent"),
    [
        (said(503), True),
        (reply(b"", status=302), True),
        (reply(b"<html></html>", status=404), True),
        (said(404), False),
    ],
)
def test_an_undecided_answer_of_something_between_may_have_spent_the_refresh_token(
    answer: Behaviour, may_be_spent: bool
) -> None:
    """A gateway, a redirect, a page."""
    error = refused(answer, **PERSONS)
    assert isinstance(error, TransientError)
    assert error.may_be_spent is may_be_spent


@pytest.mark.parametrize(
    "answer",
    [
        said(401), said(400, code="dead"), said(404), said(200), reply(b"<html></html>"), reply(b"half {"),
        reply(b" " * 70_000), reply(b"{}", headers={"Content-Encoding": "gzip"}), granted(life=-1), granted(token=5),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
    ],
)  # fmt: skip
def test_what_refuses_a_renewal_is_followed_by_the_full_request_where_that_needs_no_person(answer: Behaviour) -> None:
    """For the engine that is a refused login. So is what cannot be used, whatever is wrong with it."""
    error = refused(answer)
    assert isinstance(error, LoginRefusedError)
    assert "the full request follows" in str(error)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (said(429), RateLimitedError),
        (said(503), TransientError),
        (reply(b" " * 70_000, status=503), LostAnswerError),
        (reset, LostAnswerError),
    ],
)
def test_a_server_that_cannot_answer_refuses_nothing(answer: Behaviour, expected: type[Exception]) -> None:
    """The full request would be one more to the same host."""
    assert type(refused(answer)) is expected


def test_no_answer_is_a_lost_one_and_a_host_that_was_not_reached_has_seen_nothing() -> None:
    """What was sent may be spent."""
    assert isinstance(refused(reset), LostAnswerError)

    async def step(_: Http, runtime: LiveRuntime) -> AttemptError:
        elsewhere = refreshed("http://127.0.0.1:1")
        with pytest.raises(TransientError) as caught:
            await elsewhere.refresh(LiveRuntime(elsewhere), login_of(elsewhere))
        return caught.value

    unreached, _ = play(refreshed, step)
    assert isinstance(unreached, TransientError)
    assert (type(unreached) is TransientError, unreached.is_sent) == (True, False)


UNMADE: dict[str, tuple[str, dict[str, str] | None, dict[str, Any]]] = {
    "no member for the path": ("/renew/{extra.site}", None, {}),
    "a member that leads elsewhere": ("/renew/{extra.site}", None, {"site": ".."}),
    "a member of two lines": ("/renew", {"X-Site": "{extra.site}"}, {"site": "a\nb"}),
    "no member for the rest of a header": ("/renew", {"X-Site": "Site {extra.site}"}, {}),
    "a secret member of two lines": ("/renew", {"X-Feed": "{extra.feed}"}, {"feed": Secret("a\nb")}),
}


@pytest.mark.parametrize("case", UNMADE.values(), ids=UNMADE)
@pytest.mark.parametrize("more", [{}, PERSONS], ids=["alone", "a person's"])
def test_a_renewal_that_cannot_be_made_ends_the_login(
    case: tuple[str, dict[str, str] | None, dict[str, Any]], more: dict[str, Any]
) -> None:
    """Nothing is sent, and no wait would change it: the full request follows, or a person has to log in."""
    url, headers, members = case
    renew = {"method": "POST", "url": url, "json": {"again": "{refresh_token}"}, "headers": headers}

    async def step(made: Http, runtime: LiveRuntime) -> AttemptError:
        token = kept(replace(held(), extra=members))
        with pytest.raises(AttemptError) as caught:
            await made.refresh(runtime, login_of(made, token=token))
        return caught.value

    error, loopback = play(lambda url: refreshed(url, renew=renew, **more), step, granted())
    assert isinstance(error, LoginRefusedError)
    assert ("the full request follows" in str(error)) is not bool(more)
    assert loopback.requests == []


def test_a_secret_of_the_table_that_fits_nowhere_ends_no_login() -> None:
    """It can be changed where it is written."""
    keys = {
        "secrets": {"key": {"env": "API_KEY"}, "spare": {"env": "PRIVATE_KEY"}},
        "renew": {"method": "POST", "json": {"again": "{refresh_token}"}, "headers": {"X-Spare": "{spare}"}},
    }
    assert type(refused(granted(), **keys, **PERSONS)) is SecretError
    assert type(refused(granted(), **keys)) is SecretError


@pytest.mark.parametrize(
    ("renewal", "expected"), [(401, RejectedTwiceError), (403, RejectedError), (404, RejectedError)]
)
def test_credentials_that_both_requests_refuse_are_refused_for_good(renewal: int, expected: type[Exception]) -> None:
    """Two requests in all. A refusal of the login alone is none of the credentials."""

    async def step(made: Http, runtime: LiveRuntime) -> AttemptError:
        with pytest.raises(LoginRefusedError) as over:
            await made.refresh(runtime, login_of(made))
        with pytest.raises(AttemptError) as caught:
            await made.begin_login(runtime, over.value)
        return caught.value

    error, loopback = play(refreshed, step, said(renewal), said(401))
    assert type(error) is expected
    assert len(loopback.requests) == 2


def test_the_full_request_after_a_renewal_has_its_time() -> None:
    """The attempt is one."""

    async def step(made: Http, runtime: LiveRuntime) -> None:
        with pytest.raises(LoginRefusedError) as caught:
            await made.refresh(runtime, login_of(made))
        runtime.clock.go_on(2.0)
        await made.begin_login(runtime, caught.value)
        await made.begin_login(runtime)

    at_now = {"X-At": "{now_us}"}
    renew = {"method": "POST", "json": {"again": "{refresh_token}"}, "headers": at_now}
    _, loopback = play(
        lambda url: refreshed(url, renew=renew, request={"headers": at_now}), step, said(401), granted(again=NEWER)
    )
    assert [one.headers["x-at"] for one in loopback.requests] == [str(one * 10**6) for one in (NOW, NOW, NOW + 2)]


def test_a_refresh_token_goes_to_the_origin_that_issued_it() -> None:
    """Nowhere else: nothing is sent."""

    async def step(made: Http, runtime: LiveRuntime) -> None:
        login = replace(login_of(made), origin="https://another.example:443")
        with pytest.raises(LoginRefusedError, match="sent nowhere else"):
            await made.refresh(runtime, login)

    _, loopback = play(refreshed, step)
    assert loopback.requests == []


# ------------------------------------------------------------------ by the token itself


def by_token(*script: Behaviour, **more: Any) -> tuple[Granted, Loopback]:
    """Refresh a login without a refresh token by the token that it keeps."""
    return refresh(*script, **{**BY_TOKEN, **PERSONS, "refresh_token": None, "token": kept(held(site="s")), **more})


def test_a_login_without_a_refresh_token_is_refreshed_by_its_token_where_renew_uses_none() -> None:
    """Its members are there, too."""
    made = refreshed(**BY_TOKEN)
    assert [one.refreshes_by_token for one in (made, refreshed(), personal())] == [True, False, False]
    done, loopback = by_token(granted())
    (request,) = loopback.requests
    assert (request.method, request.headers["x-old"], request.headers["x-site"]) == ("GET", OLD, "s")
    login = replace(login_of(made, refresh_token=None), parameters=done.parameters)
    again = kept_token(login)
    assert again is not None
    assert again.value.reveal() == TOKEN


def test_a_login_that_keeps_no_token_is_not_refreshed_by_one() -> None:
    """Nothing is sent."""
    with pytest.raises(LoginRefusedError, match="the login has none"):
        by_token(token=None)
    made = personal()

    async def step(_: Http, runtime: LiveRuntime) -> None:
        with pytest.raises(LoginRefusedError, match="there is no renew"):
            await made.refresh(runtime, login_of(made))

    _, loopback = play(personal, step)
    assert loopback.requests == []


def test_a_refresh_of_another_account_than_the_table_says_brings_no_token() -> None:
    """The fault says so."""
    answer = {**BY_TOKEN["answer"], "subject": "who"}
    done, _ = by_token(granted(who="other"), answer=answer, subject="me")
    assert (done.token, isinstance(done.fault, RejectedError), done.subject) == (None, True, "other")
    for who in ("me", None, True, "a\nb", ""):
        done, _ = by_token(granted(who=who), answer=answer, subject="me")
        assert (done.fault, done.subject) == (None, "me" if who == "me" else None)


# ------------------------------------------------------------------ without a person


def test_the_request_alone_begins_a_login() -> None:
    """And says what is refused, or that a person is wanted at the upstream."""

    async def step(made: Http, runtime: LiveRuntime) -> Granted:
        return await made.begin_login(runtime)

    assert (refreshed().begins_login, personal().begins_login, refreshed().uses_login) == (True, False, True)
    done, loopback = play(refreshed, step, granted(again=NEWER))
    assert done.refresh_token is not None
    assert json.loads(loopback.requests[0].body) == {"key": "fake-api-key"}
    rows = [{"when": "captcha", "means": "login_required"}]
    for answer, expected in [(said(401), RejectedError), (said(200, captcha=True), PersonNeededError)]:
        with pytest.raises(RejectedError) as caught:
            play(lambda url: refreshed(url, errors=rows), step, answer)
        assert type(caught.value) is expected


@pytest.mark.parametrize(("status", "is_there"), [(200, True), (404, True), (405, True), (500, False), (503, False)])
def test_the_harmless_request_asks_for_the_head_of_the_root(status: int, is_there: bool) -> None:
    """Without a secret; any answer below 500 shows that the server is there."""

    async def step(made: Http, runtime: LiveRuntime) -> bool:
        try:
            await made.probe_server(runtime)
        except TransientError:
            return False
        return True

    found, loopback = play(refreshed, step, reply(b"", status=status))
    (request,) = loopback.requests
    assert (found, request.method, request.target, request.body) == (is_there, "HEAD", "/", b"")
    assert "authorization" not in request.headers
