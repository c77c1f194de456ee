"""Leases and signatures, as they are read from answers. `test_tokens` has what files and answers must not be."""

from datetime import UTC, datetime, timedelta

import pytest

from tokend.client import BadRequestError, NotRunningError
from tokend.client.leases import files_directory, read_headers, read_lease

FAKE = "eyJhbGciOiJub25lIn0.e30.fake"


def test_an_end_in_another_zone_is_the_same_moment() -> None:
    """Aware times only."""
    answer = {"name": "tt", "access_token": FAKE, "token_type": "Bearer", "expires_at": "2030-01-01T02:00:00+02:00"}
    lease = read_lease(answer, "a file")
    assert lease.expires_at == datetime(2030, 1, 1, tzinfo=UTC)
    assert lease.expires_at.utcoffset() == timedelta(hours=2)


@pytest.mark.parametrize(
    "headers",
    [None, [], "x", {"a": None}, {"a": ""}, {"": "b"}, {"a": "b\r\nx-evil: c"}, {"a\nx-evil": "b"}, {"a": "b\0"}],
)
def test_a_lease_has_headers_that_can_be_sent_or_is_none(headers: object) -> None:
    """A program that adds the headers to its request must not add one that the server made up."""
    answer = {"name": "tt", "access_token": FAKE, "token_type": "Bearer", "expires_at": None}
    assert read_lease(answer, "a file").headers == {"Authorization": f"Bearer {FAKE}"}
    assert read_lease({**answer, "headers": {"a": "b\tc"}}, "a file").headers == {"a": "b\tc"}
    with pytest.raises(NotRunningError, match="what a file gives is no token of tokend"):
        read_lease({**answer, "headers": headers}, "a file")
    with pytest.raises(NotRunningError):
        read_headers({"headers": headers}, "a file")


@pytest.mark.parametrize("headers", [None, [], "x-signature", {"x-signature": None}, {"x-signature": ""}, {"": "a"}])
def test_an_answer_without_whole_headers_is_no_signature(headers: object) -> None:
    """A typed error instead of a request that is signed with nothing."""
    with pytest.raises(NotRunningError, match="what a file gives is no signature of tokend"):
        read_headers({"headers": headers}, "a file")
    with pytest.raises(NotRunningError):
        read_headers({}, "a file")


def test_the_directory_is_the_callers_else_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable is none."""
    monkeypatch.setenv("TOKEND_FILES", "")
    assert str(files_directory(None)) == "/run/tokend"
    monkeypatch.setenv("TOKEND_FILES", "/a")
    assert str(files_directory(None)) == "/a"
    assert str(files_directory("/b")) == "/b"


def test_the_refresh_of_an_on_demand_token_gives_no_lease() -> None:
    """Its credentials are tried again; the error is that of the method, not of a foreign server."""
    answer = {"version": 1, "name": "login-links", "state": "on_demand"}
    with pytest.raises(BadRequestError, match="the next issue tries its credentials again") as refused:
        read_lease(answer, "a-socket")
    assert refused.value.code == "not_supported"
