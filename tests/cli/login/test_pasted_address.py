"""The address in what a person has pasted."""

import pytest

from tokend.cli.login.pasted_address import find_address

REDIRECT = "http://127.0.0.1:8400/"
ADDRESS = "http://127.0.0.1:8400/?code=fake-code&state=fake-state"


@pytest.mark.parametrize(
    "text",
    [
        ADDRESS,
        f"  {ADDRESS}\r\n",
        f"it ended at <{ADDRESS}>, is that right?",
        f"'{ADDRESS}'.",
        f"[callback]({ADDRESS})",
        f"\x1b[200~{ADDRESS}\x1b[201~\n",
        f"\ufeff\u200b{ADDRESS}\u200b",
        f"https://login.example/authorize?x=1 went to {ADDRESS} at once",
        f"{ADDRESS} then https://www.example/search?q=tokend",
        "http://127.0.0.1:8400/?code=fake-\ncode&state=\nfake-state\n",
        "code=fake-code&state=fake-state",
        "?code=fake-code&state=fake-state",
    ],
)
def test_text_around_an_address_and_breaks_in_it_are_dropped(text: str) -> None:
    """Mail programs, terminals and people add some."""
    assert find_address(text, REDIRECT) == ADDRESS


@pytest.mark.parametrize(
    ("text", "redirect", "found"),
    [
        (f"{REDIRECT}?error=access_denied&state=x", REDIRECT, f"{REDIRECT}?error=access_denied&state=x"),
        ("error=access_denied&state=x", REDIRECT, f"{REDIRECT}?error=access_denied&state=x"),
        ("https://app.example/cb?code=a&state=b", "https://app.example/cb", "https://app.example/cb?code=a&state=b"),
        ("code=a&state=b", f"{REDIRECT}?app=1", f"{REDIRECT}?app=1&code=a&state=b"),
        # Not ours: the daemon refuses it, and says so.
        ("http://127.0.0.1:9999/?code=a&state=b", REDIRECT, "http://127.0.0.1:9999/?code=a&state=b"),
        (f"{ADDRESS}\nsecond line", REDIRECT, ADDRESS),
        (f"{ADDRESS}\nhttps://login.example/", REDIRECT, ADDRESS),
    ],
)
def test_what_is_found(text: str, redirect: str, found: str) -> None:
    """An error is an answer, too."""
    assert find_address(text, redirect) == found


@pytest.mark.parametrize(
    "text", ["", "\n", "hello", "http://127.0.0.1:8400/", "https://login.example/", "state of things"]
)
def test_no_address_is_none(text: str) -> None:
    """An address without a query ends no login."""
    assert find_address(text, REDIRECT) is None
