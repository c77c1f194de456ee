"""Kind ``tt``: the token request, its one redirect, request ids."""

import json
import re
from typing import Any
from urllib.parse import unquote

import pytest

from tests.providers.live import NOW, at, attempt
from tests.upstream.loopback import Behaviour, Conversation, Loopback, reply
from tokend.plugin.provider import Provider, RequestIdMaker
from tokend.providers.tt import TT
from tokend.values.errors import AttemptError, RejectedError, SecretError, TransientError
from tokend.values.secret import Secret
from tokend.values.tokens import Token

UUID4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def settings(url: str = "https://tt.example", **more: Any) -> TT:
    """Return TT settings with fake keys."""
    defaults = {
        "environment": "uat",
        "api_key": "fake-key",
        "api_secret": "fake-secret",
        "app_name": "YourApp",
        "company_name": "YourCompany",
    }
    return TT.model_validate({"base_url": url, **defaults, **more})


def said(status: int = 200, /, **body: Any) -> Behaviour:
    """Return a JSON reply."""
    return reply(json.dumps(body).encode(), status=status)


GOOD = said(status="Ok", access_token="fake-token", token_type="bearer", seconds_until_expiry=43200)


def ask(*script: Behaviour, **more: Any) -> tuple[Token | AttemptError, Loopback]:
    """Make one attempt."""
    return attempt(lambda url: settings(url, **more), *script)


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ("uat", "ext_uat_cert"),
        ("live", "ext_prod_live"),
        ("sim", "ext_prod_sim"),
        ("UAT", "ext_uat_cert"),
        ("Live", "ext_prod_live"),
    ],
)
def test_the_request_is_the_documented_one(environment: str, path: str) -> None:
    """The path is in lower case, the requestId is fresh, the key is a header, and the pair is in the form."""
    outcome, loopback = ask(GOOD, environment=environment)
    (request,) = loopback.requests
    assert request.method == "POST"
    assert re.fullmatch(rf"/ttid/{path}/token\?requestId=YourApp-YourCompany--{UUID4}", request.target)
    assert request.headers["x-api-key"] == "fake-key"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.body == b"grant_type=user_app&app_key=fake-key%3Afake-secret"
    assert isinstance(outcome, Token)
    assert outcome.token_type == "bearer"
    assert outcome.headers["Authorization"].reveal() == "Bearer fake-token"
    assert outcome.headers["x-api-key"].reveal() == "fake-key"
    assert (outcome.issued_at, outcome.expires_at) == (at(NOW), at(NOW + 43200))


def test_a_pasted_pair_is_accepted() -> None:
    """The vendor shows ``key:secret``, and people paste the whole pair."""
    for pasted in ("fake-secret", "fake-key:fake-secret"):
        assert ask(GOOD, api_secret=pasted)[1].requests[0].body.endswith(b"app_key=fake-key%3Afake-secret")


def test_the_form_is_encoded() -> None:
    """A secret may contain any character."""
    body = ask(GOOD, api_secret="a+b&c=d/e f%ü")[1].requests[0].body
    assert body == b"grant_type=user_app&app_key=fake-key%3Aa%2Bb%26c%3Dd%2Fe%20f%25%C3%BC"


def test_every_call_has_an_id_of_its_own() -> None:
    """Forbidden characters are removed; the rest of the names stays."""
    made = settings(app_name="My App!", company_name="A&B, Co. (Ltd)_x")
    assert isinstance(made, RequestIdMaker)
    assert isinstance(made, Provider)
    ids = {made.request_id() for _ in range(50)}
    assert len(ids) == 50
    assert all(re.fullmatch(rf"MyApp!-ABCo\.\(Ltd\)_x--{UUID4}", request_id) for request_id in ids)


def test_an_id_is_safe_in_a_query() -> None:
    """A character that is allowed in a name may still need encoding in a URL."""
    target = ask(GOOD, app_name="Größe")[1].requests[0].target
    assert target.isascii()
    assert unquote(target.split("requestId=")[1]).startswith("Größe-YourCompany--")


