"""The addresses under which the status shows the daemon's own listeners."""

import socket
from pathlib import Path

import pytest

from tokend.daemon.service_wiring import where_it_listens
from tokend.service_manager.activation import LOOPBACK, Inherited


def test_a_listener_without_a_passed_socket_is_where_the_configuration_says() -> None:
    """A passed socket of another name changes nothing."""
    with socket.socket() as passed:
        assert where_it_listens(Inherited({"other": passed}), LOOPBACK, Path("/run/t.sock")) == "/run/t.sock"


@pytest.mark.parametrize(
    ("family", "address", "shown"), [(socket.AF_INET, "127.0.0.1", "127.0.0.1"), (socket.AF_INET6, "::1", "[::1]")]
)
def test_a_passed_socket_is_shown_with_its_own_address(family: int, address: str, shown: str) -> None:
    """systemd chose it; a URL wants brackets around an address of IPv6."""
    with socket.socket(family) as passed:
        passed.bind((address, 0))
        port = passed.getsockname()[1]
        assert where_it_listens(Inherited({LOOPBACK: passed}), LOOPBACK, "127.0.0.1:1") == f"{shown}:{port}"


def test_a_passed_unix_socket_is_shown_with_its_path(tmp_path: Path) -> None:
    """The path of the socket unit, whatever the configuration says."""
    with socket.socket(socket.AF_UNIX) as passed:
        passed.bind(str(tmp_path / "s"))
        assert where_it_listens(Inherited({LOOPBACK: passed}), LOOPBACK, "/elsewhere") == str(tmp_path / "s")
