"""Settings of a provider or remote sink that sends requests to an upstream: the URL, and how to reach it."""

from typing import Annotated

from pydantic import field_validator

from tokend.plugin.connection_settings import ConnectionSettings
from tokend.plugin.field_roles import Role
from tokend.values.url import validate_base_url


class UpstreamSettings(ConnectionSettings):
    """The keys to reach an upstream. A remote sink inherits this class; a provider inherits `NetworkSettings`.

    ``base_url`` is https://, or http:// to loopback, without a trailing slash. A kind adds its own path to
    ``base_url``, and may declare the field again to give a default.
    """

    base_url: Annotated[str, Role.UPSTREAM]

    @field_validator("base_url")
    @classmethod
    def _is_safe(cls, value: str) -> str:
        return validate_base_url(value)

    @property
    def server_url(self) -> tuple[str, str]:
        """The key ``base_url`` and its value."""
        return "base_url", self.base_url
