"""The origins that a token goes to."""

import threading
from urllib.parse import urlsplit

import pytest

from tests.cli.running import PATIENCE_SECONDS
from tokend.client import OriginError
from tokend.client.origins import Origin, Origins, origin


def parse(text: str) -> Origin:
    """Parse as an HTTP library would."""
    url = urlsplit(text)
    return origin(url.scheme, url.hostname, url.port)


def admitted(origins: Origins, *texts: str) -> list[bool]:
    """Whether each one in turn is admitted."""
    found = []
    for text in texts:
        try:
            origins.admit(parse(text))
        except OriginError:
            found.append(False)
        else:
            found.append(True)
    return found


def test_a_default_port_and_the_case_of_a_name_make_no_other_origin() -> None:
    """RFC 6454, 4."""
    origins = Origins("tt", "HTTPS://API.example:443/", parse)
    assert admitted(origins, "https://api.example", "https://api.example:443", "https://api.EXAMPLE/x?y") == [True] * 3
    assert admitted(origins, "https://api.example:8443", "https://api.example.", "https://evil.example") == [False] * 3


def test_the_first_origin_counts_where_none_is_listed() -> None:
    """A refused one is not the first."""
    origins = Origins("tt", None, parse)
    assert admitted(origins, "http://api.example", "https://a.example", "https://b.example", "https://a.example") == [
        False, True, False, True,
    ]  # fmt: skip


def test_an_empty_list_admits_nothing() -> None:
    """A list is a list: no request comes first."""
    assert admitted(Origins("tt", (), parse), "https://a.example", "http://127.0.0.1") == [False, False]


def test_http_is_for_loopback_only() -> None:
    """The client's one rule of what loopback is."""
    for text in ("http://127.0.0.1:8080", "http://localhost", "http://[::1]:80", "https://127.evil.example"):
        assert admitted(Origins("tt", None, parse), text) == [True]
    for text in ("http://127.evil.example", "http://10.0.0.1", "http://localhost.evil.example", "http://0.0.0.0"):
        assert admitted(Origins("tt", text, parse), text) == [False]


def test_a_refusal_names_both_origins_and_the_option() -> None:
    """And no path or query, which may be secret."""
    origins = Origins("tt", ("https://b.example", "https://[2001:db8::1]:8443"), parse)
    with pytest.raises(OriginError) as caught:
        origins.admit(parse("https://evil.example/secret?secret"))
    text = str(caught.value)
    assert "tt is not sent to https://evil.example: " in text
    assert "a token for https://[2001:db8::1]:8443, https://b.example; " in text
    assert "origins=" in text
    assert "secret" not in text


@pytest.mark.parametrize("text", ["", "api.example", "/path", "ftp://api.example", "https://", "https://a:999999999"])
def test_a_text_that_is_no_origin_is_a_value_error(text: str) -> None:
    """At once, with the text."""
    with pytest.raises(ValueError, match=r"origins: .* is no origin"):
        Origins("tt", [text], parse)


def test_threads_agree_on_one_first_origin() -> None:
    """Many first requests at once, each to another origin: one of them gets the token."""
    origins, barrier = Origins("tt", None, parse), threading.Barrier(32)
    found: list[bool] = []

    def one(number: int) -> None:
        barrier.wait(PATIENCE_SECONDS)
        found.extend(admitted(origins, f"https://{number}.example"))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(32)]
    for number, thread in enumerate(threads, start=1):
        thread.start()
        # One after another: two threads that begin at once may not both be able to install a trace function (coverage).
        while barrier.n_waiting < number < len(threads):
            thread.join(0.001)
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert (found.count(True), found.count(False)) == (1, 31)
