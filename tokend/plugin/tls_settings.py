"""Settings of TLS: the authority that is trusted, and a client's certificate."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import model_validator

from tokend.plugin.field_roles import Role
from tokend.plugin.settings_base import AnchoredPath, Settings


@dataclass(frozen=True, slots=True, repr=False)
class HeldPem:
    """PEM that a file of another format holds, and the files that it came from; see `TlsSettings.held_pem`.

    ``certificate`` is that of the client, with its key.
    """

    authorities: bytes | None = None
    certificate: bytes | None = None
    files: tuple[Path, ...] = ()


class TlsSettings(Settings):
    """The keys ``ca_file``, ``client_cert``, ``client_key`` and ``tls_strict``. Verification is never off."""

    ca_file: Annotated[AnchoredPath | None, Role.CONNECTION] = None
    client_cert: Annotated[AnchoredPath | None, Role.CONNECTION] = None
    client_key: Annotated[AnchoredPath | None, Role.CONNECTION] = None
    # Refuse certificates of authorities that RFC 5280 forbids, and that curl and most programs accept.
    tls_strict: Annotated[bool, Role.CONNECTION] = False

    @property
    def holds_pem(self) -> bool:
        """Whether certificates stand in a file of another format: `held_pem` is called then."""
        return False

    def held_pem(self) -> HeldPem:
        """Return the certificates in a file of another format. Blocks. Raises ValueError with the file and its fault.

        ``ca_file`` and ``client_cert`` count before them.
        """
        return HeldPem()

    @model_validator(mode="after")
    def _key_with_certificate(self) -> Self:
        if self.client_key is not None and self.client_cert is None:
            raise ValueError("client_key needs client_cert: the certificate that belongs to it")
        return self
