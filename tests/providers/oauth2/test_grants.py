"""Parameters of the grants without a login, and of a refresh."""

from typing import Any

import jwt
import pytest

from tests.providers.live import ENVIRON, NOW, at, env
from tests.providers.oauth2.asking import error_of, form, granted, said, sent, settings, token_of
from tests.providers.oauth2.test_client_authentication import KEYS, PEMS
from tests.upstream.loopback import Behaviour, reply
from tokend.providers.oauth2.grants import refresh_parameters
from tokend.values.errors import ClockError, RejectedError
from tokend.values.logins import Login, LoginClient
from tokend.values.secret import Secret

FORM: dict[str, Any] = {"client_secret": None, "client_id": None}
ENVIRONMENT = {"environ": {**ENVIRON, "API_SECRET": PEMS["RS256"]}}
BEARER: dict[str, Any] = {**FORM, "grant": "jwt_bearer", "private_key": env("API_SECRET"), "claims": {"sub": "u"}}


def claims_of(**keys: Any) -> dict[str, Any]:
    parameters = form(sent(**{**BEARER, **keys}, runtime=ENVIRONMENT))
    assert parameters["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    return dict(
        jwt.decode(
            parameters["assertion"],
            KEYS["RS256"].public_key(),
            ["RS256"],
            options={"verify_aud": False, "verify_exp": False, "verify_iat": False},
        )
    )


def test_claims_are_signed_for_the_server() -> None:
    """RFC 7523, 3: issuer, audience, times, an id. Written claims count before ours."""
    claims = claims_of(client_id="fake-client", assertion_lifetime="1m", private_key_id="k")
    assert (claims["iss"], claims["sub"], claims["iat"], claims["exp"]) == ("fake-client", "u", NOW, NOW + 60)
    assert claims["aud"].endswith("/token")
    written = claims_of(claims={"iss": "me@example", "aud": "https://login.example", "scope": "a b"})
    assert {key: written[key] for key in ("iss", "aud", "scope")} == {
        "iss": "me@example", "aud": "https://login.example", "scope": "a b",
    }  # fmt: skip
    assert claims_of(issuer="https://i.example")["aud"] == "https://i.example"


def test_a_ready_made_assertion_is_sent_as_it_is() -> None:
    """With the scopes beside it."""
    parameters = form(sent(**FORM, grant="jwt_bearer", assertion=env("API_KEY"), scope="a"))
    assert parameters == {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": "fake-api-key", "scope": "a",
    }  # fmt: skip


def test_the_client_may_prove_itself_beside_the_assertion() -> None:
    """By a secret, or by the same key."""
    request = sent(**{**BEARER, "client_id": "fake-client", "client_secret": env("CLIENT_SECRET")}, runtime=ENVIRONMENT)
    assert request.headers["authorization"].startswith("Basic ")
    both = form(sent(**{**BEARER, "client_id": "fake-client", "client_auth": "private_key_jwt"}, runtime=ENVIRONMENT))
    assert both["assertion"] != both["client_assertion"]


def test_a_token_is_exchanged() -> None:
    """RFC 8693, with the usual type; an actor only where there is one."""
    keys = {**FORM, "grant": "token_exchange", "subject_token": env("API_KEY")}
    assert form(sent(**keys, audience="api")) == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token": "fake-api-key",
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token", "audience": "api",
    }  # fmt: skip
    more = form(sent(**keys, subject_token_type="urn:ietf:params:oauth:token-type:jwt", actor_token=env("API_SECRET"),
                     requested_token_type="urn:x"))  # fmt: skip
    assert (more["subject_token_type"], more["requested_token_type"]) == (
        "urn:ietf:params:oauth:token-type:jwt",
        "urn:x",
    )
    assert (more["actor_token"], more["actor_token_type"]) == (
        "fake-api-secret", "urn:ietf:params:oauth:token-type:access_token",
    )  # fmt: skip
    assert token_of(granted(issued_token_type="urn:x", token_type="N_A"), **keys).headers == {}


@pytest.mark.parametrize("keys", [BEARER, {**FORM, "grant": "token_exchange", "subject_token": env("API_SECRET")}])
def test_a_refused_assertion_is_no_refused_login(keys: dict[str, Any]) -> None:
    """invalid_grant is rejected, or about a clock that is far from ours."""
    refused = said(400, error="invalid_grant", error_description="planted")
    assert type(error_of(refused, **keys, runtime=ENVIRONMENT)) is RejectedError
    dated = _dated(b'{"error":"invalid_grant"}')
    assert isinstance(error_of(dated, **keys, runtime=ENVIRONMENT), ClockError)


def _dated(body: bytes) -> Behaviour:
    return reply(body, status=400, headers={"Date": "Tue, 14 Nov 2023 20:13:20 GMT"})


def login(*, scopes: tuple[str, ...] | None = None, **parameters: str) -> Login:
    kept = {name: Secret(value) for name, value in parameters.items()}
    return Login(
        Secret("fake-refresh"), LoginClient("oauth2", "x", "y"), "https://login.example:443", at(NOW), at(NOW),
        scopes=scopes, parameters=kept,
    )  # fmt: skip


DEVICE: dict[str, Any] = {"grant": "device_code", "client_secret": None, "device_url": "https://login.example/d"}


@pytest.mark.parametrize(
    ("wanted", "granted_scopes", "sent_scope"),
    [
        (["a"], ("a", "b"), "a"),
        (["a"], ("a", "b", "offline_access"), "a offline_access"),
        (["a", "b"], ("a", "b"), None),
        (["a", "b"], ("a",), None),
        (["a"], ("a", "openid"), None),
        (["a"], ("b", "c"), None),
        (["a"], None, None),
        ([], ("a",), None),
    ],
)
def test_a_refresh_names_scopes_only_to_have_fewer(
    wanted: list[str], granted_scopes: tuple[str, ...] | None, sent_scope: str | None
) -> None:
    """More than were granted need a person; what is about the login itself stays."""
    parameters = refresh_parameters(settings(**DEVICE, scope=wanted), login(scopes=granted_scopes)).parameters
    assert parameters.get("scope") == sent_scope


@pytest.mark.parametrize(
    ("asked", "sent_scope"), [("api", None), ("api more", "api profile"), ("api more other", "api profile")]
)
def test_what_a_server_has_added_is_no_reason_to_name_scopes(asked: str, sent_scope: str | None) -> None:
    """Keycloak adds its default scopes to each grant: only what was asked for and is not wanted any more counts."""
    kept = login(scopes=("api", "more", "profile", "default"), scope=asked)
    assert refresh_parameters(settings(**DEVICE, scope=["api"]), kept).parameters.get("scope") == sent_scope


def test_a_refresh_may_repeat_what_the_login_keeps() -> None:
    """Its own parameters, the resource, and those that are written."""
    made = settings(
        **DEVICE,
        resource="https://r.example",
        audience="api",
        token_parameters={"a": 1},
        refresh_parameters={"v": "{code_verifier}", "u": "{redirect_uri}", "a": "2", "scope": "x"},
    )
    kept = login(code_verifier="fake-verifier", redirect_uri="http://127.0.0.1/")
    parameters = {
        key: value.reveal() if isinstance(value, Secret) else value
        for key, value in refresh_parameters(made, kept).parameters.items()
    }
    assert parameters == {
        "grant_type": "refresh_token", "refresh_token": "fake-refresh", "resource": ("https://r.example",), "a": "2",
        "v": "fake-verifier", "u": "http://127.0.0.1/", "scope": "x",
    }  # fmt: skip
