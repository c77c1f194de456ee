"""Keys of TLS, for stores over HTTP and over other protocols."""

import pytest
from pydantic import ValidationError

from tokend.plugin.tls_settings import TlsSettings


def test_a_key_without_its_certificate_is_refused() -> None:
    """It would be sent nowhere."""
    with pytest.raises(ValidationError, match="client_key needs client_cert"):
        TlsSettings.model_validate({"client_key": "/key.pem"})
    made = TlsSettings.model_validate({"client_key": "/key.pem", "client_cert": "/cert.pem"})
    assert str(made.client_cert) == "/cert.pem"


def test_paths_are_those_of_the_configuration() -> None:
    """Relative to its directory."""
    made = TlsSettings.model_validate({"ca_file": "ca.pem"}, context={"directory": "/etc/tokend"})
    assert str(made.ca_file) == "/etc/tokend/ca.pem"
