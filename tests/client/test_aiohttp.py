"""The aiohttp adapter."""

import pytest

from tests.client.adapters import Call, Got, aiohttp_session
from tests.client.upstream import Heard, Said, upstream
from tokend.client import OriginError
from tokend.client.aiohttp import TokendAuth as AiohttpAuth
from tokend.client.testing import FakeTokend


@pytest.mark.parametrize("origin", ["api.example.com", "", "/path"])
def test_aiohttp_needs_an_origin_to_keep_to(origin: str) -> None:
    """A scheme and a host; anything else is an error at once, not a token sent nowhere."""
    with pytest.raises(ValueError):
        AiohttpAuth("tt", origin=origin)


def test_aiohttp_takes_one_kind_of_list() -> None:
    """`origin=` lets requests elsewhere pass, `origins=` refuses them: not both."""
    with pytest.raises(ValueError, match="either origins= or origin="):
        AiohttpAuth("tt", origin="https://a.example", origins=("https://a.example",))


def test_a_redirect_excuses_one_request_of_its_own_task_only() -> None:
    """The next request elsewhere is refused again, and so is one of another task."""
    with upstream(lambda heard: Said()) as other, FakeTokend({"tt": "first"}, environ=False) as fake:

        def answer(heard: Heard) -> Said:
            return Said(302, b"", other.origin + "/hop") if heard.path == "/0" else Said()

        with upstream(answer) as server:
            calls = [Call(server.origin + "/0"), Call(other.origin + "/direct")]
            with pytest.raises(OriginError):
                aiohttp_session(fake.socket, calls, in_turn=True)
            with pytest.raises(OriginError):
                aiohttp_session(fake.socket, calls)
    assert {heard.path for heard in other.heard} == {"/hop"}
    assert {heard.token for heard in other.heard} == {None}


def test_aiohttp_leaves_other_origins_alone() -> None:
    """Not even a read of the token, for requests that it does not belong to."""
    with FakeTokend({"tt": "first"}, environ=False) as fake, upstream(lambda heard: Said(401)) as server:
        found = aiohttp_session(fake.socket, [Call(server.origin + "/")], origin="https://api.example.com")
    assert found == [Got(401, b"well")]
    assert (fake.requests, server.heard[0].token) == ([], None)
