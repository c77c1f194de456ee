"""Kind ``oauth2``: client credentials from the request to the token."""

from typing import Any

import pytest

from tests.providers.live import NOW, at, env
from tests.providers.oauth2.asking import TOKEN, ask, basic, error_of, form, granted, said, sent, settings, token_of
from tests.providers.private_keys import ec_pem, rsa_pem
from tests.upstream.loopback import reply
from tokend.values.errors import LoginRefusedError, RejectedError, TransientError
from tokend.values.secret import Secret
from tokend.values.tokens import Token


def test_a_client_asks_for_a_token() -> None:
    """RFC 6749, 4.4: the client in the header, the rest in a form."""
    outcome, loopback = ask(granted(), scope=["read", "write"])
    assert isinstance(outcome, Token)
    (request,) = loopback.requests
    assert (request.method, request.target) == ("POST", "/token")
    assert request.headers["accept"] == "application/json"
    assert basic(request) == "fake-client:your-secret-key"
    assert form(request) == {"grant_type": "client_credentials", "scope": "read write"}
    assert (outcome.value.reveal(), outcome.token_type) == (TOKEN, "Bearer")
    assert (outcome.issued_at, outcome.expires_at) == (at(NOW), at(NOW + 3600))
    assert {name: value.reveal() for name, value in outcome.headers.items()} == {"Authorization": f"Bearer {TOKEN}"}


def test_a_token_without_an_end_is_remarked_on() -> None:
    """Until the settings say how long it lives, or that it has none."""
    token = token_of(granted(expires_in=None))
    assert token.expires_at is None
    assert settings().remark_on(token) == "login.example:443 names no end; set answer.lifetime"
    assert settings(zero_means="never").remark_on(token) is None
    assert settings().remark_on(token_of(granted())) is None


def test_an_error_of_the_answer_has_the_words_of_the_server_without_its_secrets() -> None:
    """For admins, never in the message."""
    error = error_of(said(401, error="invalid_client", error_description="planted: your-secret-key is wrong"))
    assert isinstance(error, RejectedError)
    assert error.said == "planted: *** is wrong: invalid_client"
    odd = error_of(granted(expires_in="soon", error_description="planted: your-secret-key"))
    assert isinstance(odd, TransientError)
    assert odd.said == "planted: ***"


def test_a_grant_with_a_login_makes_no_request_without_one() -> None:
    """The engine calls `refresh` for it."""
    keys = {"grant": "device_code", "device_url": "https://login.example/device"}
    outcome, loopback = ask(granted(), **keys)
    assert isinstance(outcome, LoginRefusedError)
    assert loopback.requests == []


@pytest.mark.parametrize("body", [b"{}", b"access_token", b"access_token=", b""])
def test_an_answer_without_a_token_is_none(body: bytes) -> None:
    """JSON and forms."""
    assert isinstance(error_of(reply(body, headers={"Content-Type": "text/plain"})), TransientError)


def test_the_members_of_extra_are_for_readers() -> None:
    """Both kinds; `GET` shows both."""
    keys: dict[str, Any] = {"answer": {"extra": {"at": "instance_url"}, "secret_extra": {"id": "id_token"}}}
    token = token_of(granted(instance_url="https://a.example", id_token="planted"), **keys)
    shown = settings(**keys).shown_extra(token)
    assert shown["at"] == "https://a.example"
    assert "planted" not in repr(token)
    assert set(shown) == {"at", "id"}


def test_what_was_asked_for_is_sent_as_it_is_written() -> None:
    """A separator, an audience, a resource, further parameters, which count before ours."""
    request = sent(
        scope=["a", "b"],
        scope_separator=",",
        audience="https://api.example",
        resource=["https://r.example"],
        token_parameters={"account_id": 7, "grant_type": "account_credentials"},
    )
    assert form(request) == {
        "grant_type": "account_credentials",
        "scope": "a,b",
        "audience": "https://api.example",
        "resource": "https://r.example",
        "account_id": "7",
    }


@pytest.mark.parametrize(
    ("key", "algorithm", "fault"),
    [
        (rsa_pem(), None, None),
        (ec_pem(), None, None),
        (ec_pem(), "ES256", None),
        (ec_pem(), "RS256", "the key does not fit RS256"),
        ("planted", None, "the key for EdDSA is no private key"),
        ("planted", "RS256", "the key for RS256 is no private key"),
    ],
    ids=["rsa", "ec", "ec for es256", "ec for rs256", "none", "none for rs256"],
)
def test_a_private_key_that_cannot_sign_is_a_fault_of_the_secret(
    key: str, algorithm: str | None, fault: str | None
) -> None:
    """An error of a check. A shared secret is not looked at."""
    made = settings(client_secret=None, private_key=env("PRIVATE_KEY"), assertion_algorithm=algorithm)
    found = made.unusable_secrets({"private_key": Secret(key)})
    assert found.keys() == ({"private_key"} if fault else set())
    assert str(found.get("private_key", "")).startswith(fault or "")
    assert settings().unusable_secrets({"client_secret": Secret(key)}) == {}
