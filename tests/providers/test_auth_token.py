"""Kind ``auth-token``: single-use login tokens by a signed request."""

import hmac
import json
from email.utils import format_datetime
from typing import Any

import anyio
import pytest

from tests.providers.live import NOW, LiveRuntime, at, attempt, env
from tests.upstream.loopback import Behaviour, Loopback, reply
from tokend.plugin.provider import Issuer
from tokend.plugin.request_signing import CallToSign
from tokend.providers.auth_token import AuthToken
from tokend.values.errors import AttemptError, ClockError, InvalidParametersError, RejectedError, TransientError
from tokend.values.secret import Secret
from tokend.values.tokens import Token

USER = {
    "clientId": "CLIENT_001",
    "username": "testuser001",
    "displayName": "Client One",
    "ipAddress": "192.168.1.100",
}
VALUE = "aB3dE5fGhIjKlMnOpQrStUvWxYz" * 3
LINK = "https://your-app.example/login/" + VALUE
DATA = {
    "token": VALUE,
    "expiration": "2023-11-14T22:18:20.123Z",
    "expiresIn": 300,
    "loginLink": LINK,
    "user": {"id": 123, "username": "testuser001", "displayId": "CLIENT_001", "displayName": "Client One"},
    "isNewUser": True,
}


def said(status: int = 200, /, *, date: float | None = None, **body: Any) -> Behaviour:
    """Return a JSON reply, with a `Date` if one is given."""
    headers = {} if date is None else {"Date": format_datetime(at(date).wall, usegmt=True)}
    return reply(json.dumps(body).encode(), status=status, headers=headers)


def good(**changes: Any) -> Behaviour:
    """Return a successful reply, with changes to its data."""
    return said(status="success", message="…", data={**DATA, **changes})


UNAUTHORIZED = {"status": "error", "message": "Invalid signature", "data": None}
STALE = {"status": "error", "message": "Missing required signature headers or secret", "data": None}


def ask(
    *script: Behaviour,
    parameters: dict[str, str] | None = None,
    runtime: dict[str, Any] | None = None,
    prefix: str = "",
    **more: Any,
) -> tuple[Token | AttemptError, Loopback]:
    """Make one call."""
    return attempt(
        lambda url: AuthToken.model_validate(
            {"base_url": url + prefix, "client_secret": env("CLIENT_SECRET"), "expiration": "5m", **more}
        ),
        *script,
        parameters=USER if parameters is None else parameters,
        runtime=runtime,
    )


def test_the_published_vector_is_met() -> None:
    """docs/vendors.md, auth-token: the signed bytes are the sent bytes."""
    _, loopback = ask(good(), runtime={"unix": 1706802000.9})
    (request,) = loopback.requests
    assert (request.method, request.target) == ("POST", "/api/v1/generate-auth-token")
    assert request.body == (
        b'{"clientId":"CLIENT_001","username":"testuser001","displayName":"Client One",'
        b'"ipAddress":"192.168.1.100","expiration":5}'
    )
    assert request.headers["x-timestamp"] == "1706802000"
    assert request.headers["x-signature"] == "335cf4f5ab98ca80b2615ee2e659312acfb45f9b322288d2b197d71b9edfa2c8"
    assert request.headers["content-type"] == "application/json"


def test_the_callers_order_does_not_matter_and_utf8_stays() -> None:
    """The keys have the vendor's order, the body is compact UTF-8, and the signature covers exactly the body."""
    _, loopback = ask(good(), parameters={**dict(reversed(USER.items())), "displayName": 'Ünï "✓" /\\'})
    (request,) = loopback.requests
    assert request.body.startswith(b'{"clientId":"CLIENT_001","username":')
    assert 'displayName":"Ünï \\"✓\\" /\\\\"'.encode() in request.body
    message = b"POST/api/v1/generate-auth-token" + str(NOW).encode() + request.body
    assert request.headers["x-signature"] == hmac.digest(b"your-secret-key", message, "sha256").hex()


