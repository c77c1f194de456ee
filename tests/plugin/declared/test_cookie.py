"""Cookies: their value, and headers that delete one."""

from datetime import UTC, datetime

import pytest

from tokend.plugin.declared.cookie import Cookie

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "name", "value"),
    [("sid=a", "sid", "a"), (" sid = a=b ; Secure", "sid", "a=b"), ("sid", "sid", ""), ("", "", ""), ("=x", "", "x")],
)
def test_name_and_value_stand_before_the_first_semicolon(header: str, name: str, value: str) -> None:
    """Without white space around them."""
    assert (Cookie(header).name, Cookie(header).value) == (name, value)


@pytest.mark.parametrize(
    ("attributes", "has_ended"),
    [
        ("", False), ("; Max-Age=0", True), ("; max-age = -1", True), ("; Max-Age=1", False), ("; Max-Age=x", False),
        ("; Expires=Thu, 01 Jan 1970 00:00:00 GMT", True), ("; expires=Thu, 01-Jan-1970 00:00:00 GMT", True),
        ("; Expires=Wed, 31 Dec 2025 23:59:59 GMT", True), ("; Expires=Thu, 01 Jan 2026 00:00:01 GMT", False),
        ("; Expires=0", False), ("; Expires=soon", False), ("; Expires", False),
        ("; Max-Age=9; Expires=Thu, 01 Jan 1970 00:00:00 GMT", False),
        ("; Max-Age=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT", True),
        ("; Max-Age=0; Max-Age=9", False),
    ],
)  # fmt: skip
def test_an_end_that_has_passed_deletes_the_cookie(attributes: str, has_ended: bool) -> None:
    """`Max-Age` counts before `Expires`; what is no number or no date is none."""
    assert Cookie(f"sid=a{attributes}").has_ended(NOW) is has_ended


def test_a_cookie_counts_at_its_path_and_domain() -> None:
    """A leading dot means nothing, nor does the case of a domain."""
    assert Cookie("a=1; Path=/x; Domain=.Example.org").place == Cookie("b; domain=example.ORG; path=/x").place
    assert Cookie("a=1; Path=/x").place != Cookie("a=1; Path=/X").place
