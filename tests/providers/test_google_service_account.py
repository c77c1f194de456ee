"""Kind ``google-service-account``: the JWT, both sorts of token, the JSON key, and Google's refusals."""

import json
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt as pyjwt
import pytest
from pydantic import ValidationError

from tests.config.written import loaded, only, refused, written
from tests.fakes import literal
from tests.providers.live import NOW, at, attempt
from tests.providers.private_keys import ec_pem, rsa_key, rsa_pem
from tests.upstream.loopback import Behaviour, Loopback, reply
from tokend.providers.google_service_account import GoogleServiceAccount
from tokend.values.errors import (
    AttemptError,
    ClockError,
    RateLimitedError,
    RejectedError,
    SecretError,
    TransientError,
)
from tokend.values.secret import Secret
from tokend.values.tokens import Token

EMAIL = "bot@fake-project.iam.gserviceaccount.com"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
AUDIENCE = "https://service.example"
VALUE = "ya29.c.obviously-fake"


def key(**changed: Any) -> str:
    """Return a JSON key as Google hands it out; None leaves a member out."""
    members = {
        "type": "service_account", "project_id": "fake-project", "private_key_id": "fake-key-1",
        "private_key": rsa_pem(), "client_email": EMAIL, "client_id": "1", "universe_domain": "googleapis.com",
        "token_uri": "https://oauth2.googleapis.com/token", **changed,
    }  # fmt: skip
    return json.dumps({name: value for name, value in members.items() if value is not None}, indent=2)


def said(status: int = 200, /, headers: dict[str, str] | None = None, **body: Any) -> Behaviour:
    """Return a JSON reply."""
    return reply(json.dumps(body).encode(), status=status, headers=headers)


GRANTED = said(access_token=VALUE, expires_in=3599, token_type="Bearer")


def ask(
    *script: Behaviour, members: dict[str, Any] | None = None, **keys: Any
) -> tuple[Token | AttemptError, Loopback]:
    """Make one attempt with a key whose token_uri leads to the server."""

    def made(url: str) -> GoogleServiceAccount:
        text = key(**{"token_uri": url + "/token", **(members or {})})
        return GoogleServiceAccount.model_validate({"key": literal(text), **(keys or {"scope": [SCOPE]})})

    return attempt(made, *script)


def token_of(outcome: Token | AttemptError) -> Token:
    assert isinstance(outcome, Token), outcome
    return outcome


def claims_of(loopback: Loopback) -> dict[str, Any]:
    """Return the claims that were sent, verified with PyJWT."""
    (request,) = loopback.requests
    assert (request.method, request.target) == ("POST", "/token")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    form = parse_qs(request.body.decode(), strict_parsing=True)
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    (assertion,) = form["assertion"]
    assert pyjwt.get_unverified_header(assertion) == {"alg": "RS256", "typ": "JWT", "kid": "fake-key-1"}
    found: dict[str, Any] = pyjwt.decode(
        assertion, rsa_key().public_key(), algorithms=["RS256"],
        options={"verify_aud": False, "verify_exp": False, "verify_iat": False},
    )  # fmt: skip
    assert found.pop("aud") == loopback.url + "/token"
    return found


def dated(offset: float) -> dict[str, str]:
    """Return the ``Date`` of a server whose clock differs from ours."""
    return {"Date": format_datetime(datetime.fromtimestamp(NOW + offset, UTC), usegmt=True)}


@pytest.mark.parametrize("scope", [[SCOPE, "email"], f"{SCOPE} email"])
def test_an_access_token_is_asked_for_with_its_scopes(scope: Any) -> None:
    """As a list or in one line, for the account or for a person."""
    outcome, loopback = ask(GRANTED, scope=scope)
    times = {"iat": NOW, "exp": NOW + 3600}
    assert claims_of(loopback) == {"iss": EMAIL, "scope": f"{SCOPE} email", **times}
    token = token_of(outcome)
    assert token.value.reveal() == VALUE
    assert token.headers["Authorization"].reveal() == f"Bearer {VALUE}"
    assert (token.issued_at, token.expires_at) == (at(NOW), at(NOW + 3599))
    _, loopback = ask(GRANTED, scope=scope, subject="person@example.com")
    assert claims_of(loopback)["sub"] == "person@example.com"


def test_an_id_token_is_asked_for_by_its_audience_and_ends_with_its_exp() -> None:
    """The answer has no other member."""
    value = pyjwt.encode({"aud": AUDIENCE, "exp": NOW + 1800}, rsa_pem(), algorithm="RS256")
    outcome, loopback = ask(said(id_token=value), audience=AUDIENCE)
    assert claims_of(loopback) == {"iss": EMAIL, "target_audience": AUDIENCE, "iat": NOW, "exp": NOW + 3600}
    token = token_of(outcome)
    assert (token.value.reveal(), token.expires_at) == (value, at(NOW + 1800))
    outcome, _ = ask(GRANTED, audience=AUDIENCE)
    assert isinstance(outcome, TransientError)


