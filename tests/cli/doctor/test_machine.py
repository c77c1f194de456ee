"""Findings about the machine: kernel, clock, variables."""

from pathlib import Path

import pytest

from tokend.cli.doctor.machine import findings, of_kernel


def codes(environ: dict[str, str], uid: int | None = None) -> dict[str, str]:
    return {one.code: one.level for one in findings(environ, uid)}


def test_variables_that_openssl_obeys_are_shown(tmp_path: Path) -> None:
    """A file that does not exist breaks every connection; one for keys gives them away. Proxies count for nothing."""
    assert "tls_environment" not in codes({})
    assert codes({"SSL_CERT_FILE": str(tmp_path)})["tls_environment"] == "info"
    assert codes({"SSL_CERT_FILE": str(tmp_path / "none")})["tls_environment"] == "warning"
    assert codes({"SSLKEYLOGFILE": str(tmp_path)})["tls_environment"] == "warning"
    assert codes({"https_proxy": "http://user:obviously-fake@proxy"})["proxy_ignored"] == "info"
    text = "".join(one.message for one in findings({"https_proxy": "http://user:obviously-fake@proxy"}, None))
    assert "obviously-fake" not in text


def test_versions_user_clock_and_extras_are_always_there() -> None:
    """The daemon's user only if it is another."""
    found = codes({})
    assert {"version", "user", "extras"} <= found.keys()
    assert found.keys() & {"clock", "clock_unsynchronised", "clock_wrong"}
    assert "daemon_user" not in found
    assert codes({}, 54321)["daemon_user"] == "info"


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("6.18.44-amd64", set()),
        ("6.5.0", {"kernel_descriptors"}),
        ("6.1.0-49", {"kernel_containers", "kernel_descriptors"}),
        ("odd", {"kernel_containers", "kernel_descriptors"}),
    ],
)
def test_what_an_older_kernel_lacks_is_said(release: str, expected: set[str]) -> None:
    """From 6.5 on a peer in a container is recognised, from 6.16 on descriptors are refused."""
    assert {one.code for one in of_kernel(release)} == expected
