"""The aiohttp adapter."""

import pytest

from tests.client.adapters import Call, Got, aiohttp_session
from tests.client.upstream import Said, upstream
from tokend.client.aiohttp import TokendAuth as AiohttpAuth
from tokend.client.testing import FakeTokend


@pytest.mark.parametrize("origin", ["api.example.com", "", "/path"])
def test_aiohttp_needs_an_origin_to_keep_to(origin: str) -> None:
    """A scheme and a host; anything else is an error at once, not a token sent nowhere."""
    with pytest.raises(ValueError):
        AiohttpAuth("tt", origin=origin)


def test_aiohttp_leaves_other_origins_alone() -> None:
    """Not even a read of the token, for requests that it does not belong to."""
    with FakeTokend({"tt": "first"}, environ=False) as fake, upstream(lambda heard: Said(401)) as server:
        found = aiohttp_session(fake.socket, "https://api.example.com", [Call(server.origin + "/")])
    assert found == [Got(401, b"well")]
    assert (fake.requests, server.heard[0].token) == ([], None)
