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


# None of these is a name of RFC 1123 or an address as it is usually written; some programs read them as another host.
NO_HOSTS = (
    "a..example", ".a.example", "a.example.", "-a.example", "a-.example", "a_b.example", "a b.example", "a%2eexample",
    "a%00.example", "a,b.example", "a;b.example", "*", "*.", "a.*.example", "**.a.example", "a*.example",
    "x" * 64 + ".example", ".".join(["a" * 60] * 5), "b\xfccher.example", "\u212aa.example", "a\u3002example",
    "a\xad.example", "127.1", "0x7f.0.0.1", "0x7f000001", "2130706433", "1.2.3.4.5", "127.0.0.01", "256.1.1.1",
    "a.0x1", "a.1", "[::1", "::1]", "[127.0.0.1]", "[fe80::1%25eth0]", "[fe80::1%eth0]", "[::g]", "[]", "a.example:",
    "a.example:0", "a.example:65536", "a.example:+1", "a.example:1:2", "u@v@a.example", "a.example\t", "\na.example",
    "a\r.example", "a.example\x00", "$(id).example", "'.example",
)  # fmt: skip


@pytest.mark.parametrize("host", NO_HOSTS)
def test_what_is_no_host_has_no_token_and_gets_none(host: str) -> None:
    """In the map it is an error, in a request it is nobody: not even a wildcard above it matches."""
    with pytest.raises(HostError):
        Host.parse(f"{host}=t")
    for url in (f"https://{host}", f"https://{host}/path", host):
        found = parse_url(url)
        assert found is None, found


@pytest.mark.parametrize(
    "host", ["*.com", "*.localhost", "*.127.0.0.1", "*.[::1]", "*.com:8443", "https://*.example", "u@*.com"]
)
def test_a_wildcard_stands_before_two_labels(host: str) -> None:
    """Before one it would be a whole top-level domain; before an address it means nothing."""
    with pytest.raises(HostError):
        Host.parse(f"{host}=t")
    done = helper("git", "--for", f"{host}=t", "get", given="protocol=https\nhost=evil.com\n\n")
    assert (done.code, done.out) == (2, "")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("*.a.example=t", "https://evil.example/.a.example"),
        ("*.a.example=t", "https://evil.example?.a.example"),
        ("*.a.example=t", "https://evil.example#.a.example"),
        ("*.a.example=t", "https://evil.example:443.a.example"),
        ("*.a.example=t", "https://.a.example"),
        ("*.a.example=t", "https://evil.example\t.a.example"),
        ("*.a.example=t", "https://evil.example%2f.a.example"),
        ("a.example=t", "https://a.example\u2024"),
    ],
)
def test_no_spelling_of_another_host_matches(host: str, url: str) -> None:
    """The dot of a wildcard is that of the host, which ends where every program says so."""
    found = parse_url(url)
    assert found is None or not Host.parse(host).matches(*found)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("[0:0:0:0:0:0:0:1]:8443=t", "https://[::1]:8443"),
        ("[2001:DB8::1]=t", "https://[2001:db8:0::1]/"),
        ("192.0.2.1=t", "https://192.0.2.1:443"),
        ("xn--bcher-kva.example=t", "https://XN--BCHER-KVA.example"),
        ("a-b.example=t", "a-b.example"),
        ("localhost:5000=t", "localhost:5000"),
        ("7.example=t", "https://7.example"),
        ("*.a.example:444=t", "https://b.a.example:444"),
    ],
)
def test_hosts_are_compared_in_their_usual_form(host: str, url: str) -> None:
    """Case, the zeros of IPv6, the scheme's port."""
    found = parse_url(url)
    assert found is not None
    assert Host.parse(host).matches(*found)


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
