"""Places of secrets that need more than their own keys, for the tests of several rooms."""

from collections.abc import Mapping
from typing import Any

from tokend.plugin.secret_source import NamedVault, SecretSource
from tokend.plugin.vault_settings import VaultSettings


def in_vault(keys: Mapping[str, Any], **place: Any) -> SecretSource:
    """A secret in a vault whose table has these keys."""
    settings = VaultSettings.model_validate({key: one for key, one in keys.items() if one is not None})
    return SecretSource.model_validate({"vault": NamedVault("bao", settings), **place})
