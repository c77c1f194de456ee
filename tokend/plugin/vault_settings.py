"""Settings of a vault that holds secrets of the configuration: a table ``[vaults.NAME]``."""

from typing import Annotated, ClassVar, Literal

from pydantic import field_validator

from tokend.plugin.connection_settings import ConnectionSettings
from tokend.plugin.field_roles import Role
from tokend.plugin.secret_source import SecretField, SecretSource
from tokend.plugin.vault_names import vault_names
from tokend.values.url import has_user, is_confidential, validate_base_url


class VaultSettings(ConnectionSettings):
    """How to reach Vault or OpenBao, and the credential there. A secret names the table by ``vault = "NAME"``."""

    # A secret has at most 64 KiB; JSON may write a byte as six.
    largest_body_bytes: ClassVar[int] = 512 * 1024

    address: Annotated[str, Role.UPSTREAM]
    # None: an agent on this machine adds the credential.
    auth: SecretField | None = None
    namespace: str | None = None
    kv_version: Literal[1, 2] = 2

    @field_validator("address")
    @classmethod
    def _safe_address(cls, value: str) -> str:
        if has_user(value):
            raise ValueError("a URL holds no user and no password here: auth is the credential")
        if not is_confidential(url := validate_base_url(value)):
            raise ValueError("the URL of a vault is https://host, or http:// to loopback only")
        return url

    @field_validator("auth")
    @classmethod
    def _of_another_place(cls, value: SecretSource | None) -> SecretSource | None:
        if value is not None and value.vault is not None:
            raise ValueError("the credential of a vault stands in no vault: use { file = }, { token = } or another")
        return value

    @field_validator("namespace")
    @classmethod
    def _names(cls, value: str | None) -> str | None:
        return None if value is None else vault_names(value, in_header=True)

    @property
    def server_url(self) -> tuple[str, str]:
        """The key ``address`` and its value."""
        return "address", self.address

    def secrets(self) -> dict[str, SecretSource]:
        """Return the credential by its key."""
        return {} if self.auth is None else {"auth": self.auth}

    def missing_secrets(self, unreadable: frozenset[str]) -> frozenset[str]:
        """Return the ``unreadable`` secrets that a request needs."""
        return unreadable
