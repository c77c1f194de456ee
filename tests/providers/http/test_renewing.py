"""Renewing: what is made first while a token is held, and when the full request follows."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import anyio
import pytest

from tests.expecting import present
from tests.providers.http.asking import OLD, TOKEN, ask, error_of, granted, held, said, settings
from tests.providers.live import NOW, LiveRuntime, at
from tests.upstream.loopback import Behaviour, raw, reply, reset, serving, silent
from tokend.engine.policy.failure import meaning_of
from tokend.plugin.http_exchange import UpstreamReply, UpstreamRequest
from tokend.values.errors import (
    AttemptError,
    ClockError,
    PersonNeededError,
    RateLimitedError,
    RejectedError,
    RejectedTwiceError,
    SecretError,
    TransientError,
)
from tokend.values.secret import Secret
from tokend.values.tokens import Token

T = TypeVar("T")
# A clock that can be right.
THEN = 1_800_000_000
NEW = "obviously-fake-renewed-token"
RENEW: dict[str, Any] = {"renew": {"headers": {"X-Old": "{token}"}}}
OPTIONAL: dict[str, Any] = {"renew": {"token_optional": True}}


def renew(*script: Behaviour, **keys: Any) -> tuple[Token | AttemptError, list[str]]:
    """Make one attempt with a token held; return its outcome, and the requests."""
    outcome, server = ask(*script, **{**RENEW, "previous": held(), **keys})
    return outcome, [f"{one.method} {one.target}" for one in server.requests]


def renewed(*script: Behaviour, **keys: Any) -> Token:
    """Return the token of a ``renew`` that succeeds."""
    outcome, requests = renew(*script, **keys)
    assert isinstance(outcome, Token), outcome
    assert requests == ["GET /renew"]
    return outcome


def test_renew_replaces_the_full_request_while_a_token_is_held() -> None:
    """It sends the token and its members; without a token it is not made."""
    keys = {
        "answer": {"token": "token", "lifetime": "1h", "extra": {"id": "id", "none": "none"}},
        "renew": {"url": "/renew", "headers": {"X-Old": "{token}", "X-Id": "{extra.id}{extra.none}"}},
    }
    outcome, server = ask(granted(token=NEW), previous=held(id=7), **keys)
    assert isinstance(outcome, Token)
    assert (outcome.value.reveal(), outcome.is_extended) == (NEW, False)
    assert (server.requests[0].headers["x-old"], server.requests[0].headers["x-id"]) == (OLD, "7")
    assert renew(granted(), previous=None)[1] == ["POST /token"]


REFUSED = {
    "401": said(401), "403": said(403), "400": said(400, error="planted"), "404": said(404), "page": reply(b"<html>"),
    "without a token": said(), "no token": said(token=5, life=5), "no end": said(token=NEW), "ended": granted(life=-1),
    "cut": reply(b'{"token":"'), "redirect": said(302, {"Location": "/login"}), "too late": granted(life=10**9),
    "gzip": reply(b"{}", headers={"Content-Encoding": "gzip"}), "huge": reply(b" " * 70_000),
    "huge and unannounced": reply(b" " * 70_000, length=False),
    "broken off": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"),
    "two lengths": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
    "another protocol": raw(b"SSH-2.0-OpenSSH\r\n\r\n"),
}  # fmt: skip


@pytest.mark.parametrize("refusal", REFUSED.values(), ids=REFUSED)
def test_a_refusal_to_renew_is_followed_by_the_full_request(refusal: Behaviour) -> None:
    """In the same attempt; so is one whose answer cannot be used, whatever is wrong with it."""
    outcome, requests = renew(refusal, granted())
    assert isinstance(outcome, Token), outcome
    assert outcome.value.reveal() == TOKEN
    assert requests == ["GET /renew", "POST /token"]


FAILED: dict[str, tuple[Behaviour, type[AttemptError]]] = {
    "429": (said(429), RateLimitedError),
    "500": (said(500), TransientError),
    "503": (said(503, token=NEW, life=9), TransientError),
    "reset": (reset, TransientError),
    "nothing": (raw(b""), TransientError),
    "503 and gzip": (reply(b"{}", status=503, headers={"Content-Encoding": "gzip"}), TransientError),
    "429 and huge": (reply(b" " * 70_000, status=429), TransientError),
    "500 broken off": (raw(b"HTTP/1.1 500 Down\r\nContent-Length: 9\r\n\r\n{"), TransientError),
    "slow_down": (said(400, error="slow_down"), RateLimitedError),
}


@pytest.mark.parametrize("case", FAILED.values(), ids=FAILED)
def test_no_answer_to_renew_ends_the_attempt(case: tuple[Behaviour, type[AttemptError]]) -> None:
    """The full request would be one more to a host that cannot answer."""
    outcome, requests = renew(case[0], granted())
    assert type(outcome) is case[1]
    assert requests == ["GET /renew"]


@pytest.mark.parametrize(
    ("means", "error"),
    [("rejected", None), ("login_required", None), ("rate_limited", RateLimitedError), ("transient", TransientError),
     ("clock", ClockError)],
)  # fmt: skip
def test_rows_say_what_the_answer_to_renew_means(means: str, error: type[AttemptError] | None) -> None:
    """Those that refuse lead to the full request, whatever the status."""
    outcome, requests = renew(said(503, code=1), granted(), errors=[{"when": "code", "means": means}])
    assert len(requests) == (2 if error is None else 1)
    assert type(outcome) is (Token if error is None else error)


def test_a_url_that_needs_a_member_which_the_token_held_lacks_is_not_asked_for() -> None:
    """The member was declared after that token came."""
    keys = {
        "answer": {"token": "token", "expires_in": "life", "extra": {"id": "id"}},
        "renew": {"url": "/renew/{extra.id}"},
    }
    assert renew(granted(), **keys, previous=held())[1] == ["POST /token"]
    assert renew(granted(), **keys, previous=held(id="a/b"))[1] == ["GET /renew/a%2Fb"]


def test_a_server_that_is_silent_when_it_is_asked_to_renew_ends_the_attempt() -> None:
    """Its time is over, and the full request would be one more to a host that does not answer."""
    outcome, requests = renew(silent, granted(), timeout="1s")
    assert type(outcome) is TransientError
    assert "POST /token" not in requests


class Slow(LiveRuntime):
    """A runtime in which the first answer is not looked into in time."""

    looks = 0

    async def run_in_thread(self, call: Callable[[], T], *, seconds: float) -> T:
        self.looks += 1
        if self.looks == 1:
            raise TimeoutError
        return await super().run_in_thread(call, seconds=seconds)


@pytest.mark.parametrize(("status", "requests"), [(200, 2), (404, 2), (429, 1), (503, 1)])
def test_an_answer_that_cannot_be_looked_into_is_of_no_use(status: int, requests: int) -> None:
    """Unless its status asks to wait."""

    async def main() -> int:
        async with serving(said(status), granted()) as server:
            made = settings(server.url, **RENEW)
            try:
                await made.fetch(Slow(made), held())
            except TransientError:
                assert requests == 1
            return len(server.requests)

    assert anyio.run(main) == requests


UNMADE: dict[str, dict[str, Any]] = {
    "no member for the path": {"renew": {"url": "/renew/{extra.id}"}, "previous": held()},
    "no member for a value in the path": {
        "renew": {"url": "/renew/{coded}"}, "values": {"coded": {"parts": ["extra.id"]}}, "previous": held(),
    },
    "a member that leads elsewhere": {"renew": {"url": "/renew/{extra.id}"}, "previous": held(id="..")},
    "no member for the rest of a header": {"renew": {"headers": {"X-Old": "Session {extra.id}"}}, "previous": held()},
    "a member of two lines": {"renew": {"headers": {"X-Old": "{extra.id}"}}, "previous": held(id="a\nb")},
    "a member beyond ASCII": {"renew": {"headers": {"X-Old": "{extra.id}"}}, "previous": held(id="\u00e4")},
    "a secret member of two lines": {
        "renew": {"headers": {"X-Old": "{extra.id}"}},
        "previous": Token(Secret(OLD), "Bearer", at(NOW), at(NOW + 9), extra={"id": Secret("a\nb")}),
    },
    "a member that is too long for a URL": {"renew": {"url": "/?a={extra.id}"}, "previous": held(id="a" * 70_000)},
    "a member that is too long for a body": {
        "renew": {"method": "POST", "json": {"a": "{extra.id}"}}, "previous": held(id="a" * 70_000),
    },
}  # fmt: skip


@pytest.mark.parametrize("keys", UNMADE.values(), ids=UNMADE)
def test_a_renewal_that_cannot_be_made_is_left_out(keys: dict[str, Any]) -> None:
    """The full request is sent in the same attempt: no wait would change what the token held has."""
    answer = {"token": "token", "expires_in": "life", "extra": {"id": "id"}}
    outcome, requests = renew(granted(), answer=answer, **keys)
    assert isinstance(outcome, Token), outcome
    assert requests == ["POST /token"]


@pytest.mark.parametrize("variable", ["PRIVATE_KEY", "NOBODY_HAS_THIS"])
def test_a_secret_of_a_renewal_that_cannot_be_used_is_said(variable: str) -> None:
    """One of two lines, and one that is not there. A full request each time would hide it."""
    secrets = {"key": {"env": "API_KEY"}, "spare": {"env": variable}}
    outcome, requests = renew(granted(), secrets=secrets, renew={"headers": {"X-Old": "{spare}"}}, previous=held())
    assert type(outcome) is SecretError
    assert requests == []


def test_headers_for_readers_that_need_the_answer_are_made_of_the_answer() -> None:
    """What the token held has for them, or lacks, is no reason not to renew."""
    keys = {
        "answer": {"token": "token", "expires_in": "life", "extra": {"site": "site"}},
        "headers": {"X-Site": "{extra.site} {key}"},
    }
    for previous in (held(), held(site="a\nb")):
        outcome, requests = renew(granted(site="of the answer"), previous=previous, **keys)
        assert isinstance(outcome, Token), outcome
        assert outcome.headers["X-Site"].reveal().startswith("of the answer ")
        assert requests == ["GET /renew"]


TIMES = ("now_s", "now_ms", "now_us", "now_ns", "now_iso", "now_rfc1123")
STAMPS = {"X-Times": " ".join(f"{{{name}}}" for name in TIMES), "X-Once": "{counter_ns}", "X-Id": "{uuid} {random_hex}"}


class Going(LiveRuntime):
    """A runtime whose clock goes on by a second with each request, and which may be corrected by an answer."""

    correction = 0.0

    async def exchange(self, request: UpstreamRequest) -> UpstreamReply:
        reply = await super().exchange(request)
        self.clock.go_on(1.0)
        self.offset = self.correction
        return reply


def stamps(correction: float = 0.0) -> list[Any]:
    """Return the stamps of a `renew` that is refused, and of the full request after it."""

    async def main() -> list[Any]:
        async with serving(said(404), granted()) as server:
            made = settings(server.url, renew={"headers": STAMPS}, request={"headers": STAMPS})
            going = Going(made, unix=THEN)
            going.correction = correction
            await made.fetch(going, held())
            return [[one.headers[name.lower()] for name in STAMPS] for one in server.requests]

    return anyio.run(main)


def test_both_requests_of_an_attempt_have_one_time() -> None:
    """A counter rises with each request all the same, and a text that is to be unique is."""
    (times, first, one), (again, second, other) = stamps()
    assert times == again
    assert times.startswith(f"{THEN} {THEN * 1000} ")
    assert int(second) > int(first)
    assert all(a != b for a, b in zip(one.split(), other.split(), strict=True))


def test_a_time_that_an_answer_of_the_attempt_has_corrected_is_the_corrected_one() -> None:
    """The instant is the same, by the upstream's clock as it is known now."""
    (before, *_), (after, *_) = stamps(3600.0)
    assert [before.split()[0], after.split()[0]] == [str(THEN), str(THEN + 3600)]


