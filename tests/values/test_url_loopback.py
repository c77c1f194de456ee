"""Loopback is decided alike by the daemon, the client and the sandbox, which may not import each other."""

from collections.abc import Callable

import pytest

from tokend.cli.credential_hosts import Host, HostError
from tokend.client import loopback as client
from tokend.sandbox import options as sandbox
from tokend.values import url

LOOPBACK = (
    "localhost", "LOCALHOST", "LocalHost", "127.0.0.1", "127.0.0.0", "127.255.255.255", "127.8.9.10",
    "::1", "[::1]", "0:0:0:0:0:0:0:1", "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "::ffff:127.0.0.1", "[::FFFF:127.9.9.9]", "::ffff:7f00:1",
)  # fmt: skip
ELSEWHERE = (
    "", " ", ".", "[]", "[", "127.evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "evil-localhost",
    "sub.localhost", "localhost.", "127.0.0.1.", "localhost ", " localhost", "localhost\n", "localhost\0",
    "127.0.0.1\0", "localhost:80", "127.0.0.1:80", "[::1]:80",
    "user@localhost", "user@127.0.0.1", "127.0.0.1@evil.example",
    "127.1", "127", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "127.0.0.01", "127.0.0.256", "127.0.0", "[127.0.0.1]",
    "128.0.0.1", "126.255.255.255", "0.0.0.0",  # noqa: S104
    "10.0.0.1", "169.254.169.254", "::", "[::]", "::2", "fe80::1", "::1%lo",
    "::127.0.0.1", "::ffff:128.0.0.1", "64:ff9b::127.0.0.1", "[::1", "::1]", "[[::1]]", "[localhost]",
    "\u0661\u0662\u0667.0.0.1", "\uff4cocalhost", "127\u30020\u30020\u30021", "\ud800",
)  # fmt: skip
each = pytest.mark.parametrize("decide", [url.is_loopback, client.is_loopback, sandbox.is_loopback])


@each
@pytest.mark.parametrize("host", LOOPBACK, ids=ascii)
def test_these_are_loopback(decide: Callable[[str], bool], host: str) -> None:
    """Names and addresses that no resolver can send elsewhere."""
    assert decide(host) is True


@each
@pytest.mark.parametrize("host", ELSEWHERE, ids=ascii)
def test_these_are_not(decide: Callable[[str], bool], host: str) -> None:
    """A secret sent in clear to one of them could leave the machine."""
    assert decide(host) is False


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "127.5.5.5"])
def test_http_is_for_loopback_wherever_a_url_is_read(host: str) -> None:
    """The settings, the runtime and the credential helper ask the same function."""
    assert url.validate_base_url(f"http://{host}:1/") == f"http://{host}:1"
    assert url.is_confidential(f"http://{host}:1/token")
    assert Host.parse(f"http://{host}:1=name").port == 1


@pytest.mark.parametrize("host", ["127.evil.example", "127.1", "localhost.", "[::2]", "api.example"])
def test_http_to_anything_else_is_refused_wherever_a_url_is_read(host: str) -> None:
    """Whatever its name begins with."""
    with pytest.raises(ValueError, match="http:// would send secrets in clear"):
        url.validate_base_url(f"http://{host}:1/")
    assert not url.is_confidential(f"http://{host}:1/token")
    assert url.is_confidential(f"https://{host}:1/token")
    with pytest.raises(HostError):
        Host.parse(f"http://{host}:1=name")


@pytest.mark.parametrize("text", ["", "token", "ftp://a.example", "http://[", "//127.0.0.1/", "file:///etc/passwd"])
def test_what_is_no_web_address_is_not_confidential(text: str) -> None:
    """It is not sent anywhere."""
    assert not url.is_confidential(text)
