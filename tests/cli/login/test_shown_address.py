"""Addresses and codes of servers on a terminal."""

import pytest

from tokend.cli.login.shown_address import UnfitError, shown_address, shown_code


@pytest.mark.parametrize(
    "address",
    [
        "https://login.example/authorize?state=abc&x=%20y",
        "https://login.example:8443/",
        "http://127.0.0.1:8400/",
        "http://[::1]:8400/cb?x=1",
        "http://localhost/",
        "https://[2001:db8::1]/",
    ],
)
def test_https_and_this_machine_are_shown_as_they_are(address: str) -> None:
    """Nothing is changed."""
    assert shown_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "http://login.example/",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://",
        "https:///path",
        "https://login.example\x1b[2J/",
        "https://login.example/a b",
        "https://login.example/\u202e",
        "https://lоgin.example/",  # a Cyrillic o
        "https://login.example@evil.example/",
        "https://login.example\\@evil.example/",
        "https://[::1/",
        "-https://login.example/",
        "https://login.example/" + "x" * 8192,
        "",
        None,
        7,
    ],
)
def test_nothing_else_is_shown(address: object) -> None:
    """The message does not repeat it."""
    with pytest.raises(UnfitError) as refused:
        shown_address(address)
    assert refused.value.exit_code == 4
    assert "evil" not in str(refused.value)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("code", ["ABCD-EFGH", "123 456", "w!x~y"])
def test_a_code_is_shown_if_it_can_be_typed(code: str) -> None:
    """Printable ASCII."""
    assert shown_code(code) == code


@pytest.mark.parametrize("code", ["", "A\x1b[2J", "A\nB", "Ａ", "x" * 65, None, 7])
def test_another_code_is_not_shown(code: object) -> None:
    """Neither control characters nor look-alikes."""
    with pytest.raises(UnfitError):
        shown_code(code)