def test_a_key_without_an_id_and_without_a_token_uri() -> None:
    """The header has no kid, and the token is asked for below base_url; without a life it is Google's hour."""
    text = key(private_key_id=None, token_uri=None)
    outcome, loopback = attempt(
        lambda url: GoogleServiceAccount(base_url=url, key=literal(text), scope=(SCOPE,)), said(access_token=VALUE)
    )
    assert loopback.requests[0].target == "/token"
    assertion = parse_qs(loopback.requests[0].body.decode())["assertion"][0]
    assert pyjwt.get_unverified_header(assertion) == {"alg": "RS256", "typ": "JWT"}
    assert token_of(outcome).expires_at == at(NOW + 3600)


@pytest.mark.parametrize("offset", [-4000.0, -60.0, 60.0, 4000.0])
def test_invalid_grant_may_be_the_clocks_fault(offset: float) -> None:
    """Where ``Date`` is measurably off; else it is the key or the account."""
    words = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
    outcome, _ = ask(said(400, dated(offset), error="invalid_grant", error_description=words))
    assert isinstance(outcome, ClockError)
    assert outcome.offset == pytest.approx(offset, abs=1)
    assert words in str(outcome.said)
    outcome, _ = ask(said(400, dated(0), error="invalid_grant", error_description="Invalid JWT Signature."))
    assert isinstance(outcome, RejectedError)
    assert "invalid_grant" in str(outcome)


@pytest.mark.parametrize(
    ("script", "expected", "text"),
    [
        (said(401, error="unauthorized_client"), RejectedError, "unauthorized_client"),
        (said(400, error="invalid_scope"), RejectedError, "invalid_scope"),
        (said(401, error="invalid_client"), RejectedError, "invalid_client"),
        (said(403, error="access_denied"), RejectedError, "access_denied"),
        (said(200, error="invalid_scope"), RejectedError, "invalid_scope"),
        (said(401, error={"code": 401, "message": "no", "status": "UNAUTHENTICATED"}), RejectedError, "answered 401"),
        (said(400, error="invalid_request"), TransientError, "answered 400"),
        (said(400, error="planted"), TransientError, "answered 400"),
        (said(200, error="planted", access_token=VALUE), TransientError, "with an error"),
        (said(500, error="internal_failure"), TransientError, "answered 500"),
        (said(503, error="invalid_grant"), TransientError, "answered 503"),
        (said(403, error="rate_limit_exceeded"), RateLimitedError, "rate_limit_exceeded"),
        (said(429, {"Retry-After": "77"}, error="planted"), RateLimitedError, "answered 429"),
        (said(302, {"Location": "https://planted.example"}), TransientError, "redirects are refused"),
        (reply(b"<html>planted</html>", status=400), TransientError, "answered 400"),
        (reply(b"<html>planted</html>"), TransientError, "HTML"),
        (said(token_type="Bearer", expires_in=3599), TransientError, "without a token"),
    ],
)  # fmt: skip
def test_each_refusal_says_what_happens_next(script: Behaviour, expected: type[AttemptError], text: str) -> None:
    """By the code where it is known. Unknown codes and a proxy's answers decide nothing."""
    outcome, loopback = ask(script)
    assert type(outcome) is expected
    assert text in str(outcome)
    assert "planted" not in str(outcome)
    assert len(loopback.requests) == 1


def test_words_never_hold_the_assertion_or_the_key() -> None:
    """A server may echo what it was sent."""

    async def echo(conversation: Any) -> None:
        sent = parse_qs(conversation.request.body.decode())["assertion"][0]
        await said(400, error="invalid_grant", error_description=f"bad: {sent}")(conversation)

    outcome, _ = ask(echo)
    assert isinstance(outcome, RejectedError)
    assert outcome.said == "bad: ***: invalid_grant"


FAULTS = [
    ("planted", "it is not the JSON file of a service account's key"),
    (rsa_pem(), "it is not the JSON file"),
    ("[]", "it is not the JSON file"),
    (key(type="authorized_user"), "it is not the key of a service account"),
    (key(type="external_account"), "it is not the key of a service account"),
    (key(client_email=None), '"client_email" is missing'),
    (key(client_email="a\nb"), '"client_email" is missing in the key, or is no address'),
    (key(private_key=None), '"private_key" is missing'),
    (key(private_key=5), '"private_key" is missing'),
    (key(private_key="planted"), '"private_key": the key for RS256 is no private key'),
    (key(private_key=ec_pem()), '"private_key": the key does not fit RS256'),
    (key(private_key_id=5), '"private_key_id" of the key is no id'),
    (
        key(token_uri="http://oauth2.googleapis.com/token"),
        '"token_uri" of the key: http:// would send secrets in clear',
    ),
    (key(token_uri="ftp://a.example"), '"token_uri" of the key: '),
    (key(token_uri=5), '"token_uri" of the key: '),
    (key(token_uri="http://[planted"), '"token_uri" of the key: '),
    (key(token_uri="https://user:planted@oauth2.googleapis.com/token"), "holds no user and no password"),
    (key(token_uri="https://evil.example/token"), "leads to evil.example:443, which is not one of Google's hosts"),
    (key(token_uri="https://oauth2.googleapis.com:444/token"), "leads to oauth2.googleapis.com:444"),
    (key(token_uri="https://oauth2.googleapis.com@evil.example/token"), "holds no user"),
    (key(token_uri="https://127.evil.example/token"), "leads to 127.evil.example:443"),
]


