"""Secrets as text of bodies, claims and headers."""

import pytest

from tokend.plugin.text import fits_header, header_text, is_text, text_of
from tokend.values.errors import SecretError
from tokend.values.secret import Secret


@pytest.mark.parametrize("value", ["", " x", "x ", "a\nb", "a\r\nInjected: yes", "ü", "\x7f", b"\xff"])
def test_a_header_is_one_line_of_ascii(value: str | bytes) -> None:
    """The error names the secret and does not quote its content."""
    with pytest.raises(SecretError, match="api_key") as caught:
        header_text(Secret(value), "api_key")
    assert "Injected" not in str(caught.value)


def test_text_is_utf8() -> None:
    """Bodies and claims may hold any text."""
    assert text_of(Secret("ü✓"), "username") == "ü✓"
    assert header_text(Secret("a b"), "key") == "a b"
    with pytest.raises(SecretError, match="username"):
        text_of(Secret(b"\xff"), "username")
    assert is_text("ü✓")
    assert not is_text("\ud800")


@pytest.mark.parametrize(("text", "fits"), [("a b", True), ("", False), (" a", False), ("ä", False), ("a\n", False)])
def test_a_text_fits_a_header_or_not(text: str, fits: bool) -> None:
    """As a secret does."""
    assert fits_header(text) is fits
