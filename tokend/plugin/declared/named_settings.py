"""The tables ``[secrets]`` and ``[values]`` of a kind whose requests or claims a configuration declares."""

from typing import cast

from pydantic import Field

from tokend.plugin.declared.computed_value import ComputedValue
from tokend.plugin.secret_source import SecretSource
from tokend.plugin.secret_table import NamedSecrets, SecretTable
from tokend.plugin.settings import ProviderSettings


class NamedSettings(ProviderSettings):
    """The keys ``secrets``, the only place of the secrets, and ``values``: names for ``{…}``."""

    named_secrets: NamedSecrets = Field(default_factory=SecretTable, alias="secrets")
    values: dict[str, ComputedValue] = Field(default_factory=dict)

    def secrets(self) -> dict[str, SecretSource]:
        """Return the secrets that are keys of their own, and those of the table as ``secrets.NAME``."""
        return {**super().secrets(), **cast(SecretTable, self.named_secrets).all("secrets")}