def test_both_requests_may_be_refused() -> None:
    """The second refusal of the credentials is final, with the server's words for an admin."""
    outcome, requests = renew(said(401, planted=1), said(401, error="denied"))
    assert type(outcome) is RejectedTwiceError
    assert (outcome.reason, outcome.said is not None and "denied" in outcome.said) == ("rejected", True)
    assert len(requests) == 2
    assert "renew was refused, too" in str(error_of(said(401), previous=held(), **RENEW))


ONE_REFUSAL = {
    "a row of renew": ([said(400, no=1), said(401)], RejectedTwiceError),
    "a person is wanted": ([said(401), said(400, person=1)], PersonNeededError),
    "renew says nothing": ([said(404), said(401)], RejectedError),
    "renew is useless": ([said(), said(401)], RejectedError),
    "the request fails": ([said(401), said(503)], TransientError),
}


@pytest.mark.parametrize("case", ONE_REFUSAL.values(), ids=ONE_REFUSAL)
def test_an_attempt_is_final_only_if_both_requests_refuse_the_credentials(
    case: tuple[list[Behaviour], type[AttemptError]],
) -> None:
    """One odd answer stops no credentials that were accepted before."""
    rows = [{"when": "no", "means": "rejected"}, {"when": "person", "means": "login_required"}]
    outcome, requests = renew(*case[0], errors=rows)
    assert type(outcome) is case[1]
    assert len(requests) == 2


