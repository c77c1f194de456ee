"""Fingerprints in state files: equal in each version for equal settings, or an upgrade would cause a login."""

import asyncio
import hashlib
from typing import Any, cast

import pytest

from tests.engine.records.tables_0_1_0 import FINGERPRINTS, TABLES
from tokend.engine.records.fingerprints import identify, rate_limited_account, request_fingerprint
from tokend.kinds import PROVIDERS
from tokend.plugin.provider import Runtime
from tokend.plugin.secret_source import SecretSource
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
