"""Kind ``oauth2`` against an authorization server that was written by others: tokens without a person."""

import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlencode

import anyio
import pytest

from tests.counterparts.programs import Counterpart
from tests.counterparts.signing_keys import ES256_PEM
from tests.fakes import literal
from tests.sandbox.browsing import basic
from tokend.machine.clock import SystemClock
from tokend.machine.thread_pool import ThreadPool
from tokend.providers.oauth2.kind import OAuth2
from tokend.upstream.provider_runtime import ProviderRuntime
from tokend.values.errors import AttemptError, RejectedError
from tokend.values.tokens import Token

SERVICE = {"client_id": "service", "client_secret": literal("fake-service-secret-+%&: /")}
KEYED = {"client_id": "keyed", "private_key": literal(ES256_PEM), "private_key_id": "fake-key"}


def attempt(server: Counterpart, **changed: Any) -> Token | AttemptError:
    """Ask for a token of the client's own, by discovery."""
    settings = OAuth2.model_validate({"grant": "client_credentials", "issuer": server.url, **changed})

    async def main() -> Token | AttemptError:
        runtime = ProviderRuntime(settings, clock=SystemClock(), threads=ThreadPool(1))
        try:
            return await settings.fetch(runtime, None)
        except AttemptError as error:
            return error

    return anyio.run(main)


def works(server: Counterpart, token: Token) -> bool:
    """Whether the server knows an access token as active."""
    secret = "fake-service-secret-%2B%25%26%3A%20%2F"  # form-urlencoded, as RFC 6749 wants it
    data = urlencode({"token": token.value.reveal()}).encode()
    request = urllib.request.Request(f"{server.url}/token/introspection", data, basic("service", secret))  # noqa: S310
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as reply:
        return b'"active":true' in reply.read()


@pytest.mark.parametrize("client", [SERVICE, KEYED], ids=["client_secret_basic", "private_key_jwt"])
def test_a_client_gets_a_token_of_its_own(oidc_provider: Counterpart, client: dict[str, Any]) -> None:
    """With a secret that needs encoding twice, and with a key."""
    token = attempt(oidc_provider, **client)
    assert isinstance(token, Token), token
    assert token.life_seconds == pytest.approx(600, abs=5)
    assert works(oidc_provider, token)


@pytest.mark.parametrize("audience", ["issuer", "token_url"])
def test_both_audiences_of_an_assertion_are_accepted(oidc_provider: Counterpart, audience: str) -> None:
    """The default is the issuer."""
    assert isinstance(attempt(oidc_provider, **KEYED, assertion_audience=audience), Token)


def test_a_client_that_is_refused_is_rejected(oidc_provider: Counterpart) -> None:
    """invalid_client: no timer asks again."""
    for changed in ({**SERVICE, "client_secret": literal("wrong")}, {**SERVICE, "client_id": "nobody"}):
        outcome = attempt(oidc_provider, **changed)
        assert isinstance(outcome, RejectedError), outcome
        assert "invalid_client" in str(outcome)