def test_a_body_beyond_ascii_is_signed_as_node_does() -> None:
    """Computed with node. ``createHmac("sha256", secret).update("POST" + path + timestamp + JSON.stringify(body))``."""
    user = {"clientId": "C ß", "username": 'ü"\\/', "displayName": "Ünï 😀", "ipAddress": "2001:db8::1"}
    _, loopback = ask(
        good(),
        parameters=user,
        runtime={"unix": 1706802000, "environ": {"CLIENT_SECRET": "s€cret"}},
        expiration="7m",
    )
    (request,) = loopback.requests
    sent = '{"clientId":"C ß","username":"ü\\"\\\\/","displayName":"Ünï 😀","ipAddress":"2001:db8::1","expiration":7}'
    assert request.body.decode() == sent
    assert request.headers["x-signature"] == "3397702d0dc8f8654e9d5099c32b825d618e3c048ef56616c58080f5a70abb84"


def test_the_path_that_is_signed_is_the_path_that_is_sent() -> None:
    """The prefix of a gateway belongs to the path."""
    _, loopback = ask(good(), prefix="/gw")
    (request,) = loopback.requests
    message = request.target.encode() + request.headers["x-timestamp"].encode() + request.body
    assert request.target == "/gw/api/v1/generate-auth-token"
    assert request.headers["x-signature"] == hmac.digest(b"your-secret-key", b"POST" + message, "sha256").hex()


def test_a_token_comes_with_what_the_vendor_says_besides() -> None:
    """loginLink is a secret. The token is no bearer, so there are no headers. The earliest expiry counts."""
    outcome, _ = ask(good())
    assert isinstance(outcome, Token)
    assert outcome.value.reveal() == VALUE
    assert outcome.headers == {}
    assert outcome.extra["loginLink"] == Secret(LINK)
    assert outcome.extra["user"] == DATA["user"]
    assert outcome.extra["isNewUser"] is True
    assert outcome.extra["expiresIn"] == 300
    assert "token" not in outcome.extra
    assert outcome.life_seconds == pytest.approx(300)
    assert VALUE not in repr(outcome)
    early, _ = ask(good(expiration="2023-11-14T22:15:20Z"))
    assert isinstance(early, Token)
    assert early.life_seconds == pytest.approx(120)


def test_without_times_the_configured_expiration_holds() -> None:
    """A missing time is no error."""
    outcome, _ = ask(said(status="success", data={"token": VALUE}))
    assert isinstance(outcome, Token)
    assert outcome.life_seconds == 300


def test_expiration_by_a_skewed_clock_is_corrected() -> None:
    """docs/promises.md 26: data.expiration is a time of the upstream's clock."""
    body = {**DATA, "expiration": "2023-11-15T00:18:20Z"}
    outcome, _ = ask(said(date=NOW + 7200, status="success", data=body))
    assert isinstance(outcome, Token)
    assert outcome.life_seconds == pytest.approx(300, abs=1)


@pytest.mark.parametrize("link", ["https://x/\x00", 17, ["x"]])
def test_a_link_that_is_none_is_discarded_with_its_token(link: Any) -> None:
    """docs/promises.md 20."""
    assert isinstance(ask(good(loginLink=link))[0], TransientError)


@pytest.mark.parametrize("body", [{"status": "failed"}, {"status": "success"}, {"status": "success", "data": []}, {}])
def test_200_without_success_is_transient(body: dict[str, Any]) -> None:
    """Not repeatable: the vendor may have created the user."""
    outcome, _ = ask(said(**body))
    assert isinstance(outcome, TransientError)
    assert not outcome.repeatable


def test_field_errors_pass_field_by_field() -> None:
    """Control characters are removed, and our secret is masked."""
    told = {"clientId": ["The clientId field is required.", "is your-secret-key\x1b[31m ok?"]}
    outcome, loopback = ask(said(400, status="failed", message="Validation failed", data={"errors": told}))
    assert isinstance(outcome, InvalidParametersError)
    assert outcome.errors == {"clientId": ("The clientId field is required.", "is ***[31m ok?")}
    assert len(loopback.requests) == 1


@pytest.mark.parametrize("data", [None, {}, {"errors": {}}, {"errors": []}, {"errors": {"a": []}}, "planted"])
def test_a_400_without_field_errors_is_transient(data: Any) -> None:
    """It may be a proxy's reply."""
    outcome, _ = ask(said(400, status="failed", data=data))
    assert isinstance(outcome, TransientError)
    assert not outcome.repeatable
    assert "planted" not in str(outcome)


