"""Keys of kind ``http``: secrets, fingerprints, accounts, warnings."""

import asyncio
from typing import Any, cast

import pytest

from tests.providers.http.asking import held, settings
from tests.providers.live import ENVIRON, env
from tokend.engine.policy.settings_change import is_surely_another_account
from tokend.engine.records.fingerprints import Identity, identify, request_fingerprint
from tokend.plugin.login import counts_in_state
from tokend.plugin.provider import Runtime
from tokend.plugin.secret_reading import read_secret
from tokend.plugin.secret_source import SecretSource
from tokend.values.secret import Secret

SIGNED: dict[str, Any] = {
    "values": {"signature": {"hmac": "sha256", "key": "secret", "parts": ["body"]}},
    "request": {"headers": {"X-Sig": "{signature}"}},
}


class Reading:
    """A runtime that reads secrets from an environment."""

    def __init__(self, **changed: str) -> None:
        self.environ = {**ENVIRON, **changed}

    async def reveal(self, source: SecretSource) -> Secret:
        return Secret("fake-token") if source.token is not None else read_secret(source, self.environ)


def digest(raw: bytes) -> str:
    return raw.hex()


def identity(keys: dict[str, Any], **environ: str) -> Identity:
    made, runtime = settings(**keys), cast("Runtime", Reading(**environ))
    return asyncio.run(identify(made, runtime, digest, lambda name: f"account of {name}"))


def test_secrets_are_those_of_the_table() -> None:
    """With their keys, as messages and the watch of files need them."""
    assert [*settings().secrets()] == ["secrets.key", "secrets.secret"]
    made = settings(secrets={"key": "a-literal-secret"})
    assert "secrets.key" in made.secrets()
    assert "a-literal-secret" not in repr(made)


@pytest.mark.parametrize(
    "keys",
    [
        {"request": {"json": {"key": "{key}", "a": 1}}},
        {"request": {"query": {"a": "b"}}},
        {"request": {"headers": {"X-A": "b"}}},
        {"request": {"json": {"key": "{key}", "a": True}}},
        {"values": {"v": {"parts": ["key"]}}},
        {"secrets": {"key": {"env": "OTHER"}}},
        {"answer": {"token": "t"}},
        {"headers": {"X-Key": "{key}"}},
    ],
)
def test_what_enters_the_request_is_part_of_its_fingerprint(keys: dict[str, Any]) -> None:
    """A changed body asks for another token, although no repr shows it."""
    usual = request_fingerprint(settings(), digest)
    assert request_fingerprint(settings(), digest) == usual
    assert request_fingerprint(settings(**keys), digest) != usual


@pytest.mark.parametrize(
    "keys",
    [
        {"renew": {}}, {"errors": [{"status": 400, "means": "rejected"}]}, {"headers": {"X-T": "{token}"}},
        {"min_interval": "1m"}, {"max_lifetime": "1h"},
    ],
)  # fmt: skip
def test_what_does_not_enter_the_request_asks_for_no_token(keys: dict[str, Any]) -> None:
    """Another ``renew`` or another row may end a failure."""
    assert request_fingerprint(settings(**keys), digest) == request_fingerprint(settings(), digest)
    assert settings().has_connection_of(settings(**keys)) is not bool({"renew", "errors"} & keys.keys())


def test_a_secret_that_is_sent_names_the_account_and_one_that_signs_does_not() -> None:
    """A new key of the same account keeps the token; another user name withdraws it."""
    one = identity(SIGNED)
    assert identity(SIGNED, API_SECRET="fake-other").account == one.account
    assert identity(SIGNED, API_SECRET="fake-other").secrets != one.secrets
    assert identity(SIGNED, API_KEY="fake-other").account != one.account
    assert identity({"request": {"query": {"user": "b"}}}).account != identity({}).account
    encoded = {
        "values": {"basic": {"parts": ["key", {"text": ":"}, "secret"], "output": "base64"}},
        "request": {"json": None, "headers": {"Authorization": "Basic {basic}"}},
    }
    assert identity(encoded, API_SECRET="fake-other").account != identity(encoded).account


def test_another_providers_token_stands_for_its_account() -> None:
    """A renewed token is the same account's."""
    tables = [{"secrets": {"key": {"token": name}, "secret": env("API_SECRET")}} for name in ("one", "two")]
    assert identity(tables[0]).account != identity(tables[1]).account
    assert is_surely_another_account(settings(), settings(request={"url": "/other"}))


def test_all_that_asks_one_host_shares_its_pauses() -> None:
    """Whatever the path."""
    assert settings("https://Api.example").upstream == "api.example:443"
    assert settings(min_interval="90s").request_interval_seconds == 90


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"request": {"headers": {"Authorization": "Bearer planted"}}}, "request.headers.Authorization: this looks"),
        ({"request": {"json": {"k": "ghp_obviouslyFakeObviouslyFake0123"}}}, "request.json.k: this looks like a"),
        ({"request": {"url": "/token/{key}"}}, "request.url: {key} stands in the URL"),
        ({"request": {"query": {"k": "{key}"}}}, "request.query.k: {key} stands in the URL"),
        ({"renew": {"query": {"t": "{token}"}}}, "renew.query.t: {token} stands in the URL"),
        ({"answer": {"token": "t", "lifetime": "1h", "success": "ok == true"}}, "answer.success: true is a field here"),
        ({"errors": [{"when": 'code == "BAD"', "means": "rejected"}]}, "errors.0.when: \"BAD\" is a field here"),
        ({"request": {"json": {"password": "planted"}}}, "request.json.password: this looks like a secret"),
        ({"answer": {"token": "t"}}, "answer: nothing says when the token ends"),
    ],
)  # fmt: skip
def test_what_may_be_a_mistake_is_a_warning(keys: dict[str, Any], said: str) -> None:
    """At its key. It quotes no secret."""
    found = [*settings(**keys).warnings({})]
    assert [one for one in found if one.startswith(said)] == found != []
    assert not any("planted" in one or "ghp_" in one for one in found)


def test_a_signature_in_a_url_is_no_secret() -> None:
    """It is good for one request."""
    keys = {**SIGNED, "request": {"query": {"signature": "{signature}"}}}
    assert [*settings(**keys).warnings({})] == []
    assert [*settings(answer={"token": "t", "lifetime": "none"}).warnings({})] == []


def test_a_note_says_that_a_token_has_no_end() -> None:
    """Unless that is meant."""
    endless = held(life=None)
    assert settings().remark_on(endless) == "api.example:443 names no end; set answer.lifetime"
    assert settings().remark_on(held()) is None
    for meant in ({"lifetime": "none"}, {"zero_means": "never", "expires_in": "e"}):
        assert settings(answer={"token": "t", **meant}).remark_on(endless) is None


@pytest.mark.parametrize(
    ("keys", "counts"),
    [
        ({}, False), ({"request": {"json": {"at": "{now_ms}"}}}, False),
        ({"request": {"json": {"n": "{counter_us}"}}}, True),
        ({"renew": {"url": "https://api.example/renew", "query": {"n": "{counter_ms}"}}}, True),
        ({"headers": {"X-Nonce": "{counter_ns}"}}, True),
        ({"values": {"sum": {"hash": "md5", "parts": ["counter_ms"]}}, "request": {"headers": {"X": "{sum}"}}}, True),
    ],
)  # fmt: skip
def test_a_table_whose_requests_have_a_counter_keeps_it_in_the_state(keys: dict[str, Any], counts: bool) -> None:
    """Also one that a value is computed of."""
    assert counts_in_state(settings(**keys)) is counts
