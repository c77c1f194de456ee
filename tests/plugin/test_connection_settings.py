"""Keys of how to reach a server whose URL is a key of the kind."""

from typing import Any

import pytest
from pydantic import ValidationError

from tokend.plugin.connection_settings import ConnectionSettings


class AtAddress(ConnectionSettings):
    """A kind with a key of its own for the URL."""

    address: str

    @property
    def server_url(self) -> tuple[str, str]:
        return "address", self.address


def made(**keys: Any) -> AtAddress:
    return AtAddress.model_validate({"address": "https://vault.example:8200/base", **keys})


def test_the_host_is_that_of_the_kinds_url() -> None:
    """With its port: all that sends there shares its rate limit."""
    assert made().upstream == "vault.example:8200"


def test_a_proxy_for_loopback_is_refused_by_the_keys_name() -> None:
    """The message names the key that the user wrote."""
    with pytest.raises(ValidationError, match="no proxy leads to http:// on loopback, as address is"):
        made(address="http://127.0.0.1:1", proxy="http://proxy.example:3128")
    assert made(proxy="http://proxy.example:3128").proxy
    with pytest.raises(ValidationError, match="no proxy leads to http:// at a metadata server, as address is"):
        made(address="http://169.254.169.254", proxy="http://proxy.example:3128")


def test_a_class_without_a_url_is_a_bug_of_its_author() -> None:
    """No default that would send somewhere."""
    with pytest.raises(NotImplementedError):
        _ = ConnectionSettings().upstream