def test_500_is_repeatable_and_not_quoted() -> None:
    """The vendor's own 500 contains the name of its database."""
    outcome, _ = ask(said(500, status="failed", message="…", data={"error": "planted"}))
    assert isinstance(outcome, TransientError)
    assert outcome.repeatable
    assert "planted" not in str(outcome)


@pytest.mark.parametrize("body", [UNAUTHORIZED, STALE])
@pytest.mark.parametrize("skew", [None, 0, 3, -3])
def test_401_with_clocks_that_agree_is_a_refusal(body: dict[str, Any], skew: int | None) -> None:
    """No second call is made: the clock is not measurably off."""
    outcome, _ = ask(said(401, date=None if skew is None else NOW + skew, **body))
    assert isinstance(outcome, RejectedError)


@pytest.mark.parametrize("body", [UNAUTHORIZED, STALE])
@pytest.mark.parametrize("skew", [-3600, -30, 30, 3600])
def test_401_with_a_clock_that_is_off_is_the_clocks(body: dict[str, Any], skew: int) -> None:
    """A second call is signed with the upstream's time."""
    outcome, _ = ask(said(401, date=NOW + skew, **body))
    assert isinstance(outcome, ClockError)
    assert outcome.offset == pytest.approx(skew, abs=1)


def test_the_second_try_is_signed_by_the_upstreams_clock_and_then_a_401_is_a_refusal() -> None:
    """Each call has a fresh timestamp and signature. With a corrected clock, a 401 means rejected credentials."""
    from tests.upstream.loopback import serving

    async def main() -> None:
        async with serving(said(401, date=NOW + 3600, **STALE)) as loopback:
            made = AuthToken(base_url=loopback.url, client_secret=env("CLIENT_SECRET"))
            live = LiveRuntime(made)
            with pytest.raises(ClockError):
                await made.issue(live, USER)
            with pytest.raises(RejectedError):
                await made.issue(live, USER)
            stamps = [int(request.headers["x-timestamp"]) for request in loopback.requests]
            assert stamps[0] == NOW
            assert stamps[1] == pytest.approx(NOW + 3600, abs=1)
            assert len({request.headers["x-signature"] for request in loopback.requests}) == 2

    anyio.run(main)


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        (dict.fromkeys(USER, ""), set(USER)),
        ({"clientId": "x" * 256}, {"clientId"}),
        ({"username": "x" * 101, "displayName": "x" * 101}, {"username", "displayName"}),
        ({"ipAddress": "x" * 46}, {"ipAddress"}),
        *(({"expiration": text}, {"expiration"}) for text in ("5", "", "0m", "30s", "6m", "1441m", "2d", "5 m")),
        ({"more": "x"}, {"more"}),
        ({"username": "\ud800"}, {"username"}),
    ],
)
def test_all_wrong_parameters_are_named_without_a_call(change: dict[str, str], fields: set[str]) -> None:
    """The vendor's limits are checked locally. A life is a duration in whole minutes, up to the configured one."""
    outcome, loopback = ask(good(), parameters={**USER, **change})
    assert isinstance(outcome, InvalidParametersError)
    assert set(outcome.errors) == fields
    assert loopback.requests == []


def test_the_longest_parameters_pass() -> None:
    """The limits count characters, not bytes."""
    longest = {"clientId": "ü" * 255, "username": "ü" * 100, "displayName": "ü" * 100, "ipAddress": "x" * 45}
    assert isinstance(ask(good(), parameters=longest)[0], Token)


@pytest.mark.parametrize(
    ("text", "minutes"), [("1m", 1), ("2m", 2), ("60s", 1), ("1h", 60), ("24h", 1440), ("1d", 1440)]
)
def test_expiration_is_sent_in_minutes(text: str, minutes: int) -> None:
    """The number is an integer."""
    assert ask(good(), expiration=text)[1].requests[0].body.endswith(f'"expiration":{minutes}}}'.encode())


@pytest.mark.parametrize("text", ["30s", "90s", "1441m", "2d", "5", 5])
def test_expiration_must_be_whole_minutes(text: Any) -> None:
    """The limits are 1 and 1440 minutes."""
    with pytest.raises(ValueError, match="expiration"):
        AuthToken.model_validate({"client_secret": "fake", "expiration": text})


