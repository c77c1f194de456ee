"""Fingerprints in state files: equal in each version for equal settings, or an upgrade would cause a login."""

import asyncio
import hashlib
from typing import Any, cast

import pytest
from pydantic import Field

from tests.engine.records.tables_0_1_0 import FINGERPRINTS, TABLES
from tokend.engine.policy.settings_change import is_surely_another_account
from tokend.engine.records.fingerprints import Identity, identify, rate_limited_account, request_fingerprint
from tokend.kinds import PROVIDERS
from tokend.plugin.provider import Runtime
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.secret_table import SecretTable, Variables
from tokend.plugin.settings import HeldSettings, ProviderSettings
from tokend.values.secret import Secret

BUILT_IN = {"projectx", "tt", "jwt", "request-jwt", "auth-token"}


class Revealing:
    """A runtime whose secrets are named after their places."""

    async def reveal(self, source: SecretSource) -> Secret:
        return Secret(b"obviously-fake:" + source.place.encode())


def digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:32]


def settings_of(table: dict[str, Any]) -> ProviderSettings:
    model = PROVIDERS.get(table["kind"])
    assert model is not None
    return model.model_validate(table, context={"directory": "/etc/tokend"})


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_the_fingerprints_that_it_had_in_0_1_0(name: str) -> None:
    """With another account the token would be withdrawn; with another request there would be a fetch."""
    settings = settings_of(TABLES[name])
    found = asyncio.run(identify(settings, cast("Runtime", Revealing()), digest, lambda name: None))
    account = rate_limited_account(settings, digest) if isinstance(settings, HeldSettings) else None
    known = FINGERPRINTS[name]
    assert (found.account, found.request, account) == (known[0], known[1], known[3])
    # 0.1.0 did not look at the secrets beside an initial token: a changed one did not end a rejection.
    assert (found.secrets == known[2]) is (name not in {"projectx, every key", "projectx, given"})
    assert request_fingerprint(settings, digest) == found.request


def test_every_kind_of_0_1_0_is_in_the_table() -> None:
    """Each with its defaults and with every key."""
    assert {table["kind"] for table in TABLES.values()} == BUILT_IN
    for kind in BUILT_IN:
        model = PROVIDERS.get(kind)
        assert model is not None
        keys = set().union(*(t for t in TABLES.values() if t["kind"] == kind))
        # A key that 0.1.0 did not have must not give an old table another fingerprint.
        assert not (set(model.model_fields) - keys) & model.request_fields()


def test_a_secret_that_names_its_account_counts_by_that_name() -> None:
    """Another key of the same service account: the same account, and other secrets. Literal keys need no reading."""
    one, same, other = (
        {"kind": "google-service-account", "scope": "x", "key": f'{{"client_email": "{email}", "key": "{key}"}}'}
        for email, key in (("a@example.com", "fake-1"), ("a@example.com", "fake-2"), ("b@example.com", "fake-1"))
    )  # fmt: skip

    class Literal:
        async def reveal(self, source: SecretSource) -> Secret:
            assert source.literal is not None
            return source.literal

    def identity(table: dict[str, Any]) -> Identity:
        return asyncio.run(identify(settings_of(table), cast("Runtime", Literal()), digest, lambda name: None))

    assert identity(one).account == identity(same).account != identity(other).account
    assert len({identity(table).secrets for table in (one, same, other)}) == 3
    held = [cast("HeldSettings", settings_of(table)) for table in (one, same, other)]
    assert not is_surely_another_account(held[0], held[1])
    assert is_surely_another_account(held[0], held[2])


class WithVariables(HeldSettings):
    """A held kind with a table of environment variables."""

    env: Variables = Field(default_factory=SecretTable)

    def secrets(self) -> dict[str, SecretSource]:
        return cast(SecretTable, self.env).secrets("env")


def test_a_secret_within_a_table_counts_as_one_of_a_field() -> None:
    """Its place enters the request, its content what is presented, and a text counts by what it says."""

    def found(**env: object) -> Identity:
        settings = WithVariables.model_validate({"kind": "x", "env": env})
        return asyncio.run(identify(settings, cast("Runtime", Revealing()), digest, lambda name: None))

    one = found(TEXT="a", KEY={"env": "ONE"})
    assert found(TEXT="a", KEY={"env": "ONE"}) == one
    for other in (found(TEXT="b", KEY={"env": "ONE"}), found(TEXT="a", KEY={"env": "TWO"}), found(TEXT="a")):
        assert other.request != one.request
        assert other.secrets != one.secrets


def test_a_text_that_no_repr_shows_counts_as_any_other() -> None:
    """Those of a declared request may hold a secret."""
    table = {"kind": "http", "answer": {"token": "t", "lifetime": "1h"}}

    def found(**request: object) -> str:
        whole = {**table, "request": {"method": "POST", "url": "https://api.example/x", **request}}
        return request_fingerprint(settings_of(whole), digest)

    prints = {found(), found(json={"a": 1}), found(json={"a": True}), found(form={"a": "1"}), found(query={"a": "1"})}
    assert len(prints) == 5
    assert found(json={"a": 1}) in prints
