"""A `Grant`: the headers of a token, and a request id where the upstream wants one. `test_adapters` has the rest."""

import pytest

from tokend.client import Lease, TokenClient
from tokend.client.grants import Grant, TokenSource, has_parameter, with_parameter
from tokend.client.testing import FakeTokend


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "requestId=a%2Fb%20c"),
        ("x=1", "x=1&requestId=a%2Fb%20c"),
        ("x=%2f+y&&z", "x=%2f+y&&z&requestId=a%2Fb%20c"),
        ("requestId=old&x=1&requestId=older", "x=1&requestId=a%2Fb%20c"),
        ("requestId", "requestId=a%2Fb%20c"),
        ("requestid=1&xrequestId=2", "requestid=1&xrequestId=2&requestId=a%2Fb%20c"),
    ],
)
def test_a_parameter_is_set_and_the_others_stay(query: str, found: str) -> None:
    """Byte by byte: a query may be signed."""
    assert with_parameter(query, "requestId", "a/b c") == found


def test_a_parameter_is_found_by_its_whole_name() -> None:
    """Its value may be empty or absent."""
    assert all(has_parameter(query, "id") for query in ("id=1", "a=b&id=", "id", "a&id&b"))
    assert not any(has_parameter(query, "id") for query in ("", "Id=1", "xid=1", "a=id", "idx=1"))


def test_only_an_upstream_that_wants_ids_gets_them() -> None:
    """Without the daemon's word there is no second request to the daemon."""
    with FakeTokend({"tt": "a", "other": "b"}, request_ids={"tt": "requestId"}, environ=False) as fake:
        client = TokenClient(fake.socket)
        assert TokenSource("other", client).first("", None).request_id is None
        assert TokenSource("tt", client).first("requestId=own", None).request_id is None
        grant = TokenSource("tt", client).first("", None)
        again = TokenSource("tt", client).again(grant, None)
    assert fake.requests.count("POST /v1/tokens/tt/request-id") == 2
    assert again.lease is grant.lease
    assert again.request_id != grant.request_id
    assert grant.query("x=1") == f"x=1&requestId={grant.request_id}"


def test_a_grant_shows_no_secret() -> None:
    """It may stand in a traceback's locals."""
    assert "fake-token" not in repr(Grant(Lease("tt", "fake-token", headers={"Authorization": "fake-token"})))