def test_credentials_that_were_accepted_get_two_requests_after_they_were_revoked() -> None:
    """One to renew, and the full one: the engine makes no second attempt."""
    outcome, requests = renew(said(401), said(401))
    assert isinstance(outcome, AttemptError)
    assert present(meaning_of(outcome).rejects_at).proven * len(requests) == 2


@pytest.mark.parametrize("body", [b"", b"{}", b'{"life": 900}', b'{"token": null, "life": 900}'])
def test_an_answer_without_a_token_keeps_the_token_held(body: bytes) -> None:
    """With a new end, counted from this request, and the members that it does not mention."""
    answer = {"token": "token", "expires_in": "life", "lifetime": "15m", "extra": {"a": "a", "b": "b"}}
    token = renewed(
        reply(body, status=200 if body else 204), **OPTIONAL, previous=held(a=1, b=2), answer=answer,
        headers={"X-A": "{extra.a}"},
    )  # fmt: skip
    assert (token.value.reveal(), token.is_extended, token.issued_at) == (OLD, True, at(NOW))
    assert token.expires_at == at(NOW + 900)
    assert token.extra == {"a": 1, "b": 2}
    assert token.headers["X-A"].reveal() == "1"


@pytest.mark.parametrize("body", [b"<html>", b'{"life": 90', b"[1"])
def test_no_page_and_no_cut_answer_prolongs_a_token(body: bytes) -> None:
    """A proxy may answer 200 to anything."""
    outcome, requests = renew(reply(body), granted(), **OPTIONAL)
    assert isinstance(outcome, Token)
    assert (outcome.value.reveal(), len(requests)) == (TOKEN, 2)


