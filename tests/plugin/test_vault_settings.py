"""A table of a vault: where it is, and its credential."""

from typing import Any

import pytest
from pydantic import ValidationError

from tests.fakes import literal
from tests.plugin.places import in_vault
from tokend.plugin.vault_settings import VaultSettings


def test_an_address_is_enough() -> None:
    """An agent on this machine may add the credential; version 2 of KV is usual."""
    made = VaultSettings.model_validate({"address": "http://127.0.0.1:8200/"})
    assert (made.address, made.auth, made.kv_version, made.namespace) == ("http://127.0.0.1:8200", None, 2, None)
    assert made.server_url == ("address", "http://127.0.0.1:8200")
    assert made.secrets() == {}


def test_the_credential_is_a_secret_that_a_request_needs() -> None:
    """It is inspected as each secret is."""
    made = VaultSettings.model_validate({"address": "https://a.example", "auth": literal("fake")})
    assert made.secrets() == {"auth": literal("fake")}
    assert made.missing_secrets(frozenset({"auth"})) == {"auth"}
    assert "fake" not in repr(made)


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({}, "address"),
        ({"address": "http://vault.example"}, "https"),
        ({"address": "https://user:planted@vault.example"}, "no user"),
        ({"address": "https://a.example", "kv_version": 3}, "kv_version"),
        ({"address": "https://a.example", "namespace": "a//b"}, "names with / between them"),
        ({"address": "http://127.0.0.1:8200", "proxy": "http://proxy.example:3128"}, "no proxy leads to"),
        ({"address": "https://a.example", "client_key": "/k"}, "client_key needs client_cert"),
        ({"address": "https://a.example", "token": "planted"}, "token"),
    ],
)
def test_what_cannot_be_meant_is_refused(keys: dict[str, Any], why: str) -> None:
    """The message does not quote the input."""
    with pytest.raises(ValidationError, match=why) as raised:
        VaultSettings.model_validate(keys)
    assert "planted" not in str(raised.value)


def test_the_credential_stands_in_no_vault() -> None:
    """It would need itself."""
    source = in_vault({"address": "https://a.example"}, path="a", field="b")
    with pytest.raises(ValidationError, match="the credential of a vault stands in no vault"):
        VaultSettings.model_validate({"address": "https://a.example", "auth": source})
