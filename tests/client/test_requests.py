"""The requests adapter."""

import pytest
import requests

from tests.client.test_httpx import KEY
from tests.client.upstream import Heard, Said, upstream
from tokend.client import TokenClient
from tokend.client.requests import TokendAuth as RequestsAuth
from tokend.client.testing import FakeTokend


def test_requests_keeps_the_newer_token_through_a_redirect_within_the_origin() -> None:
    """requests builds a hop from the first request, not from the retry: both have to carry it."""

    def answer(heard: Heard) -> Said:
        if heard.token != "Bearer second":
            return Said(401)
        return Said(307, b"", "/end") if heard.path == "/" else Said(200, heard.body)

    with FakeTokend({"tt": ["first", "second"]}, environ=False) as fake, upstream(answer) as server:
        auth = RequestsAuth("tt", client=TokenClient(fake.socket))
        done = requests.post(server.origin, data="order", auth=auth, timeout=40)
    assert (done.status_code, done.text) == (200, "order")
    assert server.tokens() == [("/", "Bearer first"), ("/", "Bearer second"), ("/end", "Bearer second")]


def test_requests_retries_once_over_all_hops() -> None:
    """A hop whose 401 comes after a retry is the answer: there would be a third token."""

    def answer(heard: Heard) -> Said:
        return Said(307, b"", "/end") if (heard.path, heard.token) == ("/", "Bearer b") else Said(401)

    with FakeTokend({"tt": ["a", "b", "c"]}, environ=False) as fake, upstream(answer) as server:
        auth = RequestsAuth("tt", client=TokenClient(fake.socket))
        assert requests.get(server.origin, auth=auth, timeout=40).status_code == 401
    assert server.tokens() == [("/", "Bearer a"), ("/", "Bearer b"), ("/end", "Bearer b")]
    assert len(fake.reports) == 1


@pytest.mark.parametrize(
    "location",
    ["http://a:999999/", "http://a\\@{host}/", "http://{host}\\@localhost/", "//localhost", "https://{host}/"],
)
def test_requests_does_not_trust_a_target_that_reads_two_ways(location: str) -> None:
    """What urllib and urllib3 would not read alike is no way home; nor is another scheme."""
    with (
        FakeTokend({"tt": "first"}, headers=KEY, environ=False) as fake,
        upstream(lambda heard: Said(302, b"", location.format(host=heard.headers["host"]))) as server,
    ):
        auth = RequestsAuth("tt", client=TokenClient(fake.socket))
        done = requests.get(server.origin, auth=auth, allow_redirects=False, timeout=40)
    assert not {"Authorization", "x-api-key"} & set(done.request.headers)
