"""URLs of stores that do not speak HTTP: parts, and what is refused without being quoted."""

import pytest

from tokend.plugin.store_url import StoreUrl, parse_store_url


def parsed(value: str) -> StoreUrl:
    return parse_store_url(value, plain="nats", encrypted="tls", port=4222, socket="unix")


@pytest.mark.parametrize(
    ("value", "wanted", "place"),
    [
        ("tls://n.example", StoreUrl("tls", "n.example", 4222, ""), "n.example:4222"),
        ("tls://n.example:7/a", StoreUrl("tls", "n.example", 7, "/a"), "n.example:7"),
        ("nats://127.0.0.1", StoreUrl("nats", "127.0.0.1", 4222, ""), "127.0.0.1:4222"),
        ("nats://[::1]:9", StoreUrl("nats", "::1", 9, ""), "[::1]:9"),
        ("unix:///run/a%20b", StoreUrl("unix", None, 0, "/run/a b"), "/run/a b"),
    ],
)
def test_a_url_has_parts_and_a_place(value: str, wanted: StoreUrl, place: str) -> None:
    """The place names the server in targets."""
    assert parsed(value) == wanted
    assert parsed(value).place == place


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("nats://n.example", "would send secrets in clear: tls:// only"),
        ("http://127.0.0.1", "a store's URL is tls://host, or nats:// to loopback, or unix:///path"),
        ("planted", "a store's URL is"),
        ("tls://", "a store's URL is"),
        ("tls://n:planted", "this is no URL"),
        ("tls://user:planted@n.example", "no user and no password"),
        ("tls://planted@n.example", "no user and no password"),
        ("tls://n.example?planted", "no query"),
        ("tls://n.example/#planted", "no fragment"),
        ("tls://n.example/pla nted", "no spaces"),
        ("tls://n.exämple", "no spaces"),
        ("unix://planted/run", "a socket is absolute"),
        ("unix:///", "a socket is absolute"),
    ],
)
def test_what_would_show_or_lose_a_secret_is_refused(value: str, said: str) -> None:
    """And is not quoted."""
    with pytest.raises(ValueError, match=said) as refused:
        parsed(value)
    assert "planted" not in str(refused.value)


def test_no_socket_where_the_protocol_has_none() -> None:
    """NATS listens on TCP."""
    with pytest.raises(ValueError, match=r"is tls://host, or nats:// to loopback$"):
        parse_store_url("unix:///run/x", plain="nats", encrypted="tls", port=4222)
