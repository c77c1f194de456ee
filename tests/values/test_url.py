"""URLs and texts that may be sent."""

import pytest

from tokend.values.url import (
    has_user,
    host_header,
    host_of,
    is_confidential,
    is_metadata_server,
    origin_of,
    path_of,
    same_origin,
    validate_base_url,
)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://api.example.com", "https://api.example.com"),
        ("https://api.example.com/", "https://api.example.com"),
        ("https://api.example.com:8443/gateway/", "https://api.example.com:8443/gateway"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.9.9.9", "http://127.9.9.9"),
        ("http://[::1]:80", "http://[::1]:80"),
        ("http://localhost:1", "http://localhost:1"),
    ],
)
def test_https_anywhere_and_http_to_loopback_are_urls(url: str, kept: str) -> None:
    """A trailing slash makes no difference."""
    assert validate_base_url(url) == kept


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example.com",
        "https://",
        "ftp://example.com",
        "http://example.com",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://0.0.0.0",
        "http://[fe80::1]",
        "https://user@example.com",
        "https://user:obviously-fake@example.com",
        "https://example.com?a=b",
        "https://example.com/?",
        "https://example.com#x",
        "https://example.com:99999",
        "https://example.com:abc",
        "https://exa mple.com",
        "https://.example.com",
        "https://a..example.com",
        "https://example.com..",
        "https://.",
        "https://exa\nmple.com",
        "https://example.com/\t",
        "https://example.com\\@127.0.0.1",
        "https://exämple.com",
        "https://[",
        "http://[::1]380/x]]",
        "unix:///run/x",
        "https://example.com/a/../b",
        "https://example.com/./a",
        "https://example.com/..",
    ],
)
def test_everything_else_is_refused_in_words(url: str) -> None:
    """Secrets go over TLS or stay on this machine; the message does not quote what may hold a password."""
    with pytest.raises(ValueError, match=r"URL|http") as caught:
        validate_base_url(url)
    assert "obviously-fake" not in str(caught.value)


def test_a_host_has_a_port_and_a_path_has_no_query() -> None:
    """Rate limits count per host and port."""
    assert host_of("https://a.example") == "a.example:443"
    assert host_of("http://127.0.0.1") == "127.0.0.1:80"
    assert host_of("http://[::1]:8080/x") == "[::1]:8080"
    assert path_of("https://a.example/x/y?z=1") == "/x/y"
    assert path_of("https://a.example") == "/"


def test_a_metadata_server_is_for_those_that_ask_for_it_alone() -> None:
    """A base URL does not lead there: a kind's secrets would."""
    url = "http://169.254.169.254"
    assert is_metadata_server(f"{url}/latest/token?x")
    assert not is_metadata_server("https://169.254.169.254")
    assert not is_metadata_server("http://[")
    assert not is_metadata_server("http://localhost")
    assert validate_base_url(f"{url}/", metadata=True) == url
    for other in (url, "http://127.0.0.1"):
        assert is_confidential(other) == (other != url)
    with pytest.raises(ValueError, match="https:// only"):
        validate_base_url(url)


def test_the_header_host_has_a_port_that_is_not_the_schemes_own() -> None:
    """As clients send it."""
    urls = ("https://A.example:443/x", "http://a.example:443", "https://[::1]:8443", "http://a.example:80")
    assert [host_header(url) for url in urls] == ["a.example", "a.example:443", "[::1]:8443", "a.example"]


def test_an_origin_is_scheme_host_and_port() -> None:
    """A redirect to anything else would carry the secrets away."""
    ours = "https://a.example/x"
    assert same_origin(ours, "https://A.example:443/y")
    for other in (
        "http://a.example/",
        "https://b.example/",
        "https://a.example:444/",
        "https://u@a.example/",
        "https://[",
    ):
        assert not same_origin(ours, other)
    # To urlsplit the same place, to others another port.
    assert not same_origin("http://[::1]", "http://[::1]1")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("https://user:fake@store.example", True),
        ("redis://:fake@store.example:6379/0", True),
        ("nats://fake@store.example", True),
        ("  HTTPS://fake@store.example", True),
        ("https:\\\\fake@store.example", True),
        ("https:///fake@store.example", True),
        ("https://store.example/@scope/a@b", False),
        ("https://store.example?a=b@c", False),
        ("https://store.example#a@b", False),
        ("a@b", False),
        ("arn:aws:a@b", False),
        ("", False),
    ],
)
def test_a_user_before_the_host_is_found_as_any_reader_would_find_it(text: str, found: bool) -> None:
    """An @ in a path, a query or a name is none."""
    assert has_user(text) is found


def test_an_origin_has_scheme_host_and_port() -> None:
    """With the scheme's own port."""
    assert origin_of("HTTPS://A.example/x?y") == "https://a.example:443"
    assert origin_of("http://127.0.0.1:8/x") == "http://127.0.0.1:8"