def test_an_answer_that_lacks_the_named_end_renews_nothing() -> None:
    """Without lifetime nothing is known of the end."""
    outcome, requests = renew(said(ok=True), granted(), **OPTIONAL)
    assert isinstance(outcome, Token)
    assert (outcome.value.reveal(), len(requests)) == (TOKEN, 2)


def test_members_that_are_not_mentioned_are_those_of_the_token_before() -> None:
    """Also beside a new token; those that it mentions are new, and secrets stay secrets."""
    answer = {"token": "token", "lifetime": "1h", "extra": {"a": "a", "b": "b"}, "secret_extra": {"s": "s"}}
    before = Token(Secret(OLD), "Bearer", at(NOW), at(NOW + 9), extra={"a": 1, "b": 2, "s": Secret("planted")})
    token = renewed(granted(token=NEW, b=3), previous=before, answer=answer, headers={"X-S": "{extra.s}{extra.a}"})
    assert token.extra == {"a": 1, "b": 3, "s": Secret("planted")}
    assert token.headers["X-S"].reveal() == "planted1"


def test_a_renewed_token_keeps_the_type_of_the_one_before_where_the_answer_says_none() -> None:
    """Also where it keeps the token itself; what the answer says counts."""
    answer = {"token": "token", "token_type": "kind", "lifetime": "1h"}
    before = replace(held(), token_type="mac")
    keys: dict[str, Any] = {"previous": before, "answer": answer}
    for said_type in (None, ""):
        assert renewed(granted(token=NEW, kind=said_type), **keys).token_type == "mac"
    assert renewed(granted(token=NEW), previous=before).token_type == "mac"
    assert renewed(granted(token=None), **OPTIONAL, **keys).token_type == "mac"
    assert renewed(granted(token=NEW, kind="bearer"), **keys).token_type == "Bearer"


@pytest.mark.parametrize(("life", "extended"), [(3600, True), (600, False), (60, False)])
def test_the_same_token_from_renew_may_have_a_later_end(life: int, extended: bool) -> None:
    """Its generation stays."""
    assert renewed(granted(token=OLD, life=life)).is_extended is extended
