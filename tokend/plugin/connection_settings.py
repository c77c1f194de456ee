"""Settings of how to reach a server over HTTP: certificates and a proxy. The server's URL is the kind's own key."""

from typing import Annotated, ClassVar, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from tokend.plugin.field_roles import Role
from tokend.plugin.settings_base import KeyValueError
from tokend.plugin.tls_settings import TlsSettings
from tokend.values.url import host_of, is_metadata_server

# Of a token, and of what most stores answer.
LARGEST_BODY_BYTES = 256 * 1024


class ConnectionSettings(TlsSettings):
    """The keys ``ca_file``, ``client_cert``, ``client_key``, ``tls_strict`` and ``proxy``.

    A kind with a key ``base_url`` inherits `UpstreamSettings`. Another kind inherits this class and overrides
    `server_url`.
    """

    # The largest body of an answer. A kind whose server answers with whole objects of others raises it.
    largest_body_bytes: ClassVar[int] = LARGEST_BODY_BYTES

    # Not in the repr: the URL may contain a password.
    proxy: Annotated[str | None, Role.CONNECTION] = Field(default=None, repr=False)

    @property
    def server_url(self) -> tuple[str, str]:
        """The key that holds the server's URL, and the URL: https://, or http:// to loopback."""
        raise NotImplementedError

    @property
    def upstream(self) -> str | None:
        """The ``host:port`` of the server. All that sends to one host shares its rate limit."""
        return host_of(self.server_url[1])

    @field_validator("proxy")
    @classmethod
    def _proxy_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port is not None
        except ValueError:
            usable = False
        if not usable or not value.isascii() or not value.isprintable() or " " in value:
            raise ValueError("a proxy is http://host:port or https://host:port")
        return value

    @model_validator(mode="after")
    def _no_proxy_to_loopback(self) -> Self:
        if self.proxy is not None and self.server_url[1].startswith("http://"):
            where = "at a metadata server" if is_metadata_server(self.server_url[1]) else "on loopback"
            raise KeyValueError("proxy", f"no proxy leads to http:// {where}, as {self.server_url[0]} is: remove proxy")
        return self
