"""Reports of a token that a server refused."""

import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tokend.client import TokenClient
from tokend.client.reporting import newer
from tokend.client.testing import FakeTokend


@pytest.fixture
def fake() -> Iterator[FakeTokend]:
    """A tokend with two tokens."""
    with FakeTokend({"tt": ["first", "second"]}, environ=False) as started:
        yield started


def test_the_newer_token_is_returned(fake: FakeTokend) -> None:
    """The report names the generation and the reason."""
    client = TokenClient(fake.socket)
    found = newer(client, client.get("tt"))
    assert found is not None
    assert (found.access_token, found.generation) == ("second", 2)
    assert fake.reports == [("tt", 1, "unauthorized")]


def test_the_same_generation_again_is_no_newer_token(fake: FakeTokend) -> None:
    """A second request with the same token would be refused too."""
    client = TokenClient(fake.socket)
    newest = newer(client, client.get("tt"))
    assert newest is not None
    assert newer(client, newest) is None


def test_an_issued_token_is_not_reported(fake: FakeTokend) -> None:
    """A report without a generation would be an unconditional refresh."""
    client = TokenClient(fake.socket)
    assert newer(client, replace(client.get("tt"), generation=None)) is None
    assert fake.reports == []


def test_a_report_that_fails_is_a_warning(fake: FakeTokend, caplog: pytest.LogCaptureFixture) -> None:
    """The caller gets the 401 that it holds; the log says why there is no other token, and shows none."""
    client = TokenClient(fake.socket)
    lease = client.get("tt")
    with caplog.at_level(logging.WARNING, "tokend.client"):
        assert newer(client, replace(lease, name="nobody")) is None
    assert "nobody: the server answered 401, and there is no newer token" in caplog.text
    assert lease.access_token not in caplog.text