@pytest.mark.parametrize("name", ["", "   ", "&&&", "\x00\n", '$&+,/:;=?@"<>#%{}|\\^~[]`'])
@pytest.mark.parametrize("key", ["app_name", "company_name"])
def test_a_name_of_nothing_is_a_configuration_error(key: str, name: str) -> None:
    """The name is empty without its forbidden characters."""
    with pytest.raises(ValueError, match="requestId"):
        settings(**{key: name})


def test_the_documented_303_is_followed_once_by_get() -> None:
    """The second request has the same origin and headers and no body. There is no second POST."""

    async def elsewhere(conversation: Conversation) -> None:
        await reply(b"", status=303, headers={"Location": "/ttid/other?x=1"})(conversation)

    outcome, loopback = ask(elsewhere, GOOD)
    assert isinstance(outcome, Token)
    first, second = loopback.requests
    assert (second.method, second.target, second.body) == ("GET", "/ttid/other?x=1", b"")
    assert second.headers["x-api-key"] == first.headers["x-api-key"]
    assert second.headers["content-type"] == first.headers["content-type"]


def test_a_second_303_is_not_followed() -> None:
    """Only one redirect is documented."""
    outcome, loopback = ask(said(303))
    assert isinstance(outcome, TransientError)
    around = reply(b"", status=303, headers={"Location": "/again"})
    outcome, loopback = ask(around, around)
    assert isinstance(outcome, TransientError)
    assert [request.method for request in loopback.requests] == ["POST", "GET"]


@pytest.mark.parametrize(
    "location",
    [
        "https://127.0.0.1/",
        "http://127.0.0.1:1/",
        "//localhost/",
        "http://user:obviously-fake@127.0.0.1/",
        "http://[",
        "http://h:99999/",
        "file:///etc/passwd",
        "",
    ],
)
def test_a_303_to_another_place_is_refused(location: str) -> None:
    """docs/promises.md 21: the other host would get the key."""
    outcome, loopback = ask(reply(b"", status=303, headers={"Location": location}))
    assert isinstance(outcome, TransientError)
    assert "obviously-fake" not in str(outcome)
    assert len(loopback.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_other_redirect_is_followed(status: int) -> None:
    """Only 303 is documented."""
    outcome, loopback = ask(reply(b"", status=status, headers={"Location": "/x"}))
    assert isinstance(outcome, TransientError)
    assert len(loopback.requests) == 1


@pytest.mark.parametrize("status", [200, 400, 401, 403])
@pytest.mark.parametrize("word", ["Fail", "StatusFail"])
def test_a_failure_below_500_is_a_refusal(status: int, word: str) -> None:
    """The error shows the vendor's status word but not its message."""
    outcome, _ = ask(said(status, status=word, status_message="planted"))
    assert isinstance(outcome, RejectedError)
    assert word in str(outcome)
    assert "planted" not in str(outcome)


@pytest.mark.parametrize("body", [{}, {"status": "ok"}, {"status": "Busy"}, {"status": None}, {"access_token": "t"}])
def test_anything_but_ok_is_no_success(body: dict[str, Any]) -> None:
    """Status 200 alone is no success."""
    assert isinstance(ask(said(**{"access_token": "t", "seconds_until_expiry": 9, **body}))[0], TransientError)


def test_a_missing_life_is_an_error() -> None:
    """The vendor always sends it, and a default would be a guess."""
    outcome, _ = ask(said(status="Ok", access_token="t"))
    assert isinstance(outcome, TransientError)
    assert "seconds_until_expiry" in str(outcome)


def test_a_key_with_a_line_end_causes_no_request() -> None:
    """The key's second line would be another header, also for clients that send the ready-made headers."""
    outcome, loopback = ask(GOOD, api_key="fake\r\nInjected: yes")
    assert isinstance(outcome, SecretError)
    assert loopback.requests == []


def test_the_vendors_limits_are_known() -> None:
    """Ten minutes of lead, ten seconds between token requests, and the keys that identify the account."""
    assert (TT.minimum_lead_seconds, TT.request_interval_seconds) == (600, 10)
    assert settings().account_fields == {"base_url", "environment", "api_key"}
    assert settings().upstream == "tt.example:443"
    assert TT.model_fields["base_url"].default == "https://ttrestapi.trade.tt"
    assert Secret("fake-key") == settings().api_key.literal
