"""The address at which a browser ends a login."""

import pytest

from tokend.plugin.login_redirect import chosen_redirect, parameters_of, redirect_fault
from tokend.values.errors import RejectedError, WrongStateError

REDIRECT = "http://127.0.0.1:8400/of/fake-state?app=1"


@pytest.mark.parametrize(
    ("value", "usable"),
    [
        ("http://127.0.0.1/", True), ("http://127.0.0.1:8765/cb", True), ("https://127.0.0.1:8182", True),
        ("http://localhost/x", True), ("https://app.example/cb?x=1", True), ("http://app.example/cb", False),
        ("app:/cb", False), ("https://u@a.example/", False), ("https://a.example/#x", False), ("https://", False),
        ("http://127.0.0.1:x/", False), ("https://ä.example/", False),
    ],
)  # fmt: skip
def test_a_redirect_is_loopback_or_https(value: str, usable: bool) -> None:
    """A code in clear on the network would be anybody's."""
    assert (redirect_fault(value) is None) is usable


@pytest.mark.parametrize(
    ("written", "proposed", "chosen"),
    [
        (None, None, "http://127.0.0.1/"),
        (None, "http://127.0.0.1:8400/", "http://127.0.0.1:8400/"),
        ("http://localhost/cb", "http://127.0.0.1:8400/", "http://localhost:8400/cb"),
        ("http://localhost:1/cb", "http://127.0.0.1:8400/", "http://localhost:1/cb"),
        ("https://app.example/cb", "http://127.0.0.1:8400/", "https://app.example/cb"),
        ("https://app.example/cb", None, "https://app.example/cb"),
    ],
)
def test_a_written_redirect_counts_and_takes_the_port_at_which_the_command_listens(
    written: str | None, proposed: str | None, chosen: str
) -> None:
    """RFC 8252, 7.3: a loopback redirect may have any port."""
    assert chosen_redirect(written, proposed) == chosen


def test_a_proposal_that_is_no_redirect_is_refused() -> None:
    """In clear to another machine, the answer would be anybody's."""
    with pytest.raises(RejectedError, match="cannot be used"):
        chosen_redirect(None, "http://app.example/")


def test_an_address_at_the_redirect_yields_its_parameters() -> None:
    """Empty ones, too; the host is compared without case."""
    found = parameters_of(" HTTP://127.0.0.1:8400/of/fake-state?app=1&code=a%20b&x= ", REDIRECT)
    assert found == {"app": "1", "code": "a b", "x": ""}
    assert parameters_of("https://app.example?code=1", "https://APP.example/") == {"code": "1"}


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:8400/of/other-state?code=1",
        "http://127.0.0.1:8400/?code=1",
        "http://127.0.0.1:8401/of/fake-state?code=1",
        "https://127.0.0.1:8400/of/fake-state?code=1",
        "http://127.0.0.1:8400/of/fake-state?code=1&code=2",
        "http://127.0.0.1:8400/of/fake-state?" + "&".join(f"a{one}=1" for one in range(99)),
        "http://127.0.0.1:8400/of/fake-state?code=" + "x" * 9000,
        "http://[::1/?code=1",
        "\ud800",
        "",
    ],
)
def test_an_address_of_another_login_or_of_none_yields_nothing(address: str) -> None:
    """Whatever it says."""
    with pytest.raises(WrongStateError):
        parameters_of(address, REDIRECT)
