"""Hosts of credential helpers: parsing and matching."""

import pytest

from tests.cli.test_credential import helper
from tokend.cli.credential_hosts import Host, HostError, parse_url


@pytest.mark.parametrize(
    "text",
    ["", "tt", "=tt", "example.com=", "http://example.com=tt", "ftp://a.example=tt", "a.example/path=tt",
     "u:fake-password@a.example=tt", "a.example:x=tt", "https://=tt"],
)  # fmt: skip
def test_a_host_that_is_none_is_refused(text: str) -> None:
    """http:// to elsewhere than loopback, paths, passwords: refused, and no password repeated."""
    with pytest.raises(HostError) as caught:
        Host.parse(text)
    assert "fake-password" not in str(caught.value)
    done = helper("git", "--for", text, "get", given="")
    assert done.code == 2
    assert "fake-password" not in done.err


@pytest.mark.parametrize(
    ("host", "url", "same"),
    [
        ("a.example=t", "https://A.example", True),
        ("a.example=t", "https://a.example:443/x", True),
        ("a.example:444=t", "a.example:444", True),
        ("*.a.example=t", "https://b.c.a.example", True),
        ("*.a.example=t", "https://a.example", False),
        ("*.a.example=t", "https://xa.example", False),
        ("http://localhost:80=t", "http://localhost", True),
        ("[::1]:8443=t", "https://[::1]:8443/", True),
        ("a.example=t", "http://a.example:443", False),
        ("a.example=t", "https://user:fake@a.example", True),
        ("a.example=t", "https://a.example@b.example", False),
    ],
)
def test_a_url_belongs_to_its_host_only(host: str, url: str, same: bool) -> None:
    """Scheme, host and port all count; who is before the @ does not."""
    found = parse_url(url)
    assert found is not None
    assert Host.parse(host).matches(*found) is same


@pytest.mark.parametrize(
    "url", ["https://evil.example\\.a.example", "ftp://a.example", "https://", "https://a:b", "", "//x"]
)
def test_what_is_no_web_address_belongs_to_nobody(url: str) -> None:
    """Also what other programs might read as another host than we do: a backslash is a slash to some."""
    assert parse_url(url) is None
