"""Settings of TLS: the authority that is trusted, and a client's certificate."""

from typing import Annotated, Self

from pydantic import model_validator

from tokend.plugin.field_roles import Role
from tokend.plugin.settings_base import AnchoredPath, Settings


class TlsSettings(Settings):
    """The keys ``ca_file``, ``client_cert``, ``client_key`` and ``tls_strict``. Verification is never off."""

    ca_file: Annotated[AnchoredPath | None, Role.CONNECTION] = None
    client_cert: Annotated[AnchoredPath | None, Role.CONNECTION] = None
    client_key: Annotated[AnchoredPath | None, Role.CONNECTION] = None
    # Refuse certificates of authorities that RFC 5280 forbids, and that curl and most programs accept.
    tls_strict: Annotated[bool, Role.CONNECTION] = False

    @model_validator(mode="after")
    def _key_with_certificate(self) -> Self:
        if self.client_key is not None and self.client_cert is None:
            raise ValueError("client_key needs client_cert: the certificate that belongs to it")
        return self
