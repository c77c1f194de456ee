"""Settings of a provider or remote sink that sends requests to an upstream: the URL, and how to reach it."""

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator, model_validator

from tokend.plugin.field_roles import Role
from tokend.plugin.settings_base import AnchoredPath, Settings
from tokend.values.url import host_of, validate_base_url


class UpstreamSettings(Settings):
    """The keys to reach an upstream. A remote sink inherits this class; a provider inherits `NetworkSettings`.

    ``base_url`` is https://, or http:// to loopback, without a trailing slash. A kind adds its own path to
    ``base_url``, and may declare the field again to give a default.
    """

    base_url: Annotated[str, Role.UPSTREAM]
    ca_file: Annotated[AnchoredPath | None, Role.CONNECTION] = None
    client_cert: Annotated[AnchoredPath | None, Role.CONNECTION] = None
    client_key: Annotated[AnchoredPath | None, Role.CONNECTION] = None
    # Refuse certificates of authorities that RFC 5280 forbids, and that curl and most programs accept.
    tls_strict: Annotated[bool, Role.CONNECTION] = False
    # Not in the repr: the URL may contain a password.
    proxy: Annotated[str | None, Role.CONNECTION] = Field(default=None, repr=False)

    @field_validator("base_url")
    @classmethod
    def _is_safe(cls, value: str) -> str:
        return validate_base_url(value)

    @field_validator("proxy")
    @classmethod
    def _proxy_url(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port is not None
        except ValueError:
            usable = False
        if not usable or not value.isascii() or not value.isprintable() or " " in value:
            raise ValueError("a proxy is http://host:port or https://host:port")
        if info.data.get("base_url", "").startswith("http://"):
            raise ValueError("base_url is http:// to loopback, which is reached without a proxy: remove proxy")
        return value

    @model_validator(mode="after")
    def _key_with_certificate(self) -> Self:
        if self.client_key is not None and self.client_cert is None:
            raise ValueError("client_key needs client_cert: the certificate that belongs to it")
        return self

    @property
    def upstream(self) -> str | None:
        """The ``host:port`` of ``base_url``. All providers of one upstream share its rate limit."""
        return host_of(self.base_url)
