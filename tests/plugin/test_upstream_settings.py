"""Keys to reach an upstream."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tokend.plugin.upstream_settings import UpstreamSettings


def made(base_url: str = "https://vendor.example", **keys: Any) -> UpstreamSettings:
    return UpstreamSettings.model_validate({"base_url": base_url, **keys})


@pytest.mark.parametrize(
    ("base_url", "upstream"),
    [
        ("https://vendor.example", "vendor.example:443"),
        ("https://vendor.example:8443/api", "vendor.example:8443"),
        ("http://127.0.0.1:9000", "127.0.0.1:9000"),
    ],
)
def test_the_upstream_is_host_and_port(base_url: str, upstream: str) -> None:
    """Providers with different paths of one host share its rate limit."""
    assert made(base_url).upstream == upstream


@pytest.mark.parametrize("base_url", ["http://vendor.example", "ftp://vendor.example", "vendor.example", ""])
def test_a_url_in_clear_is_refused(base_url: str) -> None:
    """A secret would cross the network unencrypted."""
    with pytest.raises(ValidationError, match="base_url"):
        made(base_url)


@pytest.mark.parametrize(
    "proxy", ["proxy.example:3128", "socks5://proxy:1", "http://proxy", "http://:3128", "http://p:x"]
)
def test_a_proxy_has_scheme_host_and_port(proxy: str) -> None:
    """The message shows the two forms."""
    with pytest.raises(ValidationError, match="http://host:port or https://host:port"):
        made(proxy=proxy)


def test_a_proxy_is_accepted_and_not_shown() -> None:
    """It may hold a password."""
    settings = made(proxy="http://user:planted-fake-password@proxy.example:3128")
    assert settings.proxy is not None
    assert "planted" not in repr(settings)


def test_loopback_is_reached_without_a_proxy() -> None:
    """A proxy would see the secrets in clear."""
    with pytest.raises(ValidationError, match="remove proxy"):
        made("http://127.0.0.1:9000", proxy="http://proxy.example:3128")


def test_a_key_needs_its_certificate() -> None:
    """A certificate may hold its key."""
    with pytest.raises(ValidationError, match="client_key needs client_cert"):
        made(client_key=Path("/etc/key.pem"))
    assert made(client_cert=Path("/etc/both.pem")).client_key is None