def test_the_defaults_are_the_vendors() -> None:
    """The default is two minutes. Keys of held tokens are refused."""
    made = AuthToken(client_secret=env("CLIENT_SECRET"))
    assert made.expiration.total_seconds() == 120
    assert made.upstream == "wdcf.xerve.online:443"
    assert isinstance(made, Issuer)
    with pytest.raises(ValueError, match="refresh_before"):
        AuthToken.model_validate({"client_secret": "fake", "refresh_before": "1m"})


@pytest.mark.parametrize(("asked", "minutes"), [("1m", 1), ("120s", 2), ("5m", 5), ("1h", 60)])
def test_a_caller_may_ask_for_a_life_up_to_expiration_max(asked: str, minutes: int) -> None:
    """Without that key: up to ``expiration``, which counts where a caller asks for nothing."""
    more: dict[str, Any] = {} if minutes <= 5 else {"expiration_max": "1h"}
    outcome, loopback = ask(good(), parameters={**USER, "expiration": asked}, expiration="5m", **more)
    assert isinstance(outcome, Token)
    assert loopback.requests[0].body.endswith(f'"expiration":{minutes}}}'.encode())
    too_long, _ = ask(good(), parameters={**USER, "expiration": "61m"}, expiration="5m", **more)
    assert isinstance(too_long, InvalidParametersError)
    longest = 5 if minutes <= 5 else 60
    assert too_long.errors == {"expiration": (f"is at most {longest}m (expiration_max of the provider)",)}


def test_a_life_that_the_reply_does_not_state_is_the_one_that_was_asked_for() -> None:
    """Not the configured one."""
    timeless = {key: value for key, value in DATA.items() if not key.startswith("expir")}
    reply = said(status="success", data=timeless)
    outcome, _ = ask(reply, parameters={**USER, "expiration": "1m"}, expiration="5m")
    assert isinstance(outcome, Token)
    assert outcome.expires_at is not None
    assert outcome.issued_at.until(outcome.expires_at) == 60


def test_expiration_max_is_whole_minutes_and_not_below_expiration() -> None:
    """A life that nobody can ask for is a mistake."""
    for text in ("90s", "2d", "1m"):
        with pytest.raises(ValueError, match="expiration_max"):
            AuthToken.model_validate({"client_secret": "fake", "expiration": "2m", "expiration_max": text})


async def signed(call: CallToSign, *, unix: float = 1706802000.9) -> dict[str, str]:
    """Sign a call with the secret of the published vector."""
    settings = AuthToken(client_secret=env("CLIENT_SECRET"))
    headers = await settings.sign(LiveRuntime(settings, unix=unix), call)
    return {name: str(value) for name, value in headers.items()}


def test_a_get_is_signed_with_its_query_sorted_as_node_does() -> None:
    """Computed with node: ``Object.keys(payload).sort().map(k => k + "=" + payload[k]).join("&")``, decoded values."""
    query = (("clientId", "C ß&1"), ("a", ""), ("B", "2"))
    assert anyio.run(signed, CallToSign("GET", "/api/v1/get-balance", query)) == {
        "x-timestamp": "1706802000",
        "x-signature": "b44d969c14cf17b0bfa6af646ba4e535c5214e183242200feb08a1cc57da88df",
    }


def test_a_post_is_signed_with_its_body_as_node_does() -> None:
    """Computed with node: ``JSON.stringify(payload)``; the type goes with it."""
    body = '{"clientId":"C ß","amount":12.5}'.encode()
    assert anyio.run(signed, CallToSign("POST", "/api/v1/credit-balance", (), body)) == {
        "Content-Type": "application/json",
        "x-timestamp": "1706802000",
        "x-signature": "911b89224f7f1196a94ac2eaf33b0a06558955c801f606c294d48d8d3c499a89",
    }


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (CallToSign("GET", "/x", (), b"{}"), "body"),
        (CallToSign("POST", "/x", (("a", "1"),), b"{}"), "query"),
        (CallToSign("DELETE", "/x", (("a", "1"),)), "query"),
    ],
)
def test_what_the_signature_would_not_cover_is_refused(call: CallToSign, field: str) -> None:
    """Somebody could change it on the way."""
    with pytest.raises(InvalidParametersError) as refused:
        anyio.run(signed, call)
    assert set(refused.value.errors) == {field}