@pytest.mark.parametrize(("text", "fault"), FAULTS)
def test_a_wrong_key_is_an_error_of_a_check_with_its_place(tmp_path: Path, text: str, fault: str) -> None:
    """And of an attempt, without a request. The secret is not quoted."""
    written(tmp_path, text, name="key.json")
    table = f'[providers.google]\nkind = "google-service-account"\nscope = "{SCOPE}"\n'
    path = written(tmp_path, table + 'key = { file = "./key.json" }\n')
    problem = only(refused(path))
    assert problem.message.startswith(f"key: file {tmp_path}/key.json: ")
    assert fault in problem.message
    assert (problem.line, "planted" in str(problem)) == (4, False)
    codes = {warning.code for warning in loaded(path, starting=True).warnings}
    assert codes == {"secret_unusable"}
    made = GoogleServiceAccount.model_validate({"key": literal(text), "scope": [SCOPE]})
    outcome, _ = attempt(lambda url: made, GRANTED)
    assert isinstance(outcome, SecretError)
    assert fault in str(outcome)


@pytest.mark.parametrize(
    "uri",
    [
        "https://oauth2.googleapis.com/token", "https://accounts.google.com/o/oauth2/token",
        "https://www.googleapis.com/oauth2/v4/token", "https://localhost:8443/token", "https://[::1]/token",
        "http://127.0.0.1:8080/token",
    ],
)  # fmt: skip
def test_the_key_may_lead_to_google_and_to_this_machine(uri: str) -> None:
    """Plain http is warned about: the port may be another user's."""
    made = GoogleServiceAccount.model_validate({"key": literal(key()), "scope": [SCOPE]})
    secrets = {"key": Secret(key(token_uri=uri))}
    assert made.unusable_secrets(secrets) == {}
    assert len(made.warnings(secrets)) == uri.startswith("http://")
    assert made.warnings({}) == made.warnings({"key": Secret("planted")}) == ()


def test_another_host_needs_base_url_and_then_no_other_is_used() -> None:
    """A sovereign cloud has hosts of its own."""
    made = GoogleServiceAccount.model_validate(
        {"key": literal(key()), "scope": [SCOPE], "base_url": "https://oauth2.cloud.example"}
    )
    assert made.unusable_secrets({"key": Secret(key(token_uri="https://oauth2.cloud.example/token"))}) == {}
    for uri in ("https://oauth2.googleapis.com/token", "http://127.0.0.1/token"):
        assert "which is not the host of base_url" in made.unusable_secrets({"key": Secret(key(token_uri=uri))})["key"]
    assert made.upstream == "oauth2.cloud.example:443"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "either scope (an access token) or audience (an ID token) is needed: found neither"),
        ({"scope": [SCOPE], "audience": AUDIENCE}, "is needed: found both"),
        ({"scope": ["a b"]}, "a scope is written as on Google's pages"),
        ({"scope": ['"']}, "a scope is written as on Google's pages"),
        ({"audience": "a b"}, "it is one line of ASCII without spaces"),
        ({"audience": ""}, "it is one line of ASCII without spaces"),
        ({"scope": [SCOPE], "subject": "a\nb"}, "it is one line of ASCII without spaces"),
    ],
)
def test_what_cannot_be_meant_is_refused(keys: dict[str, Any], message: str) -> None:
    """One sort of token per table."""
    with pytest.raises(ValidationError) as error:
        GoogleServiceAccount.model_validate({"key": literal(key()), **keys})
    assert message in str(error.value)


def test_a_new_key_of_the_same_account_is_no_other_account() -> None:
    """The address in the key says whose the token is; the rest is how it is asked for."""
    made = GoogleServiceAccount.model_validate({"key": literal(key()), "scope": [SCOPE]})
    assert made.account_fields == {"base_url", "key", "subject", "audience"}
    part = made.account_part("key", Secret(key(private_key_id="fake-key-2")))
    assert part == made.account_part("key", Secret(key())) == Secret(EMAIL)
    assert made.account_part("key", Secret(key(client_email="other@example.com"))) != part
    for other in ("planted", key(client_email=5)):
        assert made.account_part("key", Secret(other)) == Secret(other)
    assert made.account_part("client_key", Secret(key())) == Secret(key())
