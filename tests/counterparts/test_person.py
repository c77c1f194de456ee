"""The authorization server of the tests of kind ``oauth2``, and the person at its pages: what those tests rely on."""

from urllib.parse import parse_qs, urlencode, urlsplit

from tests.counterparts.person import Person
from tests.counterparts.programs import Counterpart, post_form
from tests.sandbox.browsing import CHALLENGE, VERIFIER


def test_a_refresh_token_works_once_and_a_reuse_destroys_the_grant(oidc_provider: Counterpart) -> None:
    """The newest one is of no use after that: what a client must never cause."""
    first = post_form(oidc_provider, "/test/grant?client=app")["refresh_token"]
    second = post_form(oidc_provider, "/token", grant_type="refresh_token", refresh_token=first)["refresh_token"]
    assert second != first
    for spent in (first, second):
        assert (
            post_form(oidc_provider, "/token", grant_type="refresh_token", refresh_token=spent)["error"]
            == "invalid_grant"
        )


def test_a_person_logs_in_and_allows(oidc_provider: Counterpart) -> None:
    """Two pages; the browser is sent back with code, state and issuer."""
    asked = {
        "client_id": "app", "response_type": "code", "redirect_uri": "http://127.0.0.1:7/callback", "scope": "openid",
        "state": "fake-state", "code_challenge": CHALLENGE, "code_challenge_method": "S256",
    }  # fmt: skip
    back = Person().allow(f"{oidc_provider.url}/auth?{urlencode(asked)}")
    given = {name: value for name, [value] in parse_qs(urlsplit(back).query).items()}
    assert (given["state"], given["iss"]) == ("fake-state", oidc_provider.url)
    got = post_form(
        oidc_provider, "/token", grant_type="authorization_code", code=given["code"], code_verifier=VERIFIER,
        redirect_uri=asked["redirect_uri"],
    )  # fmt: skip
    assert {"access_token", "refresh_token", "id_token"} <= set(got)


def test_a_person_connects_a_device(oidc_provider: Counterpart) -> None:
    """Pending before, the tokens after."""
    begun = post_form(oidc_provider, "/device/auth", scope="openid")
    kind = "urn:ietf:params:oauth:grant-type:device_code"
    fields = {"grant_type": kind, "device_code": begun["device_code"]}
    assert post_form(oidc_provider, "/token", **fields)["error"] == "authorization_pending"
    assert "Sign-in Success" in Person().allow(begun["verification_uri_complete"])
    assert {"access_token", "refresh_token"} <= set(post_form(oidc_provider, "/token", **fields))
