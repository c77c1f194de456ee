"""The tables ``[secrets]`` and ``[values]`` of a kind whose requests a configuration declares."""

from typing import Annotated

from pydantic import AfterValidator, Field

from tokend.plugin.declared.computed_value import ComputedValue
from tokend.plugin.secret_source import SecretField, SecretSource
from tokend.plugin.secret_table import IsSecretTable, SecretTable
from tokend.plugin.settings import ProviderSettings

NamedSecrets = Annotated[dict[str, SecretField], AfterValidator(SecretTable), IsSecretTable()]
"""The type of a settings field with secrets by the names that stand in ``{…}``."""


class NamedSettings(ProviderSettings):
    """The keys ``secrets``, the only place of the secrets, and ``values``: names for ``{…}``."""

    named_secrets: NamedSecrets = Field(default_factory=SecretTable, alias="secrets")
    values: dict[str, ComputedValue] = Field(default_factory=dict, repr=False)

    def secrets(self) -> dict[str, SecretSource]:
        """Return the secrets, as ``secrets.NAME``."""
        return {f"secrets.{name}": source for name, source in self.named_secrets.items()}
